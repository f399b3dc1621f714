"""find_best_model.py as people type it: one of two things to do, no traceback, quick to start."""

from pathlib import Path

import pytest

from unplateau.cli.main import main


def _exit_code(*words: str) -> int:
    try:
        main(["find-best", *words])
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


@pytest.mark.parametrize("words", [(), ("--compare-only", "--base-config", "some.yml")])
def test_exactly_one_thing_is_asked_for(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert _exit_code(*words) == 2
    assert "One of the two" in capsys.readouterr().err


def test_comparing_takes_no_overrides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _exit_code("--compare-only", "--output-dir", str(tmp_path), "SEED", "1") == 2
    assert "SEED 1" in capsys.readouterr().err
