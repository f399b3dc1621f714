"""BEST_MODEL_SELECTION.txt: its first two lines, what it owes for every ending, and the rules that were asked for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unplateau.config.delta import difference, with_values
from unplateau.config.load import load
from unplateau.report.solutions_content import SolutionsReport, TriedSolution
from unplateau.report.solutions_text import selection_text
from unplateau.runs.layout import RunFolder
from unplateau.runs.record import EpochRecord, RetrievalMetrics, StopReason
from unplateau.selection.select import select
from unplateau.selection.statistics import ValidationCurve

CONTROL, FIRST, SECOND = "solution_0_control", "solution_1_higher_lr", "solution_2_cosine_annealing"
PERSONS_Q = np.repeat(np.arange(30), 2)
CONFIG = load(None).config
CODES = (
    "no-improvement", "completed", "target-reached", "time-budget", "interrupted", "preempted", "paused", "out-of-memory",
    "diverged", "preflight", "error", "killed",
)  # fmt: skip


def _metrics(score: float, protocol: str = "held-out") -> RetrievalMetrics:
    return RetrievalMetrics(protocol, score, score / 2, {"1": score, "5": 0.9}, 60, 120, 30, 0.02, "Made")


def _tried(name: str, scores: list[float], code: str = "completed", **changes: object) -> TriedSolution:
    epochs = tuple(
        EpochRecord(number, number, 1e-3, 3.0, {"cross_entropy": 6.4 / number, "triplet": 0.5}, validation=_metrics(score))
        for number, score in enumerate(scores, 1)
    )
    config = with_values(CONFIG, changes)
    stop = StopReason(code, f"Headline of {code}", epochs_trained=len(scores), max_epochs=90)
    return TriedSolution(
        name, Path(f"{name}.yml"), RunFolder(Path("logs") / name), config,
        changes=difference(CONFIG, config), epochs=epochs, stop=stop, is_control=name == CONTROL,
        hypothesis="the steps are too small", expected="CE 6.7 -> 5.5-6.0", command=f"train {name}",
    )  # fmt: skip


def _report(*tried: TriedSolution, noise: float = 0.01, **more: object) -> SolutionsReport:
    rng, curves = np.random.default_rng(0), []
    for run in tried:
        scores = [epoch.validation.mAP for epoch in run.epochs if epoch.validation is not None]
        if scores:
            rows = np.stack([score + rng.normal(0, noise, 30)[PERSONS_Q] for score in scores])
            curves.append(ValidationCurve(run.name, np.arange(1, len(scores) + 1), rows, PERSONS_Q))
    return SolutionsReport(select(curves, control=CONTROL), tried, "held-out" if curves else "", **more)  # type: ignore[arg-type]


def _flat(report: SolutionsReport) -> str:
    """The text without its line breaks."""
    return " ".join(selection_text(report).split())


def _usual(**more: object) -> SolutionsReport:
    control, first = _tried(CONTROL, [0.3, 0.4]), _tried(FIRST, [0.4, 0.5], **{"SOLVER.BASE_LR": 0.0007})
    return _report(control, first, **more)


def test_the_winner_is_the_first_line_and_how_sure_the_second() -> None:
    lines = selection_text(_usual()).splitlines()
    assert lines[0] == f"WINNER: {FIRST}"
    assert lines[1].startswith("HOW SURE: clear winner")


def test_runs_that_cannot_be_told_apart_are_named() -> None:
    report = _report(_tried(CONTROL, [0.40]), _tried(FIRST, [0.405]), noise=0.2)
    names = {CONTROL, FIRST} - {report.selection.ranked[0].name}
    assert selection_text(report).splitlines()[1] == f"HOW SURE: not enough evidence: {names.pop()} cannot be told apart from it"
    assert "cannot be seen" in _flat(report)


def test_equal_runs_tie() -> None:
    report = _report(_tried(CONTROL, [0.4]), _tried(FIRST, [0.4]), noise=0.0)
    assert selection_text(report).splitlines()[1].startswith("HOW SURE: tie with ")


def test_what_differs_from_the_stalled_run_is_listed() -> None:
    text = selection_text(_usual())
    assert f"  SOLVER.BASE_LR: {CONFIG.SOLVER.BASE_LR} -> 0.0007" in text
    assert "Use this:" in text and str(Path("logs") / FIRST / "best_model.pth") in text


def test_helped_means_better_than_the_control() -> None:
    text = _flat(_report(_tried(CONTROL, [0.4]), _tried(FIRST, [0.5]), _tried(SECOND, [0.3])))
    assert f"{FIRST}: helped: +" in text and f"{SECOND}: did harm: -" in text
    assert "expected, as asked: CE 6.7 -> 5.5-6.0" in text


def test_expected_losses_stand_beside_what_happened() -> None:
    text = selection_text(_report(_tried(CONTROL, [0.3] * 10), _tried(FIRST, [0.4] * 10)))
    row = next(line for line in text.splitlines() if line.strip().startswith("epoch 10"))
    assert row.split("  ")[-1].strip() == "6.71 / 2.83 / 9.54"
    assert "0.64 / 0.50 / 1.14" in row and "6.45 / 2.75 / 9.20" in row


@pytest.mark.parametrize("code", CODES)
def test_every_way_to_end_has_its_place(code: str) -> None:
    trained = _flat(_report(_tried(CONTROL, [0.3]), _tried(FIRST, [0.4], code)))
    assert f"Headline of {code} (1/90)" in trained
    untrained = _flat(_report(_tried(CONTROL, [], code), _tried(FIRST, [], code)))
    assert untrained.startswith("WINNER: none trained HOW SURE: there is nothing to choose from")
    assert f"Headline of {code} (0/90)" in untrained


def test_below_the_asked_test_map_the_next_solution_is_advised() -> None:
    text = _flat(_usual(tests=(_metrics(0.21, "test"),)))
    assert "TEST mAP: 0.2100" in text and "Test mAP 0.2100 is below 0.3: try the next solution" in text


def test_above_it_and_improving_it_is_to_be_deployed() -> None:
    rising = [0.1 + 0.03 * number for number in range(12)]
    text = _flat(_report(_tried(CONTROL, [0.2]), _tried(FIRST, rising), tests=(_metrics(0.41, "test"),)))
    assert "is above 0.3 and it was still improving: deploy" in text
    assert "It may gain from more epochs" in text and "SOLVER.MAX_EPOCH 120" in text


def test_above_it_and_plateaued_solution_two_is_advised() -> None:
    flat = [0.1, *[0.5] * 14]
    text = _flat(_report(_tried(CONTROL, [0.2]), _tried(FIRST, flat, "no-improvement"), tests=(_metrics(0.41, "test"),)))
    assert "it plateaued: for more, try solution 2" in text


def test_a_broken_pipeline_comes_before_everything() -> None:
    control = _tried(CONTROL, [0.02])
    report = _report(control, _tried(FIRST, [0.02]), noise=0.0, broken_pipeline="the weights did not move (weights-not-updated).")
    assert selection_text(report).splitlines()[2].startswith("NONE OF THEM CAN HELP: the weights did not move")
    assert "Repair the pipeline first" in _flat(report)


def test_a_choice_on_the_test_set_is_called_optimistic() -> None:
    assert "every number is optimistic" in _flat(replace(_usual(), protocol="test"))


def test_nothing_is_wider_than_a_page() -> None:
    long = max(len(line) for line in selection_text(_usual(tests=(_metrics(0.4, "test"),))).splitlines())
    assert long <= 130
