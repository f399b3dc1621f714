"""The command as people type it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unplateau.base import reachable
from unplateau.base.files import read_json
from unplateau.cli.main import main
from unplateau.doctor import measure
from unplateau.doctor.facts import Torch
from unplateau.testing.small_market import Lab

MARKET = "Market-1501-v15.09.15"


@pytest.fixture(scope="module")
def torch_of_this_machine() -> tuple[Torch | None, dict[str, str]]:
    """Asked once: it takes a process that imports torch."""
    return measure.read_torch()


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, torch_of_this_machine: tuple[Torch | None, dict[str, str]]) -> None:
    monkeypatch.setattr(reachable, "answers", lambda address: True)
    monkeypatch.setattr(measure, "read_torch", lambda: torch_of_this_machine)


def _exit_code(*words: str) -> int:
    with pytest.raises(SystemExit) as leaving:
        main(["doctor", *words])
    return int(leaving.value.code or 0)


def test_this_machine_can_train(lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert _exit_code("--json", str(tmp_path / "result.json"), "DATASETS.ROOT", str(lab.root)) == 0
    said = capsys.readouterr().out
    assert "Market1501: 144 training, 6 query, 30 gallery images" in said
    result = read_json(tmp_path / "result.json")
    assert result["result"] in ("ok", "warning") and result["facts"]["num_cores"] >= 1
    assert {"level", "subject", "text", "fix"} == set(result["checks"][0])


def test_a_configuration_is_looked_at_with_its_own_data(lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert _exit_code("--config-file", str(lab.recipe)) == 0
    assert "not used: MODEL.DEVICE is cpu" in capsys.readouterr().out
    assert _exit_code("--config", str(lab.recipe), "DATASETS.ROOT", str(tmp_path)) == 1
    said = capsys.readouterr().out
    assert "PROBLEM data" in said and MARKET in said and "does not exist" in said


def test_a_configuration_that_is_wrong_is_a_problem_among_the_others(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert _exit_code("--config", str(lab.recipe), "SOLVER.BASE_RL", "1") == 1
    said = capsys.readouterr().out
    assert "PROBLEM configuration" in said and "BASE_LR" in said and "memory" in said


def test_weights_that_are_asked_for_are_looked_for(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--config", str(lab.recipe), "MODEL.BACKBONE.NAME", "mobilenetv2_100", "MODEL.BACKBONE.PRETRAIN", "True")
    monkeypatch.setattr("unplateau.models.pretrained._cached", lambda public: None)
    assert _exit_code(*words) == 0
    assert "timm mobilenetv2_100" in capsys.readouterr().out
    monkeypatch.setattr(reachable, "answers", lambda address: False)
    assert _exit_code(*words) == 1
    assert "does not answer" in capsys.readouterr().out
    assert _exit_code(*words, "MODEL.BACKBONE.PRETRAIN_PATH", "nowhere.pth") == 1
    assert "nowhere.pth, which is not a file" in capsys.readouterr().out


def test_where_torch_is_broken_the_rest_is_still_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "read_torch", lambda: (None, {"torch": "OSError: libcudart.so.12 is missing"}))
    assert _exit_code() == 1
    said = capsys.readouterr().out
    assert "libcudart.so.12 is missing" in said and "memory" in said and "Traceback" not in said


def test_it_runs_where_torch_cannot_be_imported(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('torch is broken here')", encoding="utf-8")
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r});"
        "from unplateau.base import reachable; reachable.answers = lambda address: False;"
        "from unplateau.cli.main import main; main(['doctor'])"
    )
    path = os.pathsep.join((str(tmp_path), str(Path(__file__).parents[2])))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "torch is broken here" in done.stdout and "Traceback" not in done.stdout + done.stderr


def test_a_configurations_memory_and_time_are_foretold(lab: Lab, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert _exit_code("--config", str(lab.recipe), "--json", str(tmp_path / "result.json")) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "16 images of 32x16 a step, fp32: about 0.8 GB at once" in said
    assert "epoch time about" in said and "6 steps of" in said and "all 3 epochs" in said
    forecast = read_json(tmp_path / "result.json")["facts"]["forecast"]
    assert [plan["name"] for plan in forecast["plans"]] == ["plain", "checkpoint"]
    assert forecast["plans"][1]["peak_bytes"] > 0 and forecast["seconds_a_step"] > 0


def test_a_card_that_is_not_there_can_be_asked_about(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert _exit_code("--config", str(lab.recipe), "--memory", "4GB") == 0
    assert "the card asked for: 4.0 GB" in " ".join(capsys.readouterr().out.split())
    assert _exit_code("--config", str(lab.recipe), "--memory", "100MB") == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "PROBLEM step memory" in said and "with 8 micro-batches" in said and "it does not fit" in said


@pytest.mark.parametrize("words", [("--memory", "4GB"), ("--memory", "much", "--config", "a.yml"), ("--memory", "0")])
def test_a_size_that_means_nothing_is_a_mistake_of_the_command_line(words: tuple[str, ...]) -> None:
    assert _exit_code(*words) == 2
