"""The text of `BEST_MODEL_SELECTION.txt`: the model to use, how sure that is, why, and what to do next.

Expected against what happened: `solutions_expected`. Which advice follows a result: `solutions_advice`.
"""

from __future__ import annotations

import textwrap

from unplateau.report.console import metrics_line
from unplateau.report.solutions_advice import next_steps
from unplateau.report.solutions_content import SolutionsReport, TriedSolution
from unplateau.report.solutions_expected import expected_lines
from unplateau.report.text import hyperparameter_lines
from unplateau.report.words import difference_words, interval_words, points
from unplateau.selection.select import CLEAR, MATTERS, TIE, Ranked

_WIDTH = 116
_ONE_SEED = (
    'One seed each: this supports "this checkpoint is better than that one", never "this recipe is better". For the recipe, '
    "train the best ones with several seeds (--seeds 5)."
)


def selection_text(report: SolutionsReport) -> str:
    """Return the whole text."""
    winner = report.winner
    sections = [
        ("", _head(report)),
        ("WHY:", _why(report)),
        ("METRICS:", _metrics(report)),
        ("HYPERPARAMETERS:", hyperparameter_lines(winner.config) if winner is not None and winner.config is not None else []),
        ("WHAT DIFFERS FROM THE STALLED RUN:", _differences(report)),
        ("FILES:", _files(winner) if winner is not None else []),
        ("EVERY RUN, the best held-out mAP first:", _every_run(report)),
        ("EXPECTED AGAINST WHAT HAPPENED:", expected_lines(report)),
        ("WHAT TO DO NEXT:", [_bullet(sentence) for sentence in next_steps(report)]),
        ("NOTES:", [_bullet(sentence) for sentence in _notes(report)]),
    ]
    blocks = ["\n".join([title, *lines] if title else lines) for title, lines in sections if lines]
    return "\n\n".join(blocks) + "\n"


def _head(report: SolutionsReport) -> list[str]:
    winner = report.winner
    lines = [f"WINNER: {winner.name if winner is not None else 'none trained'}", f"HOW SURE: {_how_sure(report)}"]
    if report.broken_pipeline and not report.helped:
        lines.append(_wrapped(f"NONE OF THEM CAN HELP: {report.broken_pipeline}"))
    elif report.broken_pipeline:
        repaired = ", ".join(report.helped)
        lines.append(_wrapped(f"THE CONTROL IS BROKEN, and {repaired} trains better than it: {report.broken_pipeline}"))
    return lines


def _how_sure(report: SolutionsReport) -> str:
    selection = report.selection
    if selection.winner is None:
        return "there is nothing to choose from: no run finished an epoch with a validated model"
    names = ", ".join(run.name for run in selection.undecided)
    if selection.verdict == CLEAR:
        return "clear winner, better than every other run on the identities held out (this checkpoint; one seed each)"
    if selection.verdict == TIE:
        return f"tie with {names}: they differ by less than {points(MATTERS)} of mAP"
    if len(selection.ranked) < 2:
        return "not enough evidence: no other run was trained to compare it with"
    if not names:
        return "not enough evidence: the other runs were scored on other queries"
    return f"not enough evidence: {names} cannot be told apart from it"


def _why(report: SolutionsReport) -> list[str]:
    selection = report.selection
    winner = selection.winner
    if winner is None:
        return ["  - No run has a validated model. Why each of them ended stands below."]
    sentences = [
        f"It has the highest {_protocol(report)} mAP of {len(selection.ranked)} runs: {interval_words(winner.best_map)}."
    ]
    runner_up = next((run for run in selection.ranked if run.behind_winner is not None), None)
    if runner_up is not None and runner_up.behind_winner is not None:
        sentences.append(f"Against the runner-up {runner_up.name}: {difference_words(runner_up.behind_winner)}.")
    if winner.over_control is not None and (runner_up is None or runner_up.name != selection.control):
        sentences.append(f"Against the control {selection.control}: {difference_words(winner.over_control)}.")
    if winner.name == selection.control:
        sentences.append("The winner is the unchanged configuration: no solution reached more than a trainer that works.")
    if runner_up is not None and runner_up.behind_winner is not None and selection.undecided:
        width = (runner_up.behind_winner.estimate.high - runner_up.behind_winner.estimate.low) / 2
        sentences.append(
            f"With {selection.num_identities} identities held out, differences below about {points(width)} of mAP cannot be seen."
        )
    sentences.append(_ONE_SEED)
    return [_bullet(sentence) for sentence in sentences]


def _metrics(report: SolutionsReport) -> list[str]:
    first, winner = report.selection.winner, report.winner
    if first is None or winner is None:
        return []
    lines = [f"  BEST mAP: {first.best_map.value:.4f} (Epoch {first.epoch}), {interval_words(first.best_map)}"]
    best = next((epoch.validation for epoch in winner.epochs if epoch.epoch == first.epoch), None)
    if best is not None:
        lines.append(_wrapped(f"  {metrics_line(best)}", indent="    "))
    lines += [_wrapped(f"  TEST mAP: {test.mAP:.4f}: {metrics_line(test)}", indent="    ") for test in report.tests]
    if not report.tests:
        lines.append(f"  TEST mAP: not scored{f': {report.test_problem}' if report.test_problem else ' yet'}")
    return lines


def _differences(report: SolutionsReport) -> list[str]:
    winner = report.winner
    if winner is None:
        return []
    if report.control is None:
        return ["  not known: the solution files name no configuration that they change (_BASE_)"]
    if winner.is_control:
        return ["  nothing: it is the stalled configuration in a trainer that works"]
    changes = [f"  {key}: {shown(old)} -> {shown(new)}" for key, (old, new) in winner.changes.items()]
    return changes or ["  nothing: the overrides have made it equal to the control"]


def _files(winner: TriedSolution) -> list[str]:
    folder = winner.folder
    return [
        f"  Use this:       {folder.best_model}",
        f"  Read this:      {folder.stopping_reason}",
        f"  Every epoch:    {folder.history}",
        f"  To repeat it:   {folder.model_info}, {folder.config}",
        f"  Solution file:  {winner.config_file}",
    ]


def _every_run(report: SolutionsReport) -> list[str]:
    names = [run.name for run in report.selection.ranked]
    others = [run.name for run in report.tried if run.name not in names]
    by_name = {run.name: run for run in report.tried}
    return [line for name in (*names, *others) for line in _one_run(by_name[name], report.selection.named(name))]


def _one_run(run: TriedSolution, ranked: Ranked | None) -> list[str]:
    score = f"mAP {interval_words(ranked.best_map)} at epoch {ranked.epoch}" if ranked is not None else "no validated model"
    lines = [f"  {run.name}: {score}"]
    if ranked is not None and ranked.behind_winner is not None:
        lines.append(_wrapped(f"behind the winner by {difference_words(ranked.behind_winner, signed=False)}", indent="      "))
    lines.append(_wrapped(f"ended: {run.ended}", indent="      "))
    return lines


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
    equal = [run.name for run in report.tried if report.control and run.config and not run.is_control and not run.changes]
    if equal:
        notes.append(f"With the values given nothing is left that differs from the control in {', '.join(equal)}.")
    return [*notes, *report.notes]


def _protocol(report: SolutionsReport) -> str:
    return "test-set" if report.protocol == "test" else "held-out"


def shown(value: object) -> str:
    """Return a configuration value as people write it."""
    return f"[{', '.join(map(str, value))}]" if isinstance(value, (tuple, list)) else str(value)


def _bullet(sentence: str) -> str:
    return textwrap.fill(
        sentence, _WIDTH, initial_indent="  - ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )


def _wrapped(text: str, *, indent: str = "") -> str:
    first = "" if text.startswith(" ") else indent
    return textwrap.fill(
        text, _WIDTH, initial_indent=first, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
