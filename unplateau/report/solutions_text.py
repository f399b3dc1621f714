"""The text of `BEST_MODEL_SELECTION.txt`: the model to use, how sure that is, why, and what to do next.

Expected against what happened: `solutions_expected`. Which advice follows a result: `solutions_advice`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from unplateau.report.lines import metrics_line
from unplateau.report.selection_words import how_sure, why
from unplateau.report.solutions_advice import next_steps
from unplateau.report.solutions_content import COMPARISON, SEARCH, SolutionsReport, TriedSolution
from unplateau.report.solutions_expected import expected_lines
from unplateau.report.solutions_rounds import rounds_section
from unplateau.report.text import bullet, hyperparameter_lines
from unplateau.report.words import difference_words, interval_words, shown
from unplateau.selection.select import Ranked

_WIDTH = 116


def selection_text(report: SolutionsReport) -> str:
    """Return the whole text."""
    winner = report.winner
    sections = [
        ("", _head(report)),
        ("WHY:", [bullet(sentence) for sentence in why(report)]),
        ("METRICS:", _metrics(report)),
        ("HYPERPARAMETERS:", hyperparameter_lines(winner.config) if winner is not None and winner.config is not None else []),
        (_differences_title(report), _differences(report)),
        ("FILES:", _files(winner) if winner is not None else []),
        ("ROUNDS OF HALVING:", rounds_section(report.rounds) if report.rounds is not None else []),
        (f"EVERY {'RECIPE' if _has_seeds(report) else 'RUN'}, the best {_protocol(report)} mAP first:", _every_run(report)),
        ("EXPECTED AGAINST WHAT HAPPENED:", expected_lines(report) if _tests_solutions(report) else []),
        ("WHAT TO DO NEXT:", [bullet(sentence) for sentence in next_steps(report)]),
        ("NOTES:", [bullet(sentence) for sentence in _notes(report)]),
    ]
    blocks = ["\n".join([title, *lines] if title else lines) for title, lines in sections if lines]
    return "\n\n".join(blocks) + "\n"


def _head(report: SolutionsReport) -> list[str]:
    winner = report.winner
    lines = [
        f"WINNER: {winner.name if winner is not None else 'none trained'}",
        f"HOW SURE: {how_sure(report)}",
    ]
    if report.broken_pipeline and not report.helped:
        lines.append(_wrapped(f"NONE OF THEM CAN HELP: {report.broken_pipeline}"))
    elif report.broken_pipeline:
        repaired = ", ".join(report.helped)
        lines.append(_wrapped(f"THE CONTROL IS BROKEN, and {repaired} trains better than it: {report.broken_pipeline}"))
    return lines


def _metrics(report: SolutionsReport) -> list[str]:
    first, winner = report.selection.winner, report.winner
    if first is None or winner is None:
        return []
    epoch = f" (Epoch {first.epoch})" if first.epoch else ""
    lines = [f"  BEST mAP: {first.best_map.value:.4f}{epoch}, {interval_words(first.best_map)}"]
    best = next((epoch.validation for epoch in winner.epochs if epoch.epoch == first.epoch), None)
    if best is not None:
        lines.append(_wrapped(f"  {metrics_line(best)}", indent="    "))
    lines += [_wrapped(f"  TEST mAP: {test.mAP:.4f}: {metrics_line(test)}", indent="    ") for test in report.tests]
    if not report.tests and not winner.foreign_protocol:
        lines.append(f"  TEST mAP: not scored{f': {report.test_problem}' if report.test_problem else ' yet'}")
    return lines


def _differences(report: SolutionsReport) -> list[str]:
    winner = report.winner
    if winner is None:
        return []
    if report.kind == COMPARISON:
        return _recipes_apart(report)
    if report.control is None:
        return ["  not known: the solution files name no configuration that they change (_BASE_)"]
    if winner.is_control:
        which = "base" if report.kind == SEARCH else "stalled"
        return [f"  nothing: it is the {which} configuration in a trainer that works"]
    changes = [f"  {key}: {shown(old)} -> {shown(new)}" for key, (old, new) in winner.changes.items()]
    return changes or ["  nothing: the overrides have made it equal to the control"]


def _differences_title(report: SolutionsReport) -> str:
    if report.kind == SEARCH:
        return "WHAT DIFFERS FROM THE BASE:"
    if report.kind != COMPARISON:
        return "WHAT DIFFERS FROM THE STALLED RUN:"
    return f"WHAT EACH RECIPE CHANGES, against {'the control' if report.control is not None else 'the winner'}:"


def _recipes_apart(report: SolutionsReport) -> list[str]:
    """A line a recipe: the keys in which it differs, and how."""
    lines: dict[str, str] = {}
    for run in report.tried:
        changes = ", ".join(f"{key} {shown(old)} -> {shown(new)}" for key, (old, new) in run.changes.items())
        if changes:
            lines.setdefault(report.recipes.get(run.name, run.name), changes)
    return [_wrapped(f"  {name}: {changes}", indent="      ") for name, changes in lines.items()]


def _files(winner: TriedSolution) -> list[str]:
    folder = winner.folder
    if winner.foreign_protocol:
        return [f"  Results: {winner.config_file}"]
    return [
        f"  Use this:       {folder.best_model}",
        f"  Read this:      {folder.stopping_reason}",
        f"  Every epoch:    {folder.history}",
        f"  To repeat it:   {folder.model_info}, {folder.config}",
        f"  {'Configuration:' if winner.config_file == folder.config else 'Solution file:'}  {winner.config_file}",
    ]


def _every_run(report: SolutionsReport) -> list[str]:
    by_name = {run.name: run for run in report.tried}
    ranked = report.selection.ranked
    counted = {name for one in ranked for name in (one.best_run, *(run.name for run in one.runs))}
    lines = [
        line
        for one in ranked
        for line in (_one_recipe(one, by_name) if len(one.runs) > 1 else _one_run(by_name[one.best_run], one))
    ]
    return lines + [line for run in report.tried if run.name not in counted for line in _one_run(run, None)]


def _one_recipe(one: Ranked, by_name: Mapping[str, TriedSolution]) -> list[str]:
    """A recipe, how far it is behind, and its seeds."""
    mean = interval_words(one.mean) if one.mean is not None else f"{one.score:.2%}"
    lines = [f"  {one.name}, {len(one.runs)} seeds: mean mAP {mean}"]
    if one.behind_winner is not None:
        lines.append(_wrapped(f"behind the winner by {difference_words(one.behind_winner, signed=False)}", indent="      "))
    for run in one.runs:
        epoch = f" at epoch {run.epoch}" if run.epoch else ""
        lines.append(_wrapped(f"{run.name}: {run.best_map:.2%}{epoch}; ended: {by_name[run.name].ended}", indent="      "))
    return lines


def _one_run(run: TriedSolution, ranked: Ranked | None) -> list[str]:
    epoch = f" at epoch {ranked.epoch}" if ranked is not None and ranked.epoch else ""
    score = f"mAP {interval_words(ranked.best_map)}{epoch}" if ranked is not None else _not_counted(run)
    lines = [f"  {run.name}: {score}"]
    if ranked is not None and not ranked.is_candidate:
        lines.append("      looked at once, and not trained again with fresh seeds")
    if ranked is not None and ranked.behind_winner is not None:
        lines.append(_wrapped(f"behind the winner by {difference_words(ranked.behind_winner, signed=False)}", indent="      "))
    lines.append(_wrapped(f"ended: {run.ended}", indent="      "))
    return lines


def _not_counted(run: TriedSolution) -> str:
    is_validated = any(epoch.validation is not None for epoch in run.epochs)
    return "not counted, see NOTES" if is_validated and run.folder.best_model.exists() else "no validated model"


def _tests_solutions(report: SolutionsReport) -> bool:
    """Runs that were merely there have no expectation to be held against."""
    return report.kind != COMPARISON or any(run.hypothesis for run in report.tried)


def _has_seeds(report: SolutionsReport) -> bool:
    return any(len(one.runs) > 1 for one in report.selection.ranked)


def _notes(report: SolutionsReport) -> list[str]:
    selection = report.selection
    notes = []
    if selection.winner is not None:
        notes.append(
            f"Method: {selection.num_queries} queries of {selection.num_identities} identities, the same ones for all runs; "
            "differences are taken identity by identity. For comparisons each run's epoch is chosen on one half "
            "of the identities and scored on the other; Holm's correction over the comparisons with the winner, and over those "
            "with the control. A run's own mAP is at its best epoch on all held-out identities, so a little optimistic. "
            "More: docs/selection.md."
        )
    if report.protocol == "test":
        notes.append("Everything here was chosen on the test set (query/gallery): every number is optimistic.")
    notes += [
        f"{name} was scored on other queries than the winner, so it is listed and not compared."
        for name in selection.not_comparable
    ]
    equal = [
        run.name
        for run in report.tried
        if report.control and run.config and not run.is_control and not run.changes
        and report.recipes.get(run.name, run.name) != report.recipes.get(report.control.name)  # not another seed of it
    ]  # fmt: skip
    if equal:
        notes.append(f"With the values given nothing is left that differs from the control in {', '.join(equal)}.")
    return [*notes, *report.notes]


def _protocol(report: SolutionsReport) -> str:
    return "test-set" if report.protocol == "test" else "held-out"


def _wrapped(text: str, *, indent: str = "") -> str:
    first = "" if text.startswith(" ") else indent
    return textwrap.fill(
        text, _WIDTH, initial_indent=first, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
