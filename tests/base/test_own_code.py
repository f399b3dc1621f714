"""Code of the user's own is found where it was named, and its faults are said with their place."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from unplateau.base.errors import ConfigError
from unplateau.base.own_code import import_own


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("mine", "broken", "needs"):
        sys.modules.pop(name, None)


def test_a_function_beside_the_working_directory_is_found(here: Path) -> None:
    (here / "mine.py").write_text("def build():\n    return 7\n")
    before = list(sys.path)
    assert import_own("mine:build", key="MODEL.BACKBONE.NAME")() == 7
    assert sys.path == before


def test_a_missing_function_is_said_with_those_there_are(here: Path) -> None:
    (here / "mine.py").write_text("def build():\n    return 7\n\ndef _hidden():\n    pass\n")
    with pytest.raises(ConfigError, match=r"MODEL.LOSSES.NAME mine:biuld: mine has no function 'biuld'. It has build\."):
        import_own("mine:biuld", key="MODEL.LOSSES.NAME")


def test_a_module_that_fails_is_said_with_the_line(here: Path) -> None:
    (here / "broken.py").write_text("x = 1\ny = x / 0\n")
    with pytest.raises(ConfigError, match=r"broken\.py:2: ZeroDivisionError"):
        import_own("broken:f", key="DATASETS")


def test_a_package_that_the_module_needs_is_told_from_the_module_itself(here: Path) -> None:
    (here / "needs.py").write_text("import not_installed_here\n")
    with pytest.raises(ConfigError, match="needs the package 'not_installed_here'"):
        import_own("needs:f", key="DATASETS")
    with pytest.raises(ConfigError, match="no module 'nowhere'"):
        import_own("nowhere:f", key="DATASETS")
