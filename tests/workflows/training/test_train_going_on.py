"""What may change when a run goes on, and what is refused."""

from pathlib import Path

import pytest
import torch

from unplateau.base.errors import ConfigError, RunExistsError, UsageError
from unplateau.base.files import read_json, write_json
from unplateau.report.run_page import run_page
from unplateau.runs.reader import read_stop
from unplateau.runs.record import Finding, to_plain
from unplateau.testing.small_market import Lab, draw_market
from unplateau.workflows.reporting.report_run import view_of

from ..interrupting import same_runs, stop_in_step


def test_raising_max_epoch_goes_on_with_a_finished_run(lab: Lab) -> None:
    lab.train("longer", "SOLVER.MAX_EPOCH 2")
    longer = lab.train("longer", "SOLVER.MAX_EPOCH 4", resume=True)
    assert (longer.reason.code, longer.reason.epochs_trained, longer.reason.max_epochs) == ("completed", 4, 4)
    lab.train("whole", "SOLVER.MAX_EPOCH 4")
    same_runs(lab, "whole", "longer")  # with milestones, MAX_EPOCH does not change what was trained before
    assert read_json(lab.folder("longer").model_info)["changed_on_resume"] == ["SOLVER.MAX_EPOCH"]


def test_a_test_set_scored_again_after_it_was_seen_is_said(lab: Lab) -> None:
    lab.train("run", "SOLVER.MAX_EPOCH 1")
    assert "scored 2 times" not in lab.folder("run").stopping_reason.read_text(encoding="utf-8")
    lab.train("run", "SOLVER.MAX_EPOCH 2", resume=True)
    assert "scored 2 times" in lab.folder("run").stopping_reason.read_text(encoding="utf-8")
    assert read_json(lab.folder("run").model_info)["times_test_was_scored"] == 2
    lab.train("run", "SOLVER.MAX_EPOCH 3", resume=True)
    assert "scored 3 times" in lab.folder("run").stopping_reason.read_text(encoding="utf-8")


def test_preflight_looks_at_a_run_that_goes_on_too(lab: Lab) -> None:
    lab.train("run", "SOLVER.STOP_EPOCH 1")
    lab.train("run", resume=True)
    assert read_json(lab.folder("run").model_info)["preflight"]["ran"] is True


def test_a_fault_that_was_mended_is_not_shown_of_the_run_that_goes_on(lab: Lab) -> None:
    lab.train("run", "SOLVER.STOP_EPOCH 1")
    fault = Finding("weights-not-updated", "The weights are not updated", "pipeline", 0.99, ())
    write_json(lab.folder("run").findings, [to_plain(fault)])
    lab.train("run", resume=True)
    assert not lab.folder("run").findings.exists()
    assert "weights-not-updated" not in run_page(view_of(lab.folder("run"))).verdict


def test_a_longer_cosine_is_called_a_warm_restart(lab: Lab) -> None:
    cosine = "SOLVER.SCHED CosineAnnealingLR SOLVER.WARMUP_ITERS 0"
    assert "warm restart" in " ".join(lab.train("run", f"{cosine} SOLVER.MAX_EPOCH 2").reason.recommendation)
    lab.train("run", f"{cosine} SOLVER.MAX_EPOCH 4", resume=True)
    text = lab.folder("run").stopping_reason.read_text(encoding="utf-8").replace("\n    ", " ")
    assert "The learning rate rose after epoch 2" in text and "warm restart" in text
    lab.train("plain", f"{cosine} SOLVER.MAX_EPOCH 3 SOLVER.STOP_EPOCH 1")
    lab.train("plain", f"{cosine} SOLVER.MAX_EPOCH 3", resume=True)
    assert "rose after" not in lab.folder("plain").stopping_reason.read_text(encoding="utf-8")


@pytest.mark.usefixtures("flat_validation")
def test_a_plateaued_run_goes_on_when_it_is_told_to_drop(lab: Lab) -> None:
    flat = "SOLVER.MAX_EPOCH 6 SOLVER.STEPS [5] SOLVER.EARLY_STOP_PATIENCE 1"
    stopped = lab.train("flat", flat)
    assert (stopped.reason.code, stopped.reason.epochs_trained) == ("no-improvement", 2)
    assert any("drop was still ahead (epoch 5)" in sentence for sentence in stopped.reason.recommendation)
    assert any("--resume SOLVER.ON_PLATEAU drop" in sentence for sentence in stopped.reason.recommendation)
    dropped = lab.train("flat", f"{flat} SOLVER.ON_PLATEAU drop", resume=True)
    assert (dropped.reason.code, dropped.reason.epochs_trained) == ("no-improvement", 3)
    rates = [epoch["learning_rate"] for epoch in read_json(lab.folder("flat").history)["epochs"]]
    assert rates == pytest.approx([5e-3, 5e-3, 5e-4])


def test_a_changed_key_is_refused_with_the_difference_unless_forced(lab: Lab) -> None:
    lab.train("run", "SOLVER.STOP_EPOCH 1")
    reason = lab.folder("run").stopping_reason.read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match=r"SOLVER\.BASE_LR: 0\.005 when the run began, 0\.001 now") as refused:
        lab.train("run", "SOLVER.BASE_LR 0.001", resume=True)
    assert refused.value.exit_code == 2
    assert lab.folder("run").stopping_reason.read_text(encoding="utf-8") == reason
    forced = lab.train("run", "SOLVER.BASE_LR 0.001", resume=True, allow_changes=True)
    assert forced.reason.code == "completed"
    assert read_json(lab.folder("run").model_info)["changed_on_resume"] == ["SOLVER.BASE_LR", "SOLVER.STOP_EPOCH"]


def test_forced_changes_of_milestones_and_weight_decay_take_effect(lab: Lab) -> None:
    lab.train("run", "SOLVER.STOP_EPOCH 2 SOLVER.MAX_EPOCH 4 SOLVER.STEPS [3] SOLVER.WEIGHT_DECAY 0.0005")
    forced = "SOLVER.MAX_EPOCH 4 SOLVER.STEPS [2] SOLVER.WEIGHT_DECAY 0.02 SOLVER.WEIGHT_DECAY_NORM 0.02"
    lab.train("run", forced + " SOLVER.WEIGHT_DECAY_BIAS 0.02", resume=True, allow_changes=True)
    rates = [epoch["learning_rate"] for epoch in read_json(lab.folder("run").history)["epochs"]]
    assert rates == pytest.approx([5e-3, 5e-3, 5e-4, 5e-4])
    state = torch.load(lab.folder("run").checkpoint(4), weights_only=True)["optimizers"][0]
    assert {group["weight_decay"] for group in state["param_groups"]} == {0.02}


@pytest.mark.parametrize(
    "change", ["VALIDATION.SEED 1", "VALIDATION.HELD_OUT 0.3", "VALIDATION.ON_TEST True", "TEST.METRIC euclidean"]
)
def test_how_epochs_are_scored_cannot_be_changed_even_by_force(lab: Lab, change: str) -> None:
    lab.train("run", "SOLVER.STOP_EPOCH 1")
    with pytest.raises(ConfigError, match="cannot be changed within a run, not even with --allow-changes") as refused:
        lab.train("run", change, resume=True, allow_changes=True)
    assert f"{change.split()[0]}: " in str(refused.value)


def test_other_test_sets_are_refused_where_they_are_validated_on(lab: Lab) -> None:
    market = lab.root / "Market-1501-v15.09.15"
    on_test = f"VALIDATION.ON_TEST True DATASETS.TESTS [folder:{market.as_posix()},Market1501]"
    lab.train("run", f"{on_test} SOLVER.STOP_EPOCH 1")
    fewer = draw_market(lab.place / "other", seed=1)
    with pytest.raises(UsageError, match="other data"):
        lab.train("run", f"VALIDATION.ON_TEST True DATASETS.TESTS [folder:{fewer.as_posix()}]", resume=True, allow_changes=True)


@pytest.mark.usefixtures("flat_validation")
def test_patience_that_began_anew_survives_a_stop_in_the_next_epoch(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    flat = "SOLVER.STEPS [5] SOLVER.EARLY_STOP_PATIENCE 1 SOLVER.TIME_BUDGET_HOURS 1"
    assert lab.train("flat", f"SOLVER.MAX_EPOCH 6 {flat}").reason.code == "no-improvement"
    with monkeypatch.context() as patched:
        stop_in_step(patched, steps=2)
        assert lab.train("flat", f"SOLVER.MAX_EPOCH 8 {flat}", resume=True).reason.code == "time-budget"
    ended = lab.train("flat", f"SOLVER.MAX_EPOCH 8 {flat}", resume=True)
    assert (ended.reason.code, ended.reason.epochs_trained) == ("no-improvement", 3)


def test_changed_data_is_refused_and_the_run_left_as_it_was(tmp_path: Path) -> None:
    lab = Lab(root=tmp_path / "data", place=tmp_path, cache=tmp_path / "cache")
    images = draw_market(lab.root) / "bounding_box_train"
    lab.train("run", "SOLVER.STOP_EPOCH 1")
    reason = lab.folder("run").stopping_reason.read_text(encoding="utf-8")
    next(iter(sorted(images.iterdir()))).unlink()
    with pytest.raises(UsageError, match="other data") as refused:
        lab.train("run", "SOLVER.STOP_EPOCH 2", resume=True)
    assert refused.value.exit_code == 2
    assert lab.folder("run").stopping_reason.read_text(encoding="utf-8") == reason


def test_a_used_name_ends_with_the_choices(lab: Lab) -> None:
    lab.train("used", "SOLVER.MAX_EPOCH 1")
    with pytest.raises(RunExistsError) as refused:
        lab.train("used", "SOLVER.MAX_EPOCH 1")
    assert refused.value.exit_code == 2
    for choice in ("--resume", "--run-name used_2", "--restart", "Training completed all epochs"):
        assert choice in str(refused.value)


def test_restart_keeps_the_earlier_run_under_another_name(lab: Lab) -> None:
    lab.train("again", "SOLVER.MAX_EPOCH 1")
    lab.train("again", "SOLVER.MAX_EPOCH 2", restart=True)
    assert read_stop(lab.folder("again_before1")).epochs_trained == 1  # type: ignore[union-attr]
    assert read_stop(lab.folder("again")).epochs_trained == 2  # type: ignore[union-attr]


def test_resuming_what_does_not_exist_is_refused(lab: Lab) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        lab.train("nothing", resume=True)
