"""The words after `run-solutions`: a folder, then overrides."""

import pytest

from unplateau.base.errors import ConfigError, DataNotFoundError, UsageError
from unplateau.cli.main import app


def _run(*words: str) -> None:
    app(args=["run-solutions", *words], standalone_mode=False)


def test_a_folder_that_is_not_there_is_named_and_not_taken_for_a_key(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataNotFoundError, match="There is no folder nofolder"):
        _run("nofolder")


def test_a_key_without_a_value_says_that_overrides_come_in_pairs():
    with pytest.raises(UsageError, match=r"come in pairs.*there is no folder SOLUTIONS"):
        _run("SOLUTIONS")


def test_one_mistake_in_the_overrides_is_said_once_however_many_solutions_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("solution_1_a", "solution_2_b"):
        (tmp_path / f"{name}.yml").write_text("SOLVER: {BASE_LR: 0.0007}\n")
    with pytest.raises(ConfigError) as raised:
        _run(str(tmp_path), "SOLVER.MAX_EPOC", "3")
    assert len(raised.value.problems) == 1
