"""A resumed run is the uninterrupted run, bit for bit; and what may change when a run goes on."""

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from unplateau.base.errors import ConfigError, RunExistsError, UsageError
from unplateau.base.files import read_json
from unplateau.engine import loop
from unplateau.engine.checkpoint import CheckpointStore
from unplateau.engine.requests import StopRequests
from unplateau.runs.reader import read_run, read_stop
from unplateau.testing.small_market import Lab, draw_market, same_tensors, without_times

LONG = "SOLVER.MAX_EPOCH 4 SOLVER.STEPS [2]"
RECIPES = {
    "Adam": "",
    "SGD with momentum": "SOLVER.OPT SGD SOLVER.BASE_LR 0.05",
    "moving average": "SOLVER.EMA.ENABLED True SOLVER.EMA.DECAY 0.9",
    "cosine": "SOLVER.SCHED CosineAnnealingLR SOLVER.ETA_MIN_LR 1e-5",
    "centre loss": "MODEL.LOSSES.NAME [CrossEntropyLoss,TripletLoss,CenterLoss]",
    "layers that thaw": "MODEL.FREEZE_LAYERS [backbone] SOLVER.FREEZE_ITERS 8",
    "bf16": "SOLVER.AMP.ENABLED True SOLVER.AMP.DTYPE bf16",
    "augmented": "INPUT.REA.ENABLED True INPUT.PADDING.ENABLED True INPUT.PADDING.SIZE 3 INPUT.CJ.ENABLED True",
}


def _same_runs(lab: Lab, first: str, second: str) -> None:
    one, other = lab.folder(first), lab.folder(second)
    assert same_tensors(one.final_model, other.final_model)
    assert same_tensors(one.best_model, other.best_model)
    assert without_times(read_json(one.history)["epochs"]) == without_times(read_json(other.history)["epochs"])
    assert read_json(one.model_info)["test"] == read_json(other.model_info)["test"]


def _stop_in_step(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Use the time budget up after so many steps of the loop."""
    counted = itertools.count(1)
    true_step = loop.train_step

    def train_step(parts, batch):  # type: ignore[no-untyped-def]
        terms = true_step(parts, batch)
        if next(counted) == steps:
            now[0] = 1e9
        return terms

    now = [0.0]
    true_init = StopRequests.__init__

    def init(self, **settings):  # type: ignore[no-untyped-def]
        true_init(self, **{**settings, "clock": lambda: now[0]})

    monkeypatch.setattr(loop, "train_step", train_step)
    monkeypatch.setattr(StopRequests, "__init__", init)


@pytest.fixture
def flat_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every epoch the same validation mAP."""
    true_validate = loop._validate

    def validate(parts, epoch):  # type: ignore[no-untyped-def]
        retrieval = true_validate(parts, epoch)
        return replace(retrieval, metrics=replace(retrieval.metrics, mAP=0.5))

    monkeypatch.setattr(loop, "_validate", validate)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_stopped_within_an_epoch_and_resumed_equals_the_uninterrupted_one(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    overrides = f"{LONG} SOLVER.TIME_BUDGET_HOURS 1 {RECIPES[recipe]}"
    lab.train("whole", overrides)
    with monkeypatch.context() as patched:
        _stop_in_step(patched, steps=15)  # in the middle of the third epoch of six steps
        stopped = lab.train("stopped", overrides)
    assert (stopped.reason.code, stopped.reason.exit_code, stopped.reason.epochs_trained) == ("time-budget", 75, 2)
    assert lab.train("stopped", overrides, resume=True).reason.code == "completed"
    _same_runs(lab, "whole", "stopped")


def test_a_run_paused_at_every_epoch_boundary_equals_the_uninterrupted_one(lab: Lab) -> None:
    lab.train("whole", LONG)
    for epoch in (1, 2, 3):
        paused = lab.train("paused", f"{LONG} SOLVER.STOP_EPOCH {epoch}", resume=epoch > 1)
        assert (paused.reason.code, paused.reason.epochs_trained) == ("paused", epoch)
    lab.train("paused", LONG, resume=True)
    _same_runs(lab, "whole", "paused")


@pytest.mark.usefixtures("flat_validation")
def test_drops_taken_on_a_plateau_survive_resuming(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = (
        "SOLVER.MAX_EPOCH 12 SOLVER.STEPS [6,9] SOLVER.EARLY_STOP_PATIENCE 2 SOLVER.ON_PLATEAU drop SOLVER.TIME_BUDGET_HOURS 1"
    )
    whole = lab.train("whole", overrides)
    assert (whole.reason.code, whole.reason.epochs_trained) == ("no-improvement", 7)  # 1 best, drops after 3 and 5
    rates = [epoch["learning_rate"] for epoch in read_json(lab.folder("whole").history)["epochs"]]
    assert rates == pytest.approx([5e-3, 5e-3, 5e-3, 5e-4, 5e-4, 5e-5, 5e-5])
    with monkeypatch.context() as patched:
        _stop_in_step(patched, steps=26)  # in the fifth epoch
        assert lab.train("stopped", overrides).reason.epochs_trained == 4
    lab.train("stopped", overrides, resume=True)
    _same_runs(lab, "whole", "stopped")


def test_a_finished_run_resumed_unchanged_is_a_no_op(lab: Lab) -> None:
    first = lab.train("done", "SOLVER.MAX_EPOCH 1")
    before = {path.name: path.stat().st_mtime_ns for path in lab.folder("done").path.iterdir()}
    again = lab.train("done", "SOLVER.MAX_EPOCH 1", resume=True)
    assert again.was_finished
    assert again.reason == first.reason
    assert {path.name: path.stat().st_mtime_ns for path in lab.folder("done").path.iterdir()} == before


def test_the_best_model_is_never_of_an_epoch_that_was_trained_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after an epoch was recorded and before its checkpoint; off the CPU the same epoch then comes out otherwise."""
    with monkeypatch.context() as patched:
        _validation_maps(patched, [0.4, 0.9])
        patched.setattr(CheckpointStore, "save", _fail_at(CheckpointStore.save, 2))
        assert lab.train("run", LONG).reason.code == "error"
    folder = lab.folder("run")
    assert torch.load(folder.best_model, weights_only=True)["epoch"] == 2
    with monkeypatch.context() as patched:
        _validation_maps(patched, [0.3, 0.2, 0.1])
        ended = lab.train("run", LONG, resume=True).reason
    assert (ended.best_epoch, ended.best_map) == (1, 0.4)
    facts = torch.load(folder.best_model, weights_only=True)
    assert (facts["epoch"], facts["mAP"]) == (1, 0.4)


def test_epochs_that_are_trained_again_are_taken_back_from_the_records(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(CheckpointStore, "save", _fail_at(CheckpointStore.save, 2))
        lab.train("run", LONG)
    with monkeypatch.context() as patched:
        _stop_in_step(patched, steps=2)
        again = lab.train("run", f"{LONG} SOLVER.TIME_BUDGET_HOURS 1", resume=True)
    assert (again.reason.code, again.reason.epochs_trained) == ("time-budget", 1)
    assert [epoch.epoch for epoch in read_run(lab.folder("run").path).epochs] == [1]


def _validation_maps(monkeypatch: pytest.MonkeyPatch, scores: list[float]) -> None:
    """Give the coming epochs these validation mAPs."""
    true_validate, coming = loop._validate, iter(scores)

    def validate(parts, epoch):  # type: ignore[no-untyped-def]
        retrieval = true_validate(parts, epoch)
        return replace(retrieval, metrics=replace(retrieval.metrics, mAP=next(coming)))

    monkeypatch.setattr(loop, "_validate", validate)


def _fail_at(save, epoch: int):  # type: ignore[no-untyped-def]
    def failing(self, parts, progress):  # type: ignore[no-untyped-def]
        if progress.epoch == epoch:
            raise OSError("no space left on device")
        save(self, parts, progress)

    return failing


def test_seldom_checkpoints_say_which_epochs_are_trained_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = f"{LONG} SOLVER.CHECKPOINT_PERIOD 3 SOLVER.TIME_BUDGET_HOURS 1"
    lab.train("whole", overrides)
    with monkeypatch.context() as patched:
        _stop_in_step(patched, steps=15)  # in the third epoch
        stopped = lab.train("stopped", overrides).reason
    assert (stopped.resumable, stopped.epochs_trained) == (True, 2)
    assert "so epoch 2 is trained again" in " ".join(stopped.recommendation)
    lab.train("stopped", overrides, resume=True)
    _same_runs(lab, "whole", "stopped")


def test_a_stop_before_the_first_checkpoint_promises_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    _stop_in_step(monkeypatch, steps=2)
    stopped = lab.train("stopped", "SOLVER.TIME_BUDGET_HOURS 1").reason
    assert not stopped.resumable
    assert "--resume" not in " ".join(stopped.recommendation)


def test_a_longer_cosine_is_called_a_warm_restart(lab: Lab) -> None:
    cosine = "SOLVER.SCHED CosineAnnealingLR SOLVER.WARMUP_ITERS 0"
    assert "warm restart" in " ".join(lab.train("run", f"{cosine} SOLVER.MAX_EPOCH 2").reason.recommendation)
    lab.train("run", f"{cosine} SOLVER.MAX_EPOCH 4", resume=True)
    text = lab.folder("run").stopping_reason.read_text(encoding="utf-8").replace("\n    ", " ")
    assert "The learning rate rose after epoch 2" in text and "warm restart" in text
    lab.train("plain", f"{cosine} SOLVER.MAX_EPOCH 3 SOLVER.STOP_EPOCH 1")
    lab.train("plain", f"{cosine} SOLVER.MAX_EPOCH 3", resume=True)
    assert "rose after" not in lab.folder("plain").stopping_reason.read_text(encoding="utf-8")


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


def test_raising_max_epoch_goes_on_with_a_finished_run(lab: Lab) -> None:
    lab.train("longer", "SOLVER.MAX_EPOCH 2")
    longer = lab.train("longer", "SOLVER.MAX_EPOCH 4", resume=True)
    assert (longer.reason.code, longer.reason.epochs_trained, longer.reason.max_epochs) == ("completed", 4, 4)
    lab.train("whole", "SOLVER.MAX_EPOCH 4")
    _same_runs(lab, "whole", "longer")  # with milestones, MAX_EPOCH does not change what was trained before
    assert read_json(lab.folder("longer").model_info)["changed_on_resume"] == ["SOLVER.MAX_EPOCH"]


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


@pytest.mark.usefixtures("flat_validation")
def test_patience_that_began_anew_survives_a_stop_in_the_next_epoch(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    flat = "SOLVER.STEPS [5] SOLVER.EARLY_STOP_PATIENCE 1 SOLVER.TIME_BUDGET_HOURS 1"
    assert lab.train("flat", f"SOLVER.MAX_EPOCH 6 {flat}").reason.code == "no-improvement"
    with monkeypatch.context() as patched:
        _stop_in_step(patched, steps=2)
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


@pytest.mark.parametrize("resume", [False, True])
def test_a_start_without_a_finished_epoch_starts_over(lab: Lab, monkeypatch: pytest.MonkeyPatch, resume: bool) -> None:
    with monkeypatch.context() as patched:
        _stop_in_step(patched, steps=2)
        broken = lab.train("early", "SOLVER.TIME_BUDGET_HOURS 1")
    assert (broken.reason.code, broken.reason.epochs_trained) == ("time-budget", 0)
    assert lab.train("early", resume=resume).reason.epochs_trained == 3
    lab.train("whole")
    _same_runs(lab, "whole", "early")


def test_resuming_what_does_not_exist_is_refused(lab: Lab) -> None:
    with pytest.raises(UsageError, match="holds no run"):
        lab.train("nothing", resume=True)


def test_a_killed_run_gets_its_stopping_reason_at_the_next_start(lab: Lab) -> None:
    lab.train("killed", "SOLVER.STOP_EPOCH 2")
    folder = lab.folder("killed")
    for file in (folder.stop_record, folder.stopping_reason, folder.final_model, folder.model_info):
        file.unlink()  # as SIGKILL leaves it
    with pytest.raises(RunExistsError):
        lab.train("killed")
    text = folder.stopping_reason.read_text(encoding="utf-8")
    assert "STOPPING REASON: Error: the process ended without a word" in text
    assert "EPOCHS TRAINED: 2/3" in text
    assert "--resume" in text
    lab.train("killed", resume=True)
    lab.train("whole")
    _same_runs(lab, "whole", "killed")


def test_a_run_killed_after_its_last_epoch_only_writes_its_end(lab: Lab) -> None:
    lab.train("whole")
    lab.train("killed")
    folder = lab.folder("killed")
    for file in (folder.stop_record, folder.stopping_reason, folder.final_model, folder.model_info):
        file.unlink()
    assert lab.train("killed", resume=True).reason.code == "completed"
    _same_runs(lab, "whole", "killed")


@pytest.mark.parametrize("damage", ["truncated", "missing", "a flipped bit"])
def test_a_damaged_checkpoint_is_said_and_the_one_before_is_used(lab: Lab, caplog: pytest.LogCaptureFixture, damage: str) -> None:
    lab.train("whole")
    lab.train("hurt", "SOLVER.STOP_EPOCH 2")
    latest = lab.folder("hurt").checkpoint(2)
    content = latest.read_bytes()
    if damage == "missing":
        latest.unlink()
    elif damage == "truncated":
        latest.write_bytes(content[: len(content) // 2])
    else:
        latest.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    lab.train("hurt", resume=True)
    assert "epoch_0002.pth is" in caplog.text
    assert "Going on after epoch 1" in lab.folder("hurt").log.read_text(encoding="utf-8")
    _same_runs(lab, "whole", "hurt")


def test_a_run_without_its_manifest_goes_on_from_the_files(lab: Lab) -> None:
    lab.train("whole")
    lab.train("torn", "SOLVER.STOP_EPOCH 2")
    lab.folder("torn").checkpoint_manifest.write_text("{", encoding="utf-8")
    lab.train("torn", resume=True)
    _same_runs(lab, "whole", "torn")


def test_preflight_changes_no_bit_of_a_run(lab: Lab) -> None:
    overrides = "INPUT.REA.ENABLED True SOLVER.EMA.ENABLED True"
    lab.train("with", overrides)
    torch.rand(7)  # nor does what the process drew before
    lab.train("without", overrides, skip_preflight=True)
    _same_runs(lab, "with", "without")
    assert read_json(lab.folder("without").model_info)["preflight"]["skipped"] is True
    assert "--no-preflight" in lab.folder("without").stopping_reason.read_text(encoding="utf-8")


def test_what_a_kill_left_half_written_goes_when_the_run_goes_on(lab: Lab) -> None:
    lab.train("run", "SOLVER.STOP_EPOCH 1")
    folder = lab.folder("run")
    leftovers = [folder.path / ".best_model.pth.1234.part", folder.checkpoints / ".epoch_0002.pth.1234.part"]
    for leftover in leftovers:
        leftover.write_bytes(b"half")
    lab.train("run", resume=True)
    assert not any(leftover.exists() for leftover in leftovers)
