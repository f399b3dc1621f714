"""Scores of a run are computed as it was chosen at its start: when it is resumed too, and when its model is scored afterwards."""

from dataclasses import replace

import pytest

from unplateau.base.files import read_json
from unplateau.engine import embed_choice
from unplateau.runs.embed_choice import EmbedWay, read_embed_choice, write_embed_choice
from unplateau.testing.small_market import Lab
from unplateau.workflows.training import score_way
from unplateau.workflows.training.score import run_scoring

from ..interrupting import same_runs, stop_in_step

OPEN = "SOLVER.MAX_EPOCH 3 SOLVER.AMP.ENABLED True SOLVER.AMP.DTYPE bf16 SOLVER.CHANNELS_LAST off SOLVER.TIME_BUDGET_HOURS 1"
CHOSEN = EmbedWay("bf16", False, is_folded=True)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have short runs measured too, and say who wins."""
    monkeypatch.setattr(embed_choice, "_SHARE_OF_RUN", 1e9)
    monkeypatch.setattr(embed_choice, "winner", lambda timings: CHOSEN)


@pytest.mark.usefixtures("measured")
def test_a_resumed_run_scores_as_it_began_and_measures_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.train("whole", OPEN)
    began = read_embed_choice(lab.folder("whole"))
    assert began is not None
    assert (began.basis, began.way) == ("measured", CHOSEN)
    assert [timing.problem for timing in began.timings] == ["", ""]
    told = read_json(lab.folder("whole").model_info)["embedding"]
    assert told == {"way": "bf16, contiguous, batch norms folded", "chosen": "measured on this machine"}
    assert began.line() in lab.folder("whole").log.read_text(encoding="utf-8")
    with monkeypatch.context() as patched:
        stop_in_step(patched, steps=9)  # in the second epoch
        assert lab.train("stopped", OPEN).reason.code == "time-budget"
    with monkeypatch.context() as patched:
        patched.setattr(embed_choice, "measure_ways", lambda *_, **__: pytest.fail("passes were measured again"))
        assert lab.train("stopped", OPEN, resume=True).reason.code == "completed"
    same_runs(lab, "whole", "stopped")


@pytest.mark.usefixtures("measured")
def test_a_run_s_model_scores_afterwards_what_it_scored_then(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = lab.train("run", OPEN)
    weights = str(lab.folder("run").best_model)
    monkeypatch.setattr(score_way, "choose_embedding", lambda task: pytest.fail("it was not looked up"))
    again = run_scoring(lab.recipe, (*OPEN.split(), "MODEL.WEIGHTS", weights))
    assert [metrics.mAP for metrics in again] == [metrics.mAP for metrics in outcome.tests]


@pytest.mark.usefixtures("measured")
def test_a_model_from_elsewhere_is_measured_and_that_is_said(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = lab.train("run", OPEN)
    elsewhere = lab.place / "model.pth"
    lab.folder("run").best_model.rename(elsewhere)
    again = run_scoring(lab.recipe, (*OPEN.split(), "MODEL.WEIGHTS", str(elsewhere)))
    assert "Images are embedded in bf16, contiguous, batch norms folded" in capsys.readouterr().out
    assert [metrics.mAP for metrics in again] == [metrics.mAP for metrics in outcome.tests]


def test_a_run_of_a_time_without_the_record_scores_as_its_steps(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = lab.train("run", OPEN)
    lab.folder("run").embed_choice.unlink()
    monkeypatch.setattr(score_way, "choose_embedding", lambda task: pytest.fail("it was not looked up"))
    again = run_scoring(lab.recipe, (*OPEN.split(), "MODEL.WEIGHTS", str(lab.folder("run").best_model)))
    assert [metrics.mAP for metrics in again] == [metrics.mAP for metrics in outcome.tests]


def test_a_way_this_machine_does_not_have_is_refused_with_what_to_type(lab: Lab) -> None:
    lab.train("run", f"{OPEN} SOLVER.STOP_EPOCH 1")
    folder = lab.folder("run")
    choice = read_embed_choice(folder)
    assert choice is not None
    write_embed_choice(folder, replace(choice, way=EmbedWay("fp16", True)))
    refused = lab.train("run", OPEN, resume=True).reason
    assert refused.code == "error"
    assert "scores were computed in fp16, channels last, which is not possible here" in str(refused)
