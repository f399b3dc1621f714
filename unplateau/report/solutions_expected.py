"""Expected against what happened, for each solution. "Helped" means better than the control, not better than the stall."""

from __future__ import annotations

import textwrap

from unplateau.report.solutions_content import SEARCH, SolutionsReport, TriedSolution
from unplateau.report.words import difference_words
from unplateau.runs.record import EpochRecord
from unplateau.selection.statistics import Difference
from unplateau.solutions.asked_for import ASKED_FOR
from unplateau.solutions.expected import AFTER_ANY_SOLUTION, HOPED_FOR, STALLED, Losses

_WIDTH = 116
_ROW = "      {:<12}{:<27}{:<27}{:<27}{}"


def expected_lines(report: SolutionsReport) -> list[str]:
    """Return a block a solution: hypothesis, what was hoped for, what happened, and whether it helped."""
    solutions = [run for run in report.tried if not run.is_control and (report.kind != SEARCH or run.hypothesis)]
    if not solutions:
        return []
    lines = [
        _filled(
            "Losses are unweighted, CE / triplet / total. The values asked for are shown as asked and prove nothing: a trainer "
            f"that works beats them in its first epoch. Hoped for {AFTER_ANY_SOLUTION}."
        )
    ]
    for run in solutions:
        lines += _one(run, report)
    return lines


def verdict_of(run: TriedSolution, report: SolutionsReport) -> str:
    """Return whether a solution helped, in a phrase."""
    ranked = report.selection.named(run.name)
    if ranked is None:
        return "no result, it did not train" if not run.epochs else "no result, nothing was validated"
    if ranked.over_control is None:
        return "cannot be said: there is no control to compare it with"
    return f"{_helped(ranked.over_control)}: {difference_words(ranked.over_control)} over the control"


def _helped(difference: Difference) -> str:
    if not difference.is_sure:
        return "not enough evidence that it helped"
    return "helped" if difference.estimate.value > 0 else "did harm"


def _one(run: TriedSolution, report: SolutionsReport) -> list[str]:
    lines = [_filled(f"{run.name}: {verdict_of(run, report)}.")]
    if run.hypothesis:
        lines.append(_filled(f"hypothesis: {run.hypothesis}", "      "))
    asked = ", as asked" if any(one.name == run.name for one in ASKED_FOR) else ""
    lines.append(_filled(f"expected{asked}: {run.expected or 'nothing in particular'}", "      "))
    return [*lines, *_table(run, report.control)]


def _table(run: TriedSolution, control: TriedSolution | None) -> list[str]:
    """The epochs of the asked table that were trained, and the last one."""
    if not run.epochs:
        return []
    hoped = HOPED_FOR.get(run.name, {})
    epochs = sorted({*(epoch for epoch in STALLED if epoch <= run.epochs[-1].epoch), run.epochs[-1].epoch})
    rows = [_ROW.format("", "happened", "control here", "expected, as asked", "stalled run").rstrip()]
    for epoch in epochs:
        columns = [_happened(run, epoch), _happened(control, epoch), _words(hoped.get(epoch)), _words(STALLED.get(epoch))]
        rows.append(_ROW.format(f"epoch {epoch}", *columns).rstrip())
    return rows


def _happened(run: TriedSolution | None, epoch: int) -> str:
    record = next((one for one in run.epochs if one.epoch == epoch), None) if run is not None else None
    return "-" if record is None else _recorded(record)


def _recorded(record: EpochRecord) -> str:
    terms = [record.losses.get("cross_entropy"), record.losses.get("triplet"), sum(record.losses.values())]
    return " / ".join("-" if term is None else f"{term:.2f}" for term in terms)


def _words(losses: Losses | None) -> str:
    return "-" if losses is None else f"{losses.cross_entropy:.2f} / {losses.triplet:.2f} / {losses.total:.2f}"


def _filled(text: str, indent: str = "  ") -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_long_words=False, break_on_hyphens=False
    )
