"""The results of a benchmark as a table and as JSON, from stories alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.plateaubench.baselines import BASELINES, random_choice
from benchmarks.plateaubench.diagnosing import VIEWS, Answer, answers, probed_case
from benchmarks.plateaubench.halves import half
from benchmarks.plateaubench.planning import Planned
from benchmarks.plateaubench.scoring import Case, Score, interval, score

_DOORS = {"log": "log alone", "checkpoints": "+ two checkpoints", "probes": "+ watching and probes"}


@dataclass(frozen=True)
class Done:
    """A finished run with every diagnoser's answer."""

    planned: Planned
    story: dict[str, Any]
    answers: Mapping[str, Answer]
    """By view of ours, and by name of a baseline."""
    probing_seconds: float = 0.0
    """Of the processor, until the diagnosis was sure or the plan done."""

    @property
    def final_map(self) -> float:
        """Held-out mAP after the last epoch, as its own evaluation says."""
        return float(self.story["final_map"])


def judge(planned: Planned, story: dict[str, Any]) -> Done:
    """Ask every diagnoser about a run."""
    probed, seconds = probed_case(story)
    told = {**answers(story, probed), **{name: ask(story) for name, ask in BASELINES.items()}}
    return Done(planned, story, told, seconds)


@dataclass(frozen=True)
class Results:
    """Runs in the groups that are counted."""

    healthy: tuple[Done, ...]
    hurt: tuple[Done, ...]
    """Faults whose mAP is below that of every healthy seed of the base recipe."""
    harmless: tuple[Done, ...]
    threshold: float

    @property
    def diagnosers(self) -> tuple[str, ...]:
        """Ours by view, then the baselines."""
        return (*VIEWS, *BASELINES)

    def score(self, diagnoser: str, part: str = "") -> Score:
        """Return the score on all faults that hurt, or on one half of their kinds."""
        return score([case(done, diagnoser) for done in self.hurt if not part or _half(done) == part])

    def false_alarms(self, diagnoser: str) -> list[Done]:
        """Return healthy runs of which it says that something is wrong."""
        return [done for done in self.healthy if done.answers[diagnoser].is_alarm]


def group(runs: Sequence[Done]) -> Results:
    """Divide runs into healthy ones, faults that hurt and faults that do not."""
    healthy = tuple(run for run in runs if run.planned.group == "healthy")
    bases = [run.final_map for run in healthy if run.planned.name == "base"]
    threshold = min(bases, default=0.0)
    faults = [run for run in runs if run.planned.group == "fault"]
    hurt = tuple(run for run in faults if run.final_map < threshold)
    return Results(healthy, hurt, tuple(run for run in faults if run.final_map >= threshold), threshold)


def case(done: Done, diagnoser: str) -> Case:
    """Return a run of a fault as one diagnoser saw it."""
    assert done.planned.fault is not None
    return Case(done.planned.name, done.planned.fault.causes, done.answers[diagnoser])


def text(results: Results, *, title: str, machine: str, note: str = "", repair: str = "") -> str:
    """Return the whole report, as Markdown."""
    blocks = [
        f"# {title}", machine, note,
        f"{len(results.hurt)} faults that hurt (final mAP below {results.threshold:.3f}, the lowest of "
        f"{sum(run.planned.name == 'base' for run in results.healthy)} healthy seeds of the base recipe), {len(results.healthy)} "
        f"healthy runs, {len(results.harmless)} planted faults that did no harm here and are not counted.",
        "## Faults that hurt", _table(results), _halves(results), "## Calibration, with probes", _calibration(results),
        "## Repair" if repair else "", repair, "## Healthy runs", _healthy(results), "## Each fault", _each(results),
        "## Planted, and harmless here", _harmless(results), "## Cost", _cost(results),
    ]  # fmt: skip
    return "\n\n".join(block for block in blocks if block) + "\n"


def as_json(results: Results, *, machine: str) -> dict[str, Any]:
    """Return the same as plain data."""
    return {
        "machine": machine,
        "threshold_map": results.threshold,
        "scores": {
            name: {part or "all": asdict(results.score(name, part)) for part in ("", "calibration", "held out")}
            for name in results.diagnosers
        },
        "random_choice_top1": random_choice(),
        "false_alarms": {
            name: {"count": len(results.false_alarms(name)), "of": len(results.healthy)} for name in results.diagnosers
        },
        "faults": [_plain(run, True) for run in results.hurt] + [_plain(run, False) for run in results.harmless],
        "healthy": [_plain(run, None) for run in results.healthy],
    }


def _plain(run: Done, hurts: bool | None) -> dict[str, Any]:
    causes = sorted(run.planned.fault.causes) if run.planned.fault else []
    told = {
        name: {"findings": answer.codes, "causes": answer.ranked, "confidence": answer.confidence, "alarm": answer.is_alarm}
        for name, answer in run.answers.items()
    }
    return {
        "name": run.planned.name, "seed": run.planned.seed, "hurts": hurts, "final_map": run.final_map, "causes": causes,
        "half": _half(run), "answers": told, "seconds": {**run.story["seconds"], "probing": run.probing_seconds},
        "problem": run.story["problem"],
    }  # fmt: skip


def _half(run: Done) -> str:
    return half(run.planned.fault.kind) if run.planned.fault else ""


def _table(results: Results) -> str:
    lines = [
        "| diagnoser | detected | top-1 | top-3 | first word right | said nothing | wrong | wrong, sure | classes named "
        "| false alarms |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in results.diagnosers:
        found, alarms = results.score(name), len(results.false_alarms(name))
        lines.append(
            f"| {_name(name)} | {_share(found.detected, found.count)} | {_share(found.top1, found.count)} | "
            f"{_share(found.top3, found.count)} | {_share(found.first_word, found.count)} | "
            f"{_share(found.abstained, found.count)} | {_share(found.wrong, found.count)} | "
            f"{_share(found.surely_wrong, found.count)} | {found.classes_named:.1f} | {_share(alarms, len(results.healthy))} |"
        )
    lines.append(f"| one class at random | 100 % | {random_choice():.0%} | | | 0 % | {1 - random_choice():.0%} | | 1.0 | 100 % |")
    return "\n".join(lines)


def _halves(results: Results) -> str:
    lines = [
        "| with probes, by half of the fault kinds | faults | top-1 | top-3 | wrong | wrong, sure |",
        "|---|---|---|---|---|---|",
    ]
    for part in ("calibration", "held out"):
        found = results.score("probes", part)
        lines.append(
            f"| {part} | {found.count} | {_share(found.top1, found.count)} | {_share(found.top3, found.count)} | "
            f"{_share(found.wrong, found.count)} | {_share(found.surely_wrong, found.count)} |"
        )
    return "\n".join(lines)


def _calibration(results: Results) -> str:
    found = results.score("probes")
    lines = ["| confidence | answers | mean confidence | right |", "|---|---|---|---|"]
    lines += [f"| {name} | {count} | {mean:.2f} | {right:.0%} |" for name, count, mean, right in found.calibration if count]
    brier = "" if found.brier is None else f"\n\nBrier score of the first answer: {found.brier:.3f} (0 is perfect)."
    return "\n".join(lines) + brier


def _healthy(results: Results) -> str:
    count = len(results.healthy)
    lines = []
    for name in VIEWS:
        alarms = results.false_alarms(name)
        low, high = interval(len(alarms), count)
        who = "; ".join(f"{run.planned.name}: {run.answers[name].codes[0]}" for run in alarms)
        lines.append(f"- {_DOORS[name]}: {len(alarms)} false alarms in {count} (95 % {low:.0%} to {high:.0%}). {who}")
    maps = ", ".join(f"{run.planned.name} {run.final_map:.3f}" for run in results.healthy)
    return "\n".join(lines) + f"\n\nFinal mAP: {maps}."


def _each(results: Results) -> str:
    lines = ["| fault | half | mAP | right answers | log alone | + checkpoints | + probes |", "|---|---|---|---|---|---|---|"]
    for run in results.hurt:
        assert run.planned.fault is not None
        told = " | ".join(_told(run, name) for name in VIEWS)
        causes = ", ".join(sorted(run.planned.fault.causes))
        lines.append(f"| {run.planned.name} | {_half(run)} | {run.final_map:.3f} | {causes} | {told} |")
    return "\n".join(lines)


def _told(run: Done, diagnoser: str) -> str:
    answer, told = run.answers[diagnoser], case(run, diagnoser)
    if not answer.is_alarm:
        return f"– ({answer.codes[0] if answer.codes else 'nothing'})"
    mark = "**right**" if told.is_right() else "among three" if told.is_right(among=3) else "WRONG"
    return f"{mark}: {answer.codes[0]} ({answer.confidence:.2f})"


def _harmless(results: Results) -> str:
    return ", ".join(f"{run.planned.name} (mAP {run.final_map:.3f})" for run in results.harmless) or "None."


def _cost(results: Results) -> str:
    runs = (*results.healthy, *results.hurt, *results.harmless)
    spent = {what: sum(run.story["seconds"][what] for run in runs) for what in ("training", "watching")}
    steps = sum(run.story["log"][-1]["iteration"] for run in runs if run.story["log"])
    step = spent["training"] / max(steps, 1)
    lines = [
        f"Processor seconds: training {spent['training']:.0f} ({1000 * step:.0f} ms a step, with one evaluation an epoch), "
        f"watching {spent['watching']:.1f} ({spent['watching'] / max(spent['training'], 1e-9):.1%} of training)."
    ]
    for what, part in (("a healthy run, where every probe is run", results.healthy), ("a fault that hurts", results.hurt)):
        seconds = sum(run.probing_seconds for run in part) / max(len(part), 1)
        lines.append(
            f"Probing {what}: {seconds:.1f} s on average, the time of {seconds / max(step, 1e-9):.0f} training steps: 5 % of a "
            f"run of {20 * seconds / max(step, 1e-9):.0f} steps, and more of a shorter one."
        )
    return "\n".join(lines)


def _name(diagnoser: str) -> str:
    return f"unplateau, {_DOORS[diagnoser]}" if diagnoser in _DOORS else diagnoser


def _share(part: int, count: int) -> str:
    return "–" if not count else f"{part / count:.0%} ({part}/{count})"
