"""find_best_model.py as people type it: one of two things to do, no traceback, quick to start."""

from pathlib import Path

import pytest

from tests.workflows.made_runs import write_run
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


def test_select_is_the_same_as_comparing_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(2):
        write_run(tmp_path / f"base_seed{seed}", seed=seed)
    assert _exit_code("--compare-only", "--output-dir", str(tmp_path)) == 0
    first = capsys.readouterr().out
    with pytest.raises(SystemExit) as leaving:
        main(["select", str(tmp_path)])
    assert leaving.value.code in (0, None) and capsys.readouterr().out == first
    assert first.startswith("WINNER: base_seed")


def test_where_there_is_nothing_to_compare_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _exit_code("--compare-only", "--output-dir", str(tmp_path)) == 2
    assert "holds no run and no results" in capsys.readouterr().err
