"""Whole runs on a card that is too small: they go on under a memory plan, which is told, recorded and used again on resuming."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from unplateau.base.files import read_json
from unplateau.engine.checkpoint import load_checkpoint
from unplateau.testing.small_market import Lab
from unplateau.workflows.training import train as workflow

from ..interrupting import same_runs, stop_in_step


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """Let the backbone hold a graph for so many images at most; returns where the refused batches are noted."""

    def put_in(most_images: int) -> list[int]:
        refused: list[int] = []
        true_build = workflow.build_session

        def hold(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if torch.is_grad_enabled() and len(inputs[0]) > most_images:
                refused.append(len(inputs[0]))
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

        def build_session(*arguments, **settings):  # type: ignore[no-untyped-def]
            session = true_build(*arguments, **settings)
            session.parts.model.backbone.register_forward_pre_hook(hold)
            return session

        monkeypatch.setattr(workflow, "build_session", build_session)
        return refused

    return put_in


def test_a_run_that_does_not_fit_goes_on_in_micro_batches_and_says_so(lab: Lab, card: Callable[[int], list[int]]) -> None:
    refused = card(4)
    outcome = lab.train("small", "SOLVER.MAX_EPOCH 2")
    assert (outcome.reason.code, outcome.reason.exit_code) == ("completed", 0)
    assert refused == [16, 16, 8] * 2  # plain, checkpoint and two parts fit not: once in preflight, once in the first step
    info = read_json(outcome.folder.model_info)
    assert info["step"]["memory_plan"] == "4" and len(info["step"]["memory_plan_changes"]) == 3
    said = [line for line in outcome.folder.log.read_text(encoding="utf-8").splitlines() if "WARNING" in line]
    assert len(said) == 3 and "Out of memory in a step of 16 images (CUDA out of memory. Tried to allocate 2.00 GiB)" in said[0]
    assert "4 micro-batches" in said[2] and "sees 4 images at a time, head and losses all 16" in said[2]
    assert "4 micro-batches" in outcome.folder.stopping_reason.read_text(encoding="utf-8").replace("\n    ", " ")
    assert "4 micro-batches" in outcome.folder.report.read_text(encoding="utf-8")
    assert load_checkpoint(outcome.folder)["memory_plan"]["name"] == "4"


def test_the_plan_survives_resuming_and_the_run_is_the_uninterrupted_one(
    lab: Lab, card: Callable[[int], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = card(8)
    overrides = "SOLVER.TIME_BUDGET_HOURS 1"
    lab.train("whole", overrides)
    with monkeypatch.context() as patched:
        stop_in_step(patched, steps=8)
        assert lab.train("stopped", overrides).reason.code == "time-budget"
    refused.clear()
    assert lab.train("stopped", overrides, resume=True).reason.code == "completed"
    assert refused == []  # neither preflight nor a step tried the whole batch again
    same_runs(lab, "whole", "stopped")
    assert len(read_json(lab.folder("stopped").model_info)["step"]["memory_plan_changes"]) == 2


def test_a_plan_that_is_asked_for_gives_the_run_that_found_it_itself(lab: Lab, card: Callable[[int], list[int]]) -> None:
    refused = card(8)
    lab.train("found")
    refused.clear()
    asked = lab.train("asked", "SOLVER.MEMORY_PLAN 2")
    assert refused == []
    same_runs(lab, "found", "asked")
    assert "Steps were done with 2 micro-batches" in asked.folder.stopping_reason.read_text(encoding="utf-8").replace(
        "\n    ", " "
    )


@pytest.mark.parametrize(("plan", "other"), [("off", "auto"), ("checkpoint", "2"), ("4", "8"), ("auto", "")])
def test_what_does_not_fit_ends_the_run_and_names_the_plan_that_may(
    lab: Lab, card: Callable[[int], list[int]], plan: str, other: str
) -> None:
    card(1)
    outcome = lab.train("ended", f"SOLVER.MEMORY_PLAN {plan}")
    assert (outcome.reason.code, outcome.reason.headline, outcome.reason.exit_code) == ("out-of-memory", "Out of memory", 1)
    advice = " ".join(outcome.reason.recommendation)
    assert advice.startswith("Reduce IMS_PER_BATCH: retry with a smaller batch.")
    assert (f"SOLVER.MEMORY_PLAN {other}" in advice) if other else ("less memory and more time" not in advice)
