"""What is recommended follows from how a run ended and what it measured."""

from dataclasses import replace

import numpy as np
import pytest

from unplateau.diagnosis.advice import Ending, advise
from unplateau.runs.record import EpochRecord, RetrievalMetrics

COMMAND = "python train_research_grade.py --config-file a.yml --run-name r"
ANEW = f"{COMMAND}_2"


def _metrics(score: float, protocol: str = "held-out") -> RetrievalMetrics:
    return RetrievalMetrics(protocol, score, score / 2, {"1": score}, 10, 30, 6, 0.02, "Market1501")


def _epochs(scores: list[float]) -> tuple[EpochRecord, ...]:
    noise = np.random.default_rng(0).normal(0, 0.002, len(scores))
    return tuple(
        EpochRecord(number, number * 10, 3.5e-4, 5.0, {}, validation=_metrics(float(score + wobble)))
        for number, (score, wobble) in enumerate(zip(scores, noise, strict=True), start=1)
    )


def _ending(code: str, scores: list[float], **facts: object) -> Ending:
    base = Ending(code, _epochs(scores), 90, COMMAND, batch_size=64, num_instances=4, base_rate=3.5e-4, new_run_command=ANEW)
    return replace(base, **facts)  # type: ignore[arg-type]


FLAT, RISING = [0.2, 0.3, 0.4] + [0.45] * 20, [0.02 * number for number in range(1, 24)]


def _advice(ending: Ending) -> str:
    return " ".join(advise(ending)[1])


def test_a_plateau_names_the_drop_ahead_and_the_command_that_takes_it() -> None:
    said = _advice(_ending("no-improvement", FLAT, drops_ahead=(40, 70)))
    assert said.startswith("Use this model for deployment")
    assert "epoch 40 and 70" in said and f"{COMMAND} --resume SOLVER.ON_PLATEAU drop" in said
    assert "drop was still ahead" not in _advice(_ending("no-improvement", FLAT))


def test_a_run_that_still_improved_at_its_end_is_told_to_go_on() -> None:
    said = _advice(_ending("completed", RISING, max_epochs=23))
    assert "May gain from more epochs" in said
    assert f"{COMMAND} --resume SOLVER.MAX_EPOCH 33" in said


def test_a_run_too_short_to_tell_is_told_how_to_go_on() -> None:
    said = _advice(_ending("completed", RISING[:3], max_epochs=3))
    assert "nobody can tell" in said and f"{COMMAND} --resume SOLVER.MAX_EPOCH 13" in said
    assert "nobody can tell" not in _advice(_ending("completed", [], max_epochs=3))


def test_a_run_that_was_flat_at_its_end_is_not() -> None:
    assert "SOLVER.MAX_EPOCH" not in _advice(_ending("completed", FLAT, max_epochs=23))


@pytest.mark.parametrize(
    ("score", "scores", "expected"),
    [
        (0.29, FLAT, "below 0.3: try the next solution"),
        (0.31, FLAT, "plateaued: best_model.pth can be used; for more, try solution 2"),
        (0.31, RISING, "it was improving: deploy best_model.pth"),
        (0.31, [0.3, 0.4], "above 0.3: best_model.pth can be deployed"),
    ],
)
def test_the_threshold_of_0_3_is_judged_on_test_map_and_a_plateau_on_the_curve(
    score: float, scores: list[float], expected: str
) -> None:
    assert expected in _advice(_ending("completed", scores, max_epochs=len(scores), test=_metrics(score, "test")))


def test_without_a_test_score_nothing_is_said_of_the_threshold() -> None:
    assert "0.3" not in _advice(_ending("no-improvement", FLAT))


@pytest.mark.parametrize(("batch", "each", "smaller"), [(64, 4, 32), (16, 4, 8), (24, 8, 16), (12, 4, 8)])
def test_out_of_memory_names_a_smaller_batch_that_can_be_drawn(batch: int, each: int, smaller: int) -> None:
    assert f"{ANEW} SOLVER.IMS_PER_BATCH {smaller}" in _advice(
        _ending("out-of-memory", FLAT, batch_size=batch, num_instances=each)
    )


@pytest.mark.parametrize("scores", [FLAT, RISING])
def test_on_other_data_the_solutions_are_those_of_its_own_recipe(scores: list[float]) -> None:
    facts = {"data": "MiniMarket", "run_folder": "logs/minimarket/r", "max_epochs": len(scores)}
    weak = _advice(_ending("completed", scores, test=_metrics(0.1, "test"), **facts))
    assert "plateau_solutions" not in weak and "set for Market-1501; chance is 0.0200 here" in weak
    assert "python solve_plateau.py --run logs/minimarket/r" in weak
    assert "plateau_solutions" not in _advice(_ending("completed", scores, test=_metrics(0.5, "test"), **facts))


def test_after_a_plateau_a_cosine_is_tried_on_the_same_recipe_unless_it_was_one() -> None:
    facts = {"data": "folder:mine", "run_folder": "logs/mine/r", "max_epochs": len(FLAT), "test": _metrics(0.5, "test")}
    assert f"{ANEW} SOLVER.SCHED CosineAnnealingLR" in _advice(_ending("completed", FLAT, **facts))
    cosine = _advice(_ending("completed", FLAT, is_cosine=True, **facts))
    assert "SOLVER.SCHED" not in cosine and "python solve_plateau.py --run logs/mine/r" in cosine


def test_raising_max_epoch_on_a_cosine_is_called_a_warm_restart() -> None:
    assert "warm restart" in _advice(_ending("completed", RISING, max_epochs=23, is_cosine=True))
    assert "warm restart" not in _advice(_ending("completed", RISING, max_epochs=23))


@pytest.mark.parametrize("code", ["interrupted", "preempted", "time-budget", "killed"])
def test_epochs_after_the_last_checkpoint_are_said_to_be_trained_again(code: str) -> None:
    said = _advice(_ending(code, FLAT[:7], saved_epoch=5))
    assert "checkpoint is of epoch 5, so epochs 6 to 7 are trained again" in said and "--resume" in said
    assert "so epoch 7 is trained again" in _advice(_ending(code, FLAT[:7], saved_epoch=6))
    assert "trained again" not in _advice(_ending(code, FLAT[:7], saved_epoch=7))


@pytest.mark.parametrize("code", ["interrupted", "preempted", "time-budget", "killed"])
def test_nothing_is_promised_to_be_resumable_without_a_checkpoint(code: str) -> None:
    for scores, missing in (([], "No epoch was finished"), (FLAT[:3], "No checkpoint was written")):
        said = _advice(_ending(code, scores, saved_epoch=0))
        assert missing in said and "--resume" not in said and "safe" not in said


def test_out_of_memory_with_the_smallest_batch_names_something_else() -> None:
    said = _advice(_ending("out-of-memory", FLAT, batch_size=8))
    assert "already small" in said and "SOLVER.IMS_PER_BATCH" not in said


@pytest.mark.parametrize("code", ["interrupted", "preempted", "time-budget", "killed"])
def test_what_can_be_resumed_says_how(code: str) -> None:
    assert f"{COMMAND} --resume" in _advice(_ending(code, FLAT))


def test_a_pause_names_the_key_that_ends_it() -> None:
    assert f"{COMMAND} --resume SOLVER.STOP_EPOCH 0" in _advice(_ending("paused", FLAT))


def test_a_refit_that_trained_its_chosen_epochs_is_not_told_to_go_on() -> None:
    refit = _ending("paused", FLAT)
    refit = replace(refit, epochs=tuple(replace(epoch, validation=None) for epoch in refit.epochs))
    assert "use best_model.pth" in _advice(refit) and "STOP_EPOCH" not in _advice(refit)


def test_a_run_that_validated_nothing_is_not_said_to_have_never_plateaued() -> None:
    blind = _ending("completed", FLAT)
    blind = replace(blind, epochs=tuple(replace(epoch, validation=None) for epoch in blind.epochs))
    assert "nobody can tell" in _advice(blind) and "plateau" not in _advice(blind)


def test_divergence_asks_for_a_lower_rate() -> None:
    assert "SOLVER.BASE_LR 0.00012" in _advice(_ending("diverged", [], detail="triplet became nan at step 3 (epoch 1)"))


def test_a_large_gap_to_seen_identities_is_said_with_its_numbers() -> None:
    ending = _ending("no-improvement", FLAT, train_identities=_metrics(0.95))
    evidence, recommendation = advise(ending)
    assert "on identities it was trained on 0.9500" in " ".join(evidence)
    assert "gap to the training identities is large" in " ".join(recommendation)


def test_evidence_carries_slope_interval_and_noise() -> None:
    evidence = " ".join(advise(_ending("completed", RISING))[0])
    assert "was still improving" in evidence and "95 % interval" in evidence and "noise" in evidence
    assert "+2.0" in evidence or "+1.9" in evidence
