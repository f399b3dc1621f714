"""Feeds damaged and hostile inputs to everything that reads what strangers write, and counts what is not refused cleanly.

    python benchmarks/fuzz/fuzz.py [--inputs 10000] [--seconds 3600] [--only NAME ...] [--seed 0] [--results FOLDER]

An input is right where it is read, or refused with one of our errors. Anything else that comes out, an input that takes longer
than its limit, and any sign that code of the input has run, is a finding. Input n of a parser is made from (seed, parser, n)
alone, so a finding can be made again.
"""

import argparse
import collections
import logging
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.fuzz.parser import Parser
from benchmarks.fuzz.parsers import PARSERS
from benchmarks.machine import commit_line, machine_line
from unplateau.base.errors import UnplateauError
from unplateau.base.files import read_json, write_json, write_text

LIMIT_SECONDS = 60  # of processor time, of one input: a busy machine is no finding
_HANG_SECONDS = 900  # by the clock: what waits for something uses no processor
_FORBIDDEN = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "socket.connect", "os.fork")


class TooSlowError(BaseException):
    """An input took longer than its limit. No `Exception`, so that no reader can catch it."""


@dataclass
class Tally:
    """What came of the inputs of one parser."""

    name: str
    what: str
    seed: int = 0
    commit: str = ""
    """The state of the code that was played."""
    inputs: int = 0
    read: int = 0
    refused: int = 0
    findings: collections.Counter[str] = field(default_factory=collections.Counter)
    """Where an exception came from -> how often."""
    examples: dict[str, int] = field(default_factory=dict)
    """Of each finding the number of an input."""
    ran_code: int = 0
    slowest_seconds: float = 0.0
    """Of processor time."""
    memory_mb: float = 0.0
    """By which this process's largest size grew."""


class Guard:
    """Counts what only code of an input would do: starting programs, connecting."""

    def __init__(self) -> None:
        self.count, self.is_on = 0, False
        sys.addaudithook(self._look)

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.is_on and event in _FORBIDDEN:
            self.count += 1

    @contextmanager
    def watching(self) -> Iterator[None]:
        self.is_on = True
        try:
            yield
        finally:
            self.is_on = False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=3600.0, help="of one parser")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("unplateau").setLevel(logging.CRITICAL)
    numbers, wrong = range(arguments.first, arguments.first + arguments.inputs), False
    for one in PARSERS:
        if not arguments.only or one.name in arguments.only:
            tally = fuzz(one, numbers, seed=arguments.seed, seconds=arguments.seconds)
            print(_row(tally), dict(tally.findings), tally.examples, flush=True)
            wrong = wrong or bool(tally.findings or tally.ran_code)
            if arguments.results:
                _write(arguments.results, tally)
    return int(wrong)


def fuzz(parser: Parser, numbers: range, *, seed: int, seconds: float) -> Tally:
    """Play inputs until the numbers, or the time, are used up."""
    tally, guard, deadline = Tally(parser.name, parser.what, seed, commit_line()), Guard(), time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="fuzz_") as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        canary, place = Path(scratch) / "canary", Path(scratch) / "place"
        place.mkdir()
        play = parser.prepare(Path(scratch), canary)
        before = _largest_mb()
        for number in numbers:
            if time.monotonic() > deadline:
                break
            started = time.process_time()
            with guard.watching():
                problem = _one(play, random.Random(f"{seed}/{parser.name}/{number}"), place, tally)
            tally.slowest_seconds = max(tally.slowest_seconds, time.process_time() - started)
            if problem:
                tally.findings[problem] += 1
                tally.examples.setdefault(problem, number)
            if canary.exists():
                tally.ran_code += 1
                canary.rmdir()
        tally.ran_code += guard.count
        tally.memory_mb = _largest_mb() - before
        shutil.rmtree(place, ignore_errors=True)
    return tally


def _one(play: Any, rng: random.Random, place: Path, tally: Tally) -> str:
    """Play one input; return where it went wrong, empty for nowhere."""
    tally.inputs += 1
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, _too_slow)
    signal.alarm(_HANG_SECONDS)
    signal.setitimer(signal.ITIMER_PROF, LIMIT_SECONDS)
    try:
        play(rng, place)
        tally.read += 1
    except UnplateauError:
        tally.refused += 1
    except BaseException as error:  # noqa: BLE001 - everything else is a finding
        if isinstance(error, KeyboardInterrupt):
            raise
        ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "/unplateau/" in frame.filename]
        where = f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else "the fuzzer"
        return f"{type(error).__name__} from {where}: {str(error)[:90]}"
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
    return ""


def _too_slow(number: int, frame: FrameType | None) -> None:
    limit = f"{LIMIT_SECONDS} s of processor time" if number == signal.SIGPROF else f"{_HANG_SECONDS} s"
    raise TooSlowError(f"longer than {limit}")


def _largest_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _write(folder: Path, new: Tally) -> None:
    """Write the table with one more parser; what was played of the others stays, with the state of the code it was played on."""
    by_name = {**_written(folder), new.name: new}
    tallies = [by_name[parser.name] for parser in PARSERS if parser.name in by_name]
    total, found, ran = (
        sum(values) for values in zip(*((t.inputs, sum(t.findings.values()), t.ran_code) for t in tallies), strict=True)
    )
    lines = [
        "# Damaged and hostile inputs",
        "",
        f"`python benchmarks/fuzz/fuzz.py --seed {new.seed}`; {machine_line()}",
        "",
        f"**{total:,} inputs of {len(tallies)} parsers: {found} uncaught exceptions, {ran} times that code of an input ran.** "
        "Each input is a good one with up to four mishaps, or made by hand to do harm; it is read, or refused with one clear "
        "error. Code would have been seen: hostile inputs try to make a folder, and starting a program or connecting is counted. "
        f"Seconds are of the processor; one input may take {LIMIT_SECONDS}.",
        "",
        "| parser | inputs are | inputs | read | refused | uncaught | code ran | slowest, s | memory grew, MB | code |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *map(_row, tallies),
    ]
    write_text(folder / "fuzz.md", "\n".join(lines) + "\n")
    plain = [{**asdict(tally), "findings": dict(tally.findings)} for tally in tallies]  # asdict miscounts a Counter
    write_json(folder / "fuzz.json", {"machine": machine_line(), "parsers": plain})


def _written(folder: Path) -> dict[str, Tally]:
    try:
        record = read_json(folder / "fuzz.json")
    except FileNotFoundError:
        return {}
    return {one["name"]: Tally(**{**one, "findings": collections.Counter(one["findings"])}) for one in record["parsers"]}


def _row(tally: Tally) -> str:
    findings = sum(tally.findings.values())
    return (
        f"| {tally.name} | {tally.what} | {tally.inputs:,} | {tally.read:,} | {tally.refused:,} | {findings} | "
        f"{tally.ran_code} | {tally.slowest_seconds:.1f} | {tally.memory_mb:.0f} | {tally.commit.removeprefix('commit ')} |"
    )


if __name__ == "__main__":
    sys.exit(main())
