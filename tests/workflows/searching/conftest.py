"""The desk that searches are tested on."""

import sys
from pathlib import Path

import pytest

from unplateau.workflows.searching import search, search_trials
from unplateau.workflows.training import score

from .search_desk import FAKE, TEST_SCORE, Desk, make_here


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    true_command = search_trials.train_command

    def fake_command(*words: object, **options: object) -> list[str]:
        return [sys.executable, str(FAKE), *true_command(*words, **options)[4:]]  # type: ignore[arg-type]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(search_trials, "train_command", fake_command)
    monkeypatch.setattr(search, "_LOOK_EVERY_SECONDS", 0.1)
    monkeypatch.setattr(search, "make_executor", make_here)
    monkeypatch.setattr(score, "run_scoring", lambda config_file, overrides: (TEST_SCORE,))
    return Desk(tmp_path)
