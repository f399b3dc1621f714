"""PlateauBench: trains with planted faults and without, and asks the diagnoser what is wrong. See docs/plateaubench.md.

    python benchmarks/plateaubench/measure.py --quick
    python benchmarks/plateaubench/measure.py [--seeds 3] [--hours 12] [--faults-from FILE.py] [--only NAME ...]
    python benchmarks/plateaubench/measure.py --quick --data market1501mini [--backbone residual]

It can be stopped and started again: finished runs are kept, one file each, below --work. --report-only asks the diagnoser again
about the runs that are there, without training.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.machine import machine_line  # noqa: E402
from benchmarks.plateaubench.backbones import CHANGES, STANDARD  # noqa: E402
from benchmarks.plateaubench.data_sets import DATA  # noqa: E402
from benchmarks.plateaubench.data_sets import STANDARD as STANDARD_DATA  # noqa: E402
from benchmarks.plateaubench.diagnosing import probed_case  # noqa: E402
from benchmarks.plateaubench.faults_of_config import configured_plan  # noqa: E402
from benchmarks.plateaubench.healthy import HEALTHY  # noqa: E402
from benchmarks.plateaubench.notes import file_stem, note, title  # noqa: E402
from benchmarks.plateaubench.planning import FAULTS, QUICK_BASES, Planned, faults_of, full_plan, identity, keep, quick_plan, read  # noqa: E402
from benchmarks.plateaubench.probing import Probing  # noqa: E402
from benchmarks.plateaubench.repair import Repair, Rows, counted, path_of, recovered, repairs, summary  # noqa: E402
from benchmarks.plateaubench.report import Results, as_json, group, judge, text  # noqa: E402
from benchmarks.plateaubench.training import known_before_probing, measurements, run  # noqa: E402
from unplateau.base.errors import DataNotFoundError, UnplateauError  # noqa: E402
from unplateau.base.files import write_json, write_text  # noqa: E402
from unplateau.diagnosis.diagnose import diagnose  # noqa: E402
from unplateau.runs.record import to_plain  # noqa: E402
from unplateau.workflows.probing.planned_probes import PLAN  # noqa: E402
from unplateau.workflows.probing.probe import sure_finding  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not there yet, then write the report; 2 where the pictures are not at hand."""
    options = _options(arguments)
    torch.set_num_threads(1)
    try:
        name = identity(options.backbone, options.data)
    except DataNotFoundError:
        print(f"--data {options.data}: {DATA[options.data].title} is not here; {DATA[options.data].where}.", file=sys.stderr)
        return 2
    faults = (*FAULTS, *(faults_of(options.faults_from) if options.faults_from else ()))
    plan = tuple(
        quick_plan(faults, bases=options.bases, seed=options.seed)
        if options.quick
        else full_plan(faults, seeds=options.seeds, healthy_seeds=options.healthy_seeds)
    )
    if options.configured is not None:
        mistakes = configured_plan(None if options.configured == Path() else options.configured)
        plan = (*(planned for planned in plan if planned.name == HEALTHY[0].name), *mistakes)
    plan = tuple(planned for planned in plan if not options.only or planned.name in options.only)
    plan = tuple(replace(planned, backbone=options.backbone, data=options.data) for planned in plan)
    share, shares = options.shard
    folder = options.work / name
    folder.mkdir(parents=True, exist_ok=True)
    if options.probe_again is not None:
        _probe_again(plan[share::shares], folder, options.probe_again)
    elif options.probe_missing:
        _probe_missing(plan[share::shares], folder)
    elif not options.report_only:
        _run_all(plan[share::shares], folder, until=time.monotonic() + 3600 * options.hours, until_sure=options.until_sure)
    if shares == 1:
        _write(plan, folder, options)
    return 0


def _run_all(plan: Sequence[Planned], folder: Path, *, until: float, until_sure: bool) -> None:
    for number, planned in enumerate(plan, 1):
        path = folder / planned.file
        if path.exists():
            continue
        if time.monotonic() > until:
            print(f"Time is up before run {number} of {len(plan)}; start again to go on.")
            return
        started = time.monotonic()
        broken, right = planned.build()
        story = run(broken, facts_of=right, make_probing=Probing, keep_at=folder / planned.state_file, until_sure=until_sure)
        keep(story, path)
        spent = time.monotonic() - started
        told = (
            f"{number}/{len(plan)} {planned.group} {planned.name} seed {planned.seed}: mAP {story.final_map:.3f}, {spent:.0f} s"
        )
        print(told, story.problem, flush=True)


def _probe_again(plan: Sequence[Planned], folder: Path, names: Sequence[str]) -> None:
    """Run probes anew on the states that trainings ended in: for a probe that is new or measures something else."""
    for planned in plan:
        story, state = read(folder / planned.file), folder / planned.state_file
        if story is None or not state.exists():
            continue
        probing = Probing(planned.build()[0])
        probing.take_state(state)
        anew = {r.name: to_plain(r) for r in probing.rounds(known_before_probing(story), only=names)}
        old = {round_["name"]: round_ for round_ in story["probes"]}
        keep({**story, "probes": [(old | anew)[p.name] for p in PLAN if p.name in old | anew]}, folder / planned.file)
        print(f"probed again: {planned.group} {planned.name} seed {planned.seed}", flush=True)


def _probe_missing(plan: Sequence[Planned], folder: Path) -> None:
    """Go on probing where rules that changed are no longer sure of what they were sure of when probing was stopped."""
    for planned in plan:
        story, state = read(folder / planned.file), folder / planned.state_file
        if story is None or not state.exists():
            continue
        missing = [probe.name for probe in PLAN if probe.name not in {round_["name"] for round_ in story["probes"]}]
        known = probed_case(story)[0]
        if not missing or sure_finding(diagnose(known)) is not None:
            continue
        probing = Probing(planned.build()[0])
        probing.take_state(state)
        found = probing.rounds(known, only=missing, until_sure=True, watched=measurements(story["watched"]))
        keep({**story, "probes": [*story["probes"], *map(to_plain, found)]}, folder / planned.file)
        print(f"probed further: {planned.group} {planned.name} seed {planned.seed}", flush=True)


def _write(plan: Sequence[Planned], folder: Path, options: argparse.Namespace) -> None:
    stories = [(planned, read(folder / planned.file)) for planned in plan]
    results = group([judge(planned, story) for planned, story in stories if story is not None])
    missing = sum(story is None for _, story in stories)
    said = (options.note or note(options.data, options.backbone)) + (
        f"\n{missing} of {len(plan)} runs are not done yet." if missing else ""
    )
    heading = options.title or title(options.data, options.backbone, is_quick=options.quick)
    rows = _repairs(results, folder, options.repair)
    report = text(results, title=heading, machine=machine_line(), note=said, repair=summary(rows, len(results.hurt)))
    stem = file_stem(options.data, options.backbone, is_quick=options.quick)
    # some runs alone are no report of the whole: it stays beside them unless asked for
    out = options.results or (folder if options.only else Path("benchmarks/results")) / stem
    write_text(out.with_suffix(".md"), report)
    repair = asdict(counted(rows, len(results.hurt)))
    write_json(out.with_suffix(".json"), {**as_json(results, machine=machine_line()), "repair": repair})
    print(report)


def _repairs(results: Results, folder: Path, may_train: bool) -> Rows:
    healthy = {done.planned.seed: done.final_map for done in results.healthy if done.planned.name == "base"}
    rows: list[tuple[Repair, float | None]] = []
    for done in results.hurt:
        tried = repairs(done)
        # where one of the two is the cure itself, the other one's training would tell nothing more
        is_cured = any(repair.is_cure_by_hand for repair in tried)
        for repair in tried:
            path = path_of(repair, folder)
            if path is not None and may_train and not is_cured and not path.exists():
                assert repair.planned is not None
                try:
                    broken, right = repair.planned.build()
                except UnplateauError as error:  # weights that this network does not have, for one
                    print(f"repair of {repair.fault} by {repair.remedy} cannot be tried: {error}", flush=True)
                    continue
                keep(run(broken, facts_of=right, make_probing=None), path)
                print(f"repair of {repair.fault} by {repair.remedy}: done", flush=True)
            story = None if path is None else read(path)
            known = story is not None and done.planned.seed in healthy
            rows.append((repair, recovered(done, healthy[done.planned.seed], story["final_map"]) if known and story else None))
    return rows


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures the diagnoser on trainings with planted faults.")
    parser.add_argument("--quick", action="store_true", help="each fault kind once and 14 healthy runs")
    parser.add_argument("--bases", type=int, default=QUICK_BASES, help="healthy runs of the base recipe with --quick")
    parser.add_argument("--seed", type=int, default=1, help="of everything but the base recipe with --quick")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each fault and healthy kind without --quick")
    parser.add_argument("--healthy-seeds", type=int, default=0, help="runs of each healthy kind, where more")
    parser.add_argument("--hours", type=float, default=12.0, help="no run is begun later")
    parser.add_argument("--backbone", choices=tuple(CHANGES), default=STANDARD, help="another network, reported apart")
    parser.add_argument("--data", choices=tuple(DATA), default=STANDARD_DATA, help="other pictures, reported apart")
    parser.add_argument("--work", type=Path, default=Path(".cache/plateaubench"), help="where finished runs are kept")
    parser.add_argument("--faults-from", type=Path, help="a Python file with FAULTS of its own")
    parser.add_argument(
        "--shard",
        type=_shard,
        default=(0, 1),
        metavar="I/N",
        help="do every N-th run from the I-th (0 to N-1) on, without a report: for several processes beside each other",
    )
    parser.add_argument(
        "--configured",
        nargs="?",
        const=Path(),
        type=Path,
        metavar="FILE.py",
        help="mistakes in the configuration itself, ours or of a file, and the base recipe, instead of the others",
    )
    parser.add_argument("--only", nargs="*", default=(), help="names of faults and healthy kinds")
    parser.add_argument("--title", default="", help="of the report")
    parser.add_argument("--note", default="", help="what the report says about itself, in place of the usual text")
    parser.add_argument("--results", type=Path, help="report, without suffix; beside the runs where --only chose some")
    parser.add_argument("--repair", action="store_true", help="train what the first two remedies change, on top of each fault")
    parser.add_argument(
        "--probe-again", nargs="*", metavar="PROBE", help="train nothing; run these probes, or all, on the states that were kept"
    )
    parser.add_argument("--until-sure", action="store_true", help="probe no further than the product would, to save time")
    parser.add_argument(
        "--probe-missing", action="store_true", help="train nothing; go on probing where rules are no longer sure"
    )
    parser.add_argument("--report-only", action="store_true", help="train nothing")
    return parser.parse_args(arguments)


def _shard(text_: str) -> tuple[int, int]:
    """Return (share, shares) of "I/N"."""
    share, shares = (int(part) for part in text_.split("/"))
    if not 0 <= share < shares:
        raise ValueError(text_)
    return share, shares


if __name__ == "__main__":
    raise SystemExit(main())
