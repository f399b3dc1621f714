"""Probes a training the way an expert would: the cheapest information first, judged at once, stopping when the answer is sure.

What is measured: `planned_probes`; on what: `bench`; who judges: `unplateau.diagnosis`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from unplateau.base.errors import RecordError, UnplateauError
from unplateau.base.files import write_json
from unplateau.diagnosis.case import Case
from unplateau.diagnosis.diagnose import Diagnosis, diagnose
from unplateau.runs.foreign_logs.symptoms import symptoms_in
from unplateau.runs.layout import RunFolder, is_run_folder
from unplateau.runs.record import Finding, Measurement, to_plain
from unplateau.runs.writer import RunWriter
from unplateau.workflows.diagnosing.diagnose import Sources, compare_checkpoints, gather
from unplateau.workflows.probing.bench import Bench, bench_of_run
from unplateau.workflows.probing.budget import SHARE, allowance, steps_of
from unplateau.workflows.probing.planned import Planned
from unplateau.workflows.probing.planned_probes import PLAN

SURE = 0.9  # of a fault in the pipeline, by its record: nothing measured later is likely to matter more
NOTHING_KNOWN = Case()
_FAILURES = (UnplateauError, RuntimeError, ValueError, IndexError, ArithmeticError)


@dataclass(frozen=True)
class Probed:
    """What probing brought."""

    measurements: tuple[Measurement, ...]
    diagnosis: Diagnosis
    seconds: float
    not_run: tuple[str, ...]
    """Probes left out, because the answer was sure or the time was up."""
    too_dear: tuple[Planned, ...] = ()
    """Probes left out, because they would have cost more steps than were allowed."""

    def cost(self) -> str:
        """Return what it cost, in a sentence."""
        spent = [m for m in self.measurements if m.name == "probe_seconds" and m.value is not None]
        parts = ", ".join(f"{m.group} {m.value:.1f} s" for m in spent)
        left = f"; not needed: {', '.join(self.not_run)}" if self.not_run else ""
        return f"Probing took {self.seconds:.1f} s ({parts}){left}.{self._left_out()}"

    def _left_out(self) -> str:
        if not self.too_dear:
            return ""
        names = ", ".join(f"{planned.name} ({planned.cost})" for planned in self.too_dear)
        return f" Left out, beyond {SHARE:.0%} of the run: {names}. All of them: --probe-all."


def probe(
    bench: Bench, known: Case = NOTHING_KNOWN, *, plan: Sequence[Planned] = PLAN, most_seconds: float = float("inf"),
    most_steps: float = float("inf"), say: Callable[[str], None] | None = None,
) -> Probed:  # fmt: skip
    """Measure, judge, and go on until a fault of the pipeline is sure, the plan is done or the time is up.

    Args:
        bench: the training; it is left as it was, to the bit.
        known: what is known before: a log, facts, two checkpoints.
        plan: probes in the order they are run.
        most_seconds: no probe is begun later.
        most_steps: training steps that all probes together may cost (`budget`); one that costs more than is left is left out.
        say: told of each probe as it ends.

    Returns:
        All measurements, the seconds of each probe among them, and the diagnosis of everything known.
    """
    started, case, diagnosis = time.perf_counter(), known, diagnose(known)
    steps_left, too_dear = most_steps, []
    for place, planned in enumerate(plan):
        if _is_sure(diagnosis) or time.perf_counter() - started > most_seconds:
            return _probed(case, diagnosis, started, tuple(left.name for left in plan[place:]))
        if (cost := steps_of(planned, bench)) > steps_left:
            too_dear.append(planned)
            continue
        steps_left -= cost
        begun = time.perf_counter()
        found = run_planned(bench, planned, case)
        seconds = time.perf_counter() - begun
        spent = Measurement("probe_seconds", seconds, "seconds", bench.step, planned.name, planned.cost)
        case = with_measured(case, (*found, spent))
        diagnosis = diagnose(case)
        if say is not None:
            say(f"probe {planned.name}: {len(found)} numbers in {seconds:.1f} s ({planned.cost})")
    return replace(_probed(case, diagnosis, started, ()), too_dear=tuple(too_dear))


def probe_run(
    run_folder: Path, *, most_seconds: float = float("inf"), share: float | None = SHARE, say: Callable[[str], None] | None = None
) -> tuple[Measurement, ...]:
    """Probe a run of ours where its last checkpoint stands; writes `probes.jsonl` and `findings.json` into its folder.

    Args:
        run_folder: such as logs/market1501/first_run.
        most_seconds: no probe is begun later.
        share: of the run's steps that probing may cost, the cheapest probes first; None = every probe.
        say: told of each probe as it ends, and of the cost.

    Raises:
        RecordError: the folder holds no run.
        ConfigError, DataError, CheckpointError: what the run needs is missing or does not fit.
    """
    folder = RunFolder(run_folder)
    if not is_run_folder(run_folder) or not folder.config.exists():
        raise RecordError(f"--probe: {run_folder} holds no run of this trainer with its {folder.config.name}.")
    case = gather(Sources(log_file=run_folder))
    pair = _kept_pair(folder)
    # what earlier probing left speaks of another state of the run
    known = replace(case, measurements=compare_checkpoints(pair))
    bench = bench_of_run(folder)
    most_steps = float("inf") if share is None else allowance(bench, share)
    probed = probe(bench, known, most_seconds=most_seconds, most_steps=most_steps, say=say)
    new = probed.measurements
    RunWriter(folder).measurements(new)
    write_json(folder.findings, [to_plain(finding) for finding in probed.diagnosis.findings])
    if say is not None:
        say(probed.cost())
    return new


def sure_finding(diagnosis: Diagnosis) -> Finding | None:
    """Return the finding that makes further probing pointless, or None."""
    return diagnosis.first if _is_sure(diagnosis) else None


def with_measured(case: Case, found: tuple[Measurement, ...]) -> Case:
    """Return the case with what a probe brought; a probe that failed may have said why."""
    said = [code for m in found if m.name == "probe_failed" for code in symptoms_in(m.note)]
    symptoms = tuple(dict.fromkeys([*case.symptoms, *said]))
    return replace(case, measurements=(*case.measurements, *found), symptoms=symptoms)


def _is_sure(diagnosis: Diagnosis) -> bool:
    first = diagnosis.first
    return first is not None and first.severity == "pipeline" and first.confidence >= SURE


def run_planned(bench: Bench, planned: Planned, case: Case) -> tuple[Measurement, ...]:
    """Run one probe without a trace; one that fails on this training says why, and the others go on."""
    with bench.untouched():
        try:
            return planned.run(bench, case.measurements)
        except _FAILURES as error:
            reason = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
            return (Measurement("probe_failed", None, "", bench.step, planned.name, reason[:200]),)


def _probed(case: Case, diagnosis: Diagnosis, started: float, not_run: tuple[str, ...]) -> Probed:
    return Probed(case.measurements, diagnosis, time.perf_counter() - started, not_run)


def _kept_pair(folder: RunFolder) -> tuple[Path, ...]:
    """The two resume checkpoints a run keeps; none where there are fewer."""
    files = sorted(folder.checkpoints.glob("epoch_*.pth"))
    return tuple(files[-2:]) if len(files) >= 2 else ()
