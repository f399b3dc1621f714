"""A resumed run is the uninterrupted run, bit for bit, whatever broke it off. What may change: `test_train_going_on`."""

import pytest
import torch

from unplateau.base.errors import ConfigError, RunExistsError
from unplateau.base.files import read_json
from unplateau.engine.checkpoint import CheckpointStore
from unplateau.runs.reader import read_run
from unplateau.testing.small_market import Lab

from ..interrupting import fail_at, same_runs, stop_in_step, validation_maps

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


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_stopped_within_an_epoch_and_resumed_equals_the_uninterrupted_one(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    overrides = f"{LONG} SOLVER.TIME_BUDGET_HOURS 1 {RECIPES[recipe]}"
    lab.train("whole", overrides)
    with monkeypatch.context() as patched:
        stop_in_step(patched, steps=15)  # in the middle of the third epoch of six steps
        stopped = lab.train("stopped", overrides)
    assert (stopped.reason.code, stopped.reason.exit_code, stopped.reason.epochs_trained) == ("time-budget", 75, 2)
    assert lab.train("stopped", overrides, resume=True).reason.code == "completed"
    same_runs(lab, "whole", "stopped")


def test_a_run_paused_at_every_epoch_boundary_equals_the_uninterrupted_one(lab: Lab) -> None:
    lab.train("whole", LONG)
    for epoch in (1, 2, 3):
        paused = lab.train("paused", f"{LONG} SOLVER.STOP_EPOCH {epoch}", resume=epoch > 1)
        assert (paused.reason.code, paused.reason.epochs_trained) == ("paused", epoch)
    lab.train("paused", LONG, resume=True)
    same_runs(lab, "whole", "paused")


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
        stop_in_step(patched, steps=26)  # in the fifth epoch
        assert lab.train("stopped", overrides).reason.epochs_trained == 4
    lab.train("stopped", overrides, resume=True)
    same_runs(lab, "whole", "stopped")


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
        validation_maps(patched, [0.4, 0.9])
        patched.setattr(CheckpointStore, "save", fail_at(CheckpointStore.save, 2))
        assert lab.train("run", LONG).reason.code == "error"
    folder = lab.folder("run")
    assert torch.load(folder.best_model, weights_only=True)["epoch"] == 2
    with monkeypatch.context() as patched:
        validation_maps(patched, [0.3, 0.2, 0.1])
        ended = lab.train("run", LONG, resume=True).reason
    assert (ended.best_epoch, ended.best_map) == (1, 0.4)
    facts = torch.load(folder.best_model, weights_only=True)
    assert (facts["epoch"], facts["mAP"]) == (1, 0.4)


def test_epochs_that_are_trained_again_are_taken_back_from_the_records(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(CheckpointStore, "save", fail_at(CheckpointStore.save, 2))
        lab.train("run", LONG)
    with monkeypatch.context() as patched:
        stop_in_step(patched, steps=2)
        again = lab.train("run", f"{LONG} SOLVER.TIME_BUDGET_HOURS 1", resume=True)
    assert (again.reason.code, again.reason.epochs_trained) == ("time-budget", 1)
    assert [epoch.epoch for epoch in read_run(lab.folder("run").path).epochs] == [1]


def test_seldom_checkpoints_say_which_epochs_are_trained_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = f"{LONG} SOLVER.CHECKPOINT_PERIOD 3 SOLVER.TIME_BUDGET_HOURS 1"
    lab.train("whole", overrides)
    with monkeypatch.context() as patched:
        stop_in_step(patched, steps=15)  # in the third epoch
        stopped = lab.train("stopped", overrides).reason
    assert (stopped.resumable, stopped.epochs_trained) == (True, 2)
    assert "so epoch 2 is trained again" in " ".join(stopped.recommendation)
    lab.train("stopped", overrides, resume=True)
    same_runs(lab, "whole", "stopped")


def test_a_stop_before_the_first_checkpoint_promises_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_in_step(monkeypatch, steps=2)
    stopped = lab.train("stopped", "SOLVER.TIME_BUDGET_HOURS 1").reason
    assert not stopped.resumable
    assert "--resume" not in " ".join(stopped.recommendation)


@pytest.mark.parametrize("resume", [False, True])
def test_a_start_without_a_finished_epoch_starts_over(lab: Lab, monkeypatch: pytest.MonkeyPatch, resume: bool) -> None:
    with monkeypatch.context() as patched:
        stop_in_step(patched, steps=2)
        broken = lab.train("early", "SOLVER.TIME_BUDGET_HOURS 1")
    assert (broken.reason.code, broken.reason.epochs_trained) == ("time-budget", 0)
    assert lab.train("early", resume=resume).reason.epochs_trained == 3
    lab.train("whole")
    same_runs(lab, "whole", "early")


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
    same_runs(lab, "whole", "killed")


def test_a_run_killed_after_its_last_epoch_only_writes_its_end(lab: Lab) -> None:
    lab.train("whole")
    lab.train("killed")
    folder = lab.folder("killed")
    for file in (folder.stop_record, folder.stopping_reason, folder.final_model, folder.model_info):
        file.unlink()
    assert lab.train("killed", resume=True).reason.code == "completed"
    same_runs(lab, "whole", "killed")


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
    same_runs(lab, "whole", "hurt")


def test_a_run_without_its_manifest_goes_on_from_the_files(lab: Lab) -> None:
    lab.train("whole")
    lab.train("torn", "SOLVER.STOP_EPOCH 2")
    lab.folder("torn").checkpoint_manifest.write_text("{", encoding="utf-8")
    lab.train("torn", resume=True)
    same_runs(lab, "whole", "torn")


def test_preflight_changes_no_bit_of_a_run(lab: Lab) -> None:
    overrides = "INPUT.REA.ENABLED True SOLVER.EMA.ENABLED True"
    lab.train("with", overrides)
    torch.rand(7)  # nor does what the process drew before
    lab.train("without", overrides, skip_preflight=True)
    same_runs(lab, "with", "without")
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


def test_what_a_kill_left_beside_a_finished_run_goes_at_the_next_start(lab: Lab) -> None:
    lab.train("run", "SOLVER.MAX_EPOCH 2")
    leftover = lab.folder("run").path / ".report.html.1234.part"
    leftover.write_bytes(b"half")
    assert lab.train("run", "SOLVER.MAX_EPOCH 2", resume=True).was_finished
    assert not leftover.exists()


def test_an_export_that_was_cut_short_hinders_no_run_from_going_on(lab: Lab) -> None:
    lab.train("run", "SOLVER.STOP_EPOCH 1")
    part = lab.folder("run").path / ".export.part"
    part.mkdir()
    (part / "model.onnx").write_bytes(b"half")
    assert lab.train("run", resume=True).reason.code == "completed"


def test_the_log_says_which_checkpoint_a_run_goes_on_from_where_the_newest_is_damaged(lab: Lab) -> None:
    lab.train("hurt", "SOLVER.STOP_EPOCH 2")
    lab.folder("hurt").checkpoint(2).write_bytes(b"half")
    lab.train("hurt", resume=True)
    log = lab.folder("hurt").log.read_text(encoding="utf-8")
    assert "The checkpoint of epoch 2 is damaged, or the record is: going on from that of epoch 1." in log


def test_a_configuration_that_cannot_be_read_is_put_back_from_the_best_model(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    lab.train("hurt", "SOLVER.STOP_EPOCH 2")
    config = lab.folder("hurt").config
    good = config.read_text(encoding="utf-8")
    config.write_bytes(good.encode()[:200] + b"\0" * 200)
    assert lab.train("hurt", resume=True).reason.code == "completed"
    assert "config.yml could not be read; the copy of it in best_model.pth was put back" in caplog.text
    lab.train("whole")
    same_runs(lab, "whole", "hurt")


def test_a_configuration_that_cannot_be_read_and_has_no_copy_is_refused_and_kept(lab: Lab) -> None:
    lab.train("hurt", "SOLVER.STOP_EPOCH 2")
    lab.folder("hurt").config.write_bytes(b"\0" * 200)
    lab.folder("hurt").best_model.write_bytes(b"\0" * 200)
    with pytest.raises(ConfigError, match="config.yml"):
        lab.train("hurt", resume=True)
    assert lab.folder("hurt").config.read_bytes() == b"\0" * 200
