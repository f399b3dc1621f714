"""Damaged and hostile inputs: the short version of benchmarks/fuzz/fuzz.py, and that it sees what it is there to see.

Played in a process of its own: Python never takes an audit hook away again, and while one is there a thread that starts may fail
to be traced ("Cannot install a trace function while another trace function is being installed").
"""

import multiprocessing
import os
import random
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

if sys.platform == "win32":
    pytest.skip("the limit of time is a signal of Unix", allow_module_level=True)

from benchmarks.fuzz.fuzz import Tally, fuzz
from benchmarks.fuzz.mutating import mutated
from benchmarks.fuzz.parser import Parser
from benchmarks.fuzz.parsers import PARSERS

INPUTS = 60
INPUTS_OF_RUNS = 300  # a damaged run is read without what is damaged: few are refused


@pytest.fixture(scope="module")
def apart() -> Iterator[ProcessPoolExecutor]:
    """One process to play in."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def _played(name: str, inputs: int) -> Tally:
    parser = next(parser for parser in PARSERS if parser.name == name)
    return fuzz(parser, range(inputs), seed=1, seconds=600.0)


@pytest.mark.parametrize("name", [parser.name for parser in PARSERS])
def test_every_input_is_read_or_refused_and_none_of_its_code_runs(name: str, apart: ProcessPoolExecutor) -> None:
    inputs = INPUTS_OF_RUNS if name == "run folders" else INPUTS
    tally = apart.submit(_played, name, inputs).result()
    assert (tally.inputs, dict(tally.findings), tally.ran_code) == (inputs, {}, 0)
    assert tally.refused > 0


def _broken() -> Tally:
    def prepare(folder: Path, canary: Path):  # type: ignore[no-untyped-def]
        def play(rng: random.Random, place: Path) -> None:
            canary.mkdir()
            os.system("true")
            raise ZeroDivisionError("as it happens")

        return play

    return fuzz(Parser("broken", "", prepare), range(2), seed=0, seconds=60.0)


def test_an_exception_and_code_that_runs_would_be_seen(apart: ProcessPoolExecutor) -> None:
    tally = apart.submit(_broken).result()
    assert tally.ran_code == 4  # each time the folder and the program
    assert list(tally.findings.values()) == [2]
    assert "ZeroDivisionError" in next(iter(tally.findings))


def test_the_same_number_gives_the_same_input() -> None:
    first, again = (mutated(random.Random("0/logs/7"), [b"a: 1\nb: 2\n"]) for _ in range(2))
    assert first == again
