from collections.abc import Callable
from pathlib import Path

import pytest

from unplateau.base.errors import ConfigError
from unplateau.config.load import Loaded, load


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a YAML file and return its path."""

    def _write(text: str, name: str = "run.yml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return _write


@pytest.fixture
def load_text(write: Callable[..., Path]) -> Callable[..., Loaded]:
    """Load a configuration from text."""
    return lambda text, *overrides, **options: load(write(text), overrides, **options)


@pytest.fixture
def problems_of(load_text: Callable[..., Loaded], tmp_path: Path) -> Callable[..., list[str]]:
    """The problems of a text, without the folder in front of the file."""

    def _problems(text: str, *overrides: str, **options: object) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load_text(text, *overrides, **options)
        return [problem.replace(f"{tmp_path}/", "") for problem in caught.value.problems]

    return _problems
