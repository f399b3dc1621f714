"""Reads inputs of a gigabyte, each in a process of its own, and says how long it took and how much memory.

    python benchmarks/fuzz/gigabytes.py SCRATCH [--bytes 1000000000] [--only NAME ...] [--results FOLDER]

Right is: read, or refused with one of our errors, in under 2 GB of memory. The files are made in SCRATCH and removed again.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.fuzz.giants import GIANTS, Giant
from benchmarks.machine import commit_line, machine_line
from unplateau.base.errors import UnplateauError
from unplateau.base.files import write_json, write_text

LIMIT_SECONDS = 1800
MOST_MEMORY_MB = 2048
_CHUNK = 16 << 20


@dataclass(frozen=True)
class Outcome:
    """What became of one of them."""

    name: str
    what: str
    megabytes: int
    came_of_it: str
    seconds: float
    memory_mb: int
    """The largest size of the process, Python and its libraries included."""
    is_right: bool


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--results", type=Path)
    parser.add_argument("--read", nargs=2, help=argparse.SUPPRESS)  # NAME PATH: the child's part
    arguments = parser.parse_args()
    if arguments.read:
        return _read(*arguments.read)
    outcomes = []
    for giant in GIANTS:
        if not arguments.only or giant.name in arguments.only:
            outcomes.append(_play(giant, arguments.scratch, arguments.bytes))
            print(_row(outcomes[-1]), flush=True)
            if arguments.results:
                _write(arguments.results, outcomes)
    return int(not all(one.is_right for one in outcomes))


def _play(giant: Giant, scratch: Path, num_bytes: int) -> Outcome:
    place = scratch / "giant"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        path = place / giant.file
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            for piece in _pieces(giant.pieces, num_bytes):
                stream.write(piece)
        words = [sys.executable, __file__, str(scratch), "--read", giant.name, str(path)]
        done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
        size = path.stat().st_size // 1_000_000
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if done.returncode:
        return Outcome(
            giant.name, giant.what, size, (done.stderr.strip().splitlines() or ["killed"])[-1][:150], 0.0, 0, is_right=False
        )
    told = json.loads(done.stdout.splitlines()[-1])
    return Outcome(giant.name, giant.what, size, told["came"], told["seconds"], told["mb"], is_right=told["mb"] < MOST_MEMORY_MB)


def _pieces(make: Callable[[int], bytes], num_bytes: int) -> Iterator[bytes]:
    """Yield pieces until there are enough bytes; `make` is given the number of the piece."""
    total = number = 0
    while total < num_bytes:
        piece = make(number)
        total, number = total + len(piece), number + 1
        yield piece


def _read(name: str, path: str) -> int:
    giant = next(one for one in GIANTS if one.name == name)
    started = time.perf_counter()
    try:
        came = f"read: {giant.read(Path(path))}"
    except UnplateauError as error:
        came = f"refused: {str(error).replace(str(Path(path).parent), '...')[:110]}"
    seconds = time.perf_counter() - started
    mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"came": came, "seconds": round(seconds, 1), "mb": mb}))
    return 0


def _row(one: Outcome) -> str:
    came = one.came_of_it.replace("|", "\\|")
    right = "" if one.is_right else " **not as it must be**"
    return f"| {one.name} | {one.what} | {one.megabytes:,} | {came}{right} | {one.seconds:.0f} | {one.memory_mb:,} |"


def _write(folder: Path, outcomes: list[Outcome]) -> None:
    wrong = sum(not one.is_right for one in outcomes)
    lines = [
        "# Inputs of a gigabyte",
        "",
        f"`python benchmarks/fuzz/gigabytes.py SCRATCH`; {machine_line()}; {commit_line()}",
        "",
        f"**{len(outcomes)} inputs, {wrong} not as they must be**: read, or refused with one clear error, in under "
        f"{MOST_MEMORY_MB:,} MB of memory (all of the process, of which Python and its libraries take some 100 to 300).",
        "",
        "| input | what is in it | MB | what came of it | seconds | memory, MB |",
        "|---|---|---|---|---|---|",
        *map(_row, outcomes),
    ]
    write_text(folder / "gigabytes.md", "\n".join(lines) + "\n")
    write_json(folder / "gigabytes.json", {"machine": machine_line(), "outcomes": [asdict(one) for one in outcomes]})


if __name__ == "__main__":
    sys.exit(main())
