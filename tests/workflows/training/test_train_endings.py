"""Every way a run can end leaves its coded reason, the texts that were asked for and the right exit code; no traceback."""

import itertools
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from unplateau.base.errors import DataNotFoundError, UnplateauError
from unplateau.base.files import read_json, read_json_lines
from unplateau.engine import loop
from unplateau.engine.parts import Parts
from unplateau.engine.scoring import Scorer
from unplateau.engine.train_step import StepTerms
from unplateau.runs.record import StopReason
from unplateau.testing import faults
from unplateau.testing.small_market import Lab, draw_market
from unplateau.workflows.training import train as workflow
from unplateau.workflows.training.request import TrainOutcome

LABELS = ("STOPPING REASON: ", "BEST mAP: ", "EPOCHS TRAINED: ", "HYPERPARAMETERS:", "RECOMMENDATION:")


@pytest.fixture
def in_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[Parts], None]], None]:
    """Do something before step n (from 0) of the loop."""

    def plant(step: int, act: Callable[[Parts], None]) -> None:
        steps = itertools.count()
        true_step = loop.train_step

        def train_step(parts: Parts, batch: object) -> StepTerms:
            if next(steps) == step:
                act(parts)
            return true_step(parts, batch)  # type: ignore[arg-type]

        monkeypatch.setattr(loop, "train_step", train_step)

    return plant


def _left_behind(lab: Lab, outcome: TrainOutcome, capsys: pytest.CaptureFixture[str]) -> tuple[StopReason, str]:
    """Check what every end owes, and return the reason with its text."""
    folder, reason = outcome.folder, outcome.reason
    text = folder.stopping_reason.read_text(encoding="utf-8")
    positions = [text.find(label) for label in LABELS]
    assert -1 not in positions and positions == sorted(positions), text
    assert text.startswith(f"STOPPING REASON: {reason.headline}\n")
    assert f"EPOCHS TRAINED: {reason.epochs_trained}/{reason.max_epochs}\n" in text
    for shown in ("Learning rate: 0.005", "Batch size: 16", "Scheduler: MultiStepLR"):
        assert shown in text
    assert read_json(folder.stop_record)["code"] == reason.code
    info = read_json(folder.model_info)
    assert info["stopping_reason"]["code"] == reason.code
    assert info["provenance"]["versions"]["torch"] and info["provenance"]["command_line"]
    assert "STOPPING REASON: " + reason.headline in folder.log.read_text(encoding="utf-8")
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    return reason, text


def test_completed(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    reason, text = _left_behind(lab, lab.train("run"), capsys)
    assert (reason.code, reason.headline, reason.exit_code) == ("completed", "Training completed all epochs", 0)
    assert f"BEST mAP: {reason.best_map:.4f} (Epoch {reason.best_epoch})\n" in text
    assert "TEST mAP: " in text
    history = read_json(lab.folder("run").history)["epochs"]
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3]
    assert history[reason.best_epoch - 1]["validation"]["mAP"] == reason.best_map  # type: ignore[operator]
    for file in ("best_model.pth", "model_final.pth", "config.yml", "average_precision.npz"):
        assert (lab.folder("run").path / file).exists()


def test_no_improvement(lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    true_validate = loop._validate

    def flat(parts: Parts, epoch: int):  # type: ignore[no-untyped-def]
        retrieval = true_validate(parts, epoch)
        assert retrieval is not None
        return replace(retrieval, metrics=replace(retrieval.metrics, mAP=0.5))

    monkeypatch.setattr(loop, "_validate", flat)
    outcome = lab.train("run", "SOLVER.MAX_EPOCH 90 SOLVER.EARLY_STOP_PATIENCE 10 SOLVER.STEPS [40,70]")
    reason, text = _left_behind(lab, outcome, capsys)
    assert (reason.code, reason.exit_code) == ("no-improvement", 0)
    assert text.startswith("STOPPING REASON: No improvement for 10 epochs\nBEST mAP: 0.5000 (Epoch 1)\n")
    assert "EPOCHS TRAINED: 11/90" in text
    assert "Use this model for deployment" in text
    assert "epoch 40 and 70" in text.replace("\n    ", " ")


def test_target_reached(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    reason, _ = _left_behind(lab, lab.train("run", "SOLVER.TARGET_MAP 0.01"), capsys)
    assert (reason.code, reason.exit_code, reason.epochs_trained) == ("target-reached", 0, 1)


def test_time_budget(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    reason, text = _left_behind(lab, lab.train("run", "SOLVER.TIME_BUDGET_HOURS 1e-9"), capsys)
    assert (reason.code, reason.exit_code, reason.epochs_trained) == ("time-budget", 75, 0)
    assert "BEST mAP: not scored" in text


@pytest.mark.skipif(os.name == "nt", reason="Windows has no os.kill for these signals")
@pytest.mark.parametrize(
    ("number", "code", "headline", "exit_code"),
    [
        (signal.SIGINT, "interrupted", "User interrupted (Ctrl+C)", 130),
        (signal.SIGTERM, "preempted", "Ended by the system (SIGTERM)", 75),
    ],
)
def test_signals(lab: Lab, capsys: pytest.CaptureFixture[str], in_step, number, code, headline, exit_code) -> None:  # type: ignore[no-untyped-def]
    in_step(8, lambda parts: os.kill(os.getpid(), number))
    reason, text = _left_behind(lab, lab.train("run"), capsys)
    assert (reason.code, reason.headline, reason.exit_code) == (code, headline, exit_code)
    assert (reason.epochs_trained, reason.resumable) == (1, True)
    assert "checkpoint is safe" in text
    assert f"--config-file {lab.recipe} --run-name run --resume" in text.replace("\n    ", " ")


def test_the_command_that_continues_carries_the_overrides(lab: Lab, in_step) -> None:  # type: ignore[no-untyped-def]
    in_step(8, lambda parts: os.kill(os.getpid(), signal.SIGTERM))
    outcome = lab.train("run", "SOLVER.BASE_LR 0.001 SOLVER.STEPS [1,2]")
    assert '--run-name run SOLVER.BASE_LR 0.001 SOLVER.STEPS "[1,2]" --resume' in " ".join(outcome.reason.recommendation)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    ],
)
def test_out_of_memory(lab: Lab, capsys: pytest.CaptureFixture[str], in_step, error: Exception) -> None:  # type: ignore[no-untyped-def]
    def fail(parts: Parts) -> None:
        raise error

    in_step(7, fail)
    reason, text = _left_behind(lab, lab.train("run"), capsys)
    assert (reason.code, reason.headline, reason.exit_code) == ("out-of-memory", "Out of memory", 1)
    assert reason.epochs_trained == 1
    assert "Reduce IMS_PER_BATCH: retry with a smaller batch." in text
    assert "SOLVER.IMS_PER_BATCH 8" in text


@pytest.mark.parametrize("step", [0, 5, 6, 9])
def test_divergence_names_the_term_and_the_step(lab: Lab, capsys: pytest.CaptureFixture[str], in_step, step: int) -> None:  # type: ignore[no-untyped-def]
    def poison(parts: Parts) -> None:
        with torch.no_grad():
            parts.model.head.classifier.weight.fill_(float("nan"))  # type: ignore[union-attr, operator]

    in_step(step, poison)
    reason, text = _left_behind(lab, lab.train("run"), capsys)
    assert (reason.code, reason.exit_code, reason.epochs_trained) == ("diverged", 1, step // 6)
    assert f"cross_entropy became nan at step {step} (epoch {step // 6 + 1})" in text.replace("\n    ", " ")
    assert "SOLVER.BASE_LR 0.0017" in text


def test_weights_that_break_in_the_last_step_of_an_epoch_are_divergence_too(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    true_step, steps = loop.train_step, itertools.count()

    def break_after_the_last_step(parts: Parts, batch: object) -> StepTerms:
        terms = true_step(parts, batch)  # type: ignore[arg-type]
        if next(steps) == 5:
            with torch.no_grad():
                next(parts.model.backbone.parameters()).fill_(float("nan"))
        return terms

    monkeypatch.setattr(loop, "train_step", break_after_the_last_step)
    reason, _ = _left_behind(lab, lab.train("run"), capsys)
    assert (reason.code, reason.epochs_trained) == ("diverged", 0)
    assert "a weight became nan at step 5 (epoch 1)" in reason.headline


def test_failed_preflight(lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    true_build = workflow.build_session

    def stale(*arguments, **settings):  # type: ignore[no-untyped-def]
        session = true_build(*arguments, **settings)
        return replace(session, parts=faults.stale_optimizer(session.parts))

    monkeypatch.setattr(workflow, "build_session", stale)
    reason, text = _left_behind(lab, lab.train("run"), capsys)
    assert (reason.code, reason.exit_code, reason.epochs_trained) == ("preflight", 1, 0)
    assert "weights-not-updated" in reason.headline
    assert "No hyper-parameter will help until it is fixed." in text
    assert read_json(lab.folder("run").findings)[0]["code"] == "weights-not-updated"
    assert any(line["name"] == "weight_motion" and line["value"] == 0.0 for line in read_json_lines(lab.folder("run").probes))
    forced = lab.train("run", "SOLVER.MAX_EPOCH 1", skip_preflight=True)
    assert forced.reason.code == "completed"
    assert "The weights did not move" in lab.folder("run").log.read_text(encoding="utf-8")


def test_an_image_that_vanishes_is_an_error_that_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str], in_step) -> None:  # type: ignore[no-untyped-def]
    lab = Lab(root=tmp_path / "data", place=tmp_path, cache=tmp_path / "cache")
    images = draw_market(lab.root) / "bounding_box_train"

    def lose(parts: Parts) -> None:
        for path in images.iterdir():
            path.unlink()

    in_step(6, lose)
    reason, text = _left_behind(lab, lab.train("run", "DATALOADER.CACHE off"), capsys)
    assert (reason.code, reason.exit_code) == ("error", 1)
    assert reason.headline.startswith("Error: An image cannot be read: ")
    assert ".jpg" in reason.headline
    assert "See log.txt, fix, retry." in text


def test_an_unforeseen_error_has_its_traceback_in_the_log_alone(lab: Lab, capsys: pytest.CaptureFixture[str], in_step) -> None:  # type: ignore[no-untyped-def]
    def fail(parts: Parts) -> None:
        raise ZeroDivisionError("division by zero")

    in_step(7, fail)
    request = replace(lab.request("run"), is_quiet=False)
    reason, _ = _left_behind(lab, workflow.run_training(request), capsys)
    assert (reason.code, reason.exit_code) == ("error", 1)
    assert reason.headline == "Error: ZeroDivisionError: division by zero"
    assert "Traceback" in lab.folder("run").log.read_text(encoding="utf-8")


def test_an_error_while_the_test_set_is_scored_keeps_the_models_and_can_be_resumed(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    true_score = Scorer.score

    def fail_on_test(self, model, task, **settings):  # type: ignore[no-untyped-def]
        if task.protocol == "test":
            raise UnplateauError("query/0001.jpg cannot be read.")
        return true_score(self, model, task, **settings)

    with monkeypatch.context() as patched:
        patched.setattr(Scorer, "score", fail_on_test)
        outcome = lab.train("run")
    reason, _ = _left_behind(lab, outcome, capsys)
    assert (reason.code, reason.headline) == ("error", "Error: query/0001.jpg cannot be read.")
    assert lab.folder("run").best_model.exists() and lab.folder("run").final_model.exists()
    again = lab.train("run", resume=True)
    assert (again.reason.code, len(again.tests)) == ("completed", 1)


def test_data_that_is_not_there_ends_with_2_and_where_it_was_looked_for(lab: Lab, tmp_path: Path) -> None:
    elsewhere = f"DATASETS.ROOT {(tmp_path / 'empty').as_posix()}"
    (tmp_path / "empty").mkdir()
    try:
        reason = lab.train("run", elsewhere).reason
    except DataNotFoundError as error:
        assert error.exit_code == 2 and "empty" in str(error)
    else:
        assert (reason.code, reason.exit_code) == ("error", 2)
        assert "empty" in reason.headline + " ".join(reason.evidence)


def test_a_running_run_cannot_be_started_twice(lab: Lab, in_step) -> None:  # type: ignore[no-untyped-def]
    refused: list[str] = []

    def start_again(parts: Parts) -> None:
        with pytest.raises(UnplateauError, match="another process") as error:
            lab.train("run", restart=True)
        refused.append(str(error.value))

    in_step(3, start_again)
    assert lab.train("run").reason.code == "completed"
    assert len(refused) == 1


def test_what_the_log_says_goes_nowhere_else(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.train("run")
    said = capsys.readouterr()
    assert said.out == "" and said.err == ""
