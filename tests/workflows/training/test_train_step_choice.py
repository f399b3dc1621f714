"""A run computes its steps as they were chosen at its start: to the bit what the same way, asked for, gives, and when resumed."""

from dataclasses import replace

import pytest
import torch

from unplateau.base.files import read_json
from unplateau.config.load import load
from unplateau.engine import graphed, step_choice, step_rule
from unplateau.engine.precision import number_formats
from unplateau.models.build import build_model
from unplateau.runs.embed_choice import read_embed_choice
from unplateau.runs.step_choice import StepWay, read_step_choice, write_step_choice
from unplateau.testing.played_graphs import PlayedRecorder
from unplateau.testing.small_market import Lab

from ..interrupting import same_runs, stop_in_step

OPEN = "SOLVER.MAX_EPOCH 3 SOLVER.AMP.ENABLED True SOLVER.TIME_BUDGET_HOURS 1"
CHOSEN = StepWay("bf16", False)  # the slow one: no rule and no clock would choose it


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have short runs measured too, and say who wins."""
    monkeypatch.setattr(step_choice, "_SHARE_OF_RUN", 1e9)
    monkeypatch.setattr(step_choice, "winner", lambda timings: CHOSEN)


@pytest.mark.usefixtures("measured")
def test_a_measured_run_equals_the_one_that_was_told_the_way(lab: Lab) -> None:
    assert lab.train("measured", OPEN).reason.code == "completed"
    choice = read_step_choice(lab.folder("measured"))
    assert choice is not None
    assert (choice.basis, choice.way) == ("measured", CHOSEN)
    assert len(choice.timings) == 2 * len(number_formats(load(lab.recipe, tuple(OPEN.split())).config, torch.device("cpu")))
    lab.train("told", f"{OPEN} {choice.way.keys}")
    told = read_step_choice(lab.folder("told"))
    assert told is not None
    assert (told.basis, told.way) == ("set", CHOSEN)
    same_runs(lab, "measured", "told")
    assert read_json(lab.folder("measured").model_info)["step"]["chosen"] == "measured on this machine"


@pytest.mark.usefixtures("measured")
def test_a_resumed_run_computes_as_it_began_and_measures_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.train("whole", OPEN)
    with monkeypatch.context() as patched:
        stop_in_step(patched, steps=9)  # in the second epoch
        assert lab.train("stopped", OPEN).reason.code == "time-budget"
    began = read_step_choice(lab.folder("stopped"))
    with monkeypatch.context() as patched:
        patched.setattr(step_choice, "measure_ways", lambda *_, **__: pytest.fail("steps were measured again"))
        patched.setattr(step_choice, "winner", lambda timings: StepWay("fp32", True))
        assert lab.train("stopped", OPEN, resume=True).reason.code == "completed"
    assert read_step_choice(lab.folder("stopped")) == began
    same_runs(lab, "whole", "stopped")


def test_a_way_this_machine_does_not_have_is_refused_with_what_to_type(lab: Lab) -> None:
    first = f"{OPEN} SOLVER.STOP_EPOCH 1"
    lab.train("run", first)
    folder = lab.folder("run")
    choice = read_step_choice(folder)
    assert choice is not None
    write_step_choice(folder, replace(choice, way=StepWay("fp16", True)))
    refused = lab.train("run", OPEN, resume=True).reason
    assert refused.code == "error"
    assert "fp16, channels last, which is not possible here" in str(refused)
    allowed = lab.train("run", f"{OPEN} {StepWay('fp32', True).keys}", resume=True, allow_changes=True)
    assert allowed.reason.code == "completed"
    now = read_step_choice(folder)
    assert now is not None
    assert now.way == StepWay("fp32", True)


def test_a_run_of_graphs_is_the_one_launched_singly_when_resumed_too(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.train("singly", OPEN)
    graph = f"{OPEN} SOLVER.CUDA_GRAPH on"
    with monkeypatch.context() as played:
        played.setattr(step_rule, "graph_obstacle", lambda *_: "")
        played.setattr(graphed, "_Recorder", PlayedRecorder)
        with monkeypatch.context() as stopping:
            stop_in_step(stopping, steps=9)  # in the second epoch
            lab.train("graphs", graph)
        choice = read_step_choice(lab.folder("graphs"))
        assert choice is not None
        assert choice.way.is_graphed
        assert lab.train("graphs", graph, resume=True).reason.code == "completed"
        assert "cannot be computed as a CUDA graph" not in lab.folder("graphs").log.read_text(
            encoding="utf-8"
        )  # nothing was computed as ever
    same_runs(lab, "singly", "graphs")


def test_a_run_of_graphs_is_not_resumed_where_there_are_none(lab: Lab) -> None:
    first = f"{OPEN} SOLVER.STOP_EPOCH 1"
    lab.train("run", first)
    folder = lab.folder("run")
    choice = read_step_choice(folder)
    assert choice is not None
    began = StepWay("fp32", False)  # not by rule
    assert choice.way != began
    write_step_choice(folder, replace(choice, way=replace(began, is_graphed=True)))
    refused = lab.train("run", OPEN, resume=True).reason
    assert f"{began.name}, as a CUDA graph, which is not possible here (steps are computed on cpu)" in str(refused)
    assert "--allow-changes SOLVER.CUDA_GRAPH off" in str(refused)
    scored = read_embed_choice(folder)
    assert lab.train("run", f"{OPEN} SOLVER.CUDA_GRAPH off", resume=True, allow_changes=True).reason.code == "completed"
    now = read_step_choice(folder)
    assert now is not None
    assert now.way == began
    assert read_embed_choice(folder) == scored


def test_a_run_with_frozen_layers_in_fewer_bits_is_the_same_when_resumed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model(load(lab.recipe).config, num_identities=0, num_cameras=1).model
    first = next(name for name, part in model.named_modules() if isinstance(part, torch.nn.Conv2d))
    frozen = f"SOLVER.MAX_EPOCH 3 SOLVER.TIME_BUDGET_HOURS 1 MODEL.FREEZE_LAYERS [{first}] SOLVER.AMP.FROZEN_DTYPE"
    lab.train("whole", f"{frozen} bf16")
    choice = read_step_choice(lab.folder("whole"))
    assert choice is not None
    assert choice.way.frozen_format == "bf16"
    assert read_json(lab.folder("whole").model_info)["step"]["frozen_layers"] == "bf16"
    with monkeypatch.context() as patched:
        stop_in_step(patched, steps=9)
        assert lab.train("stopped", f"{frozen} bf16").reason.code == "time-budget"
    assert lab.train("stopped", f"{frozen} bf16", resume=True).reason.code == "completed"
    same_runs(lab, "whole", "stopped")
    lab.train("same", f"{frozen} same")
    losses = [read_json(lab.folder(name).history)["epochs"][0]["total_loss"] for name in ("whole", "same")]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.02)
