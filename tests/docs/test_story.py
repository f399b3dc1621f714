"""The worked example, carried out: from the stalled log to a repaired run, its report and its export, on stand-in data."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from unplateau.cli.main import main
from unplateau.testing.small_market import Lab

from .reading import ROOT, Command, commands

ANSWER = "ANSWER: The loss is at its initial value: the weights are most likely not updated"
SMALL = (
    "MODEL.DEVICE cpu MODEL.BACKBONE.NAME build_tiny_backbone MODEL.BACKBONE.PRETRAIN False INPUT.SIZE_TRAIN (32,16) "
    "INPUT.SIZE_TEST (32,16) SOLVER.MAX_EPOCH 1 SOLVER.WARMUP_ITERS 2 VALIDATION.HELD_OUT 0.25 VALIDATION.MIN_IDENTITIES 6 "
    "SOLVER.AMP.ENABLED False DATASETS.NAMES Market1501 DATASETS.TESTS Market1501"
)


def command_of(page: str, start: str) -> Command:
    """The first command of a page that begins so."""
    return next(command for command in commands() if command.page == page and command.text.startswith(start))


def carry_out(*words: str) -> None:
    """Run the program in this process, and accept success only."""
    try:
        main(list(words))
    except SystemExit as leaving:
        assert not leaving.code, leaving.code


def test_the_stalled_log_is_answered_as_the_guide_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = (ROOT / "RESEARCHER_GUIDE.txt").read_text(encoding="utf-8")
    command = command_of("RESEARCHER_GUIDE.txt", "python solve_plateau.py --log-file docs/examples/stalled_run.csv")
    words = command.words
    words[words.index("--output-dir") + 1] = str(tmp_path / "my_solutions")
    monkeypatch.chdir(ROOT)
    carry_out(*words)
    said = capsys.readouterr().out
    assert ANSWER in guide and ANSWER in said
    assert "6.724" in guide and "6.724" in said
    assert "No hyper-parameter will help" in said


@pytest.mark.slow
def test_the_repaired_run_is_trained_resumed_shown_and_exported(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = [*SMALL.split(), "DATASETS.ROOT", str(lab.root), "DATALOADER.CACHE_DIR", str(lab.cache)]
    (tmp_path / "custom_configs").symlink_to(ROOT / "custom_configs")
    monkeypatch.chdir(tmp_path)
    run = Path("logs/market1501/repaired")
    train = command_of(
        "RESEARCHER_GUIDE.txt", "python train_research_grade.py --config-file custom_configs/stalled_run.yml --run-name repaired"
    )
    carry_out(*train.words, *small)
    assert (run / "STOPPING_REASON.txt").read_text(encoding="utf-8").startswith("STOPPING REASON: Training completed all epochs")
    carry_out(*train.words, "--resume", *small, "SOLVER.MAX_EPOCH", "2")
    for start, name in (("unplateau report", "first_run"), ("unplateau export", "solution_1_refit")):
        command = command_of("RESEARCHER_GUIDE.txt", start)
        carry_out(*(word.replace(name, "repaired") for word in command.words))
    assert (run / "report.html").is_file() and (run / "export" / "model.onnx").is_file()
    for start in ("python find_best_model.py --compare-only", "unplateau report logs/market1501"):
        carry_out(*command_of("START_HERE.txt", start).words)
    assert (run.parent / "report.html").is_file()
    assert "repaired" in (run.parent / "BEST_MODEL_SELECTION.txt").read_text(encoding="utf-8")
    carry_out("doctor", "--config", "custom_configs/stalled_run.yml", *small)
    assert "Market1501: 144 training" in capsys.readouterr().out


@pytest.mark.slow
def test_your_own_pictures_are_found_as_the_guide_lays_them_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    for split, persons in {"train": ("anna", "bert"), "query": ("carl",), "gallery": ("carl", "dora")}.items():
        for person in persons:
            for camera in (1, 2):
                folder = tmp_path / "my_people" / split / person
                folder.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (16, 32), (camera * 80, 0, 0)).save(folder / f"cam{camera}_0001.jpg")
    (tmp_path / "custom_configs").symlink_to(ROOT / "custom_configs")
    command = shlex.split(command_of("custom_data.md", "unplateau doctor").text)
    done = subprocess.run(
        [sys.executable, "-m", "unplateau.cli.main", *command[1:], "MODEL.BACKBONE.PRETRAIN", "False"],
        capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "my_people: 4 training, 2 query, 4 gallery images" in done.stdout, done.stdout + done.stderr
