"""Whatever is in a file or on the command line, the answer is a configuration or a ConfigError."""

import contextlib
import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import unplateau.config
from unplateau.base.errors import ConfigError
from unplateau.config.foreign_defaults import CODE_BASES, DEFAULTS
from unplateau.config.load import load
from unplateau.config.tree import leaves
from unplateau.config.unsupported import UNSUPPORTED

KEYS = st.sampled_from(
    sorted({*leaves(), *UNSUPPORTED, *(key for keys in DEFAULTS.values() for key in keys), "SOLVER", "_BASE_"})
)
SCRAPS = st.sampled_from(
    ["True", "on", "-1", "1e9999", "[", "[]", "(1,", "('a')", "{}", "*a", "&a [*a]", "!!python/none x", "null", "''", "9" * 400,
     "0x1F",
     "[1, [2, [3]]]", ".inf", ".nan", "1:30", "2020-01-01", "'", "\\", "~", "x: y", "softmax_triplet", "transformer", "1e308"]
)  # fmt: skip
VALUES = SCRAPS | st.text(max_size=12) | st.integers().map(str) | st.floats().map(str)


def _load(path: Path, content: bytes, overrides: list[str], code_base: str | None = None) -> None:
    path.write_bytes(content)
    with contextlib.suppress(ConfigError):
        load(path, overrides, code_base=code_base)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "run.yml"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=st.binary(max_size=60) | st.text(max_size=80).map(lambda text: text.encode("utf-8", "replace")))
def test_random_bytes_raise_nothing_else(path, content):
    _load(path, content, [])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pairs=st.lists(st.tuples(KEYS, VALUES), max_size=8), code_base=st.none() | st.sampled_from(CODE_BASES))
def test_random_values_of_real_keys_raise_nothing_else(path, pairs, code_base):
    text = "\n".join(f"{key}: {value}" for key, value in pairs)
    _load(path, text.encode("utf-8", "replace"), [], code_base)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(words=st.lists(KEYS | VALUES, max_size=6))
def test_random_overrides_raise_nothing_else(path, words):
    _load(path, b"SEED: 1", words)


def test_the_examples_in_the_documentation_are_true():
    for info in pkgutil.iter_modules(unplateau.config.__path__):
        module = importlib.import_module(f"unplateau.config.{info.name}")
        assert doctest.testmod(module).failed == 0
