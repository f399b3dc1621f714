"""Kills a search ten times, with real trainings, and counts: no finished trial lost, none counted twice, no epoch trained twice.

    python benchmarks/search/kills.py SCRATCH [--kills 10] [--workers 2] [--trials 7]

A search of `tiny.yml` with two workers is started; as soon as its trials have finished one or two more epochs (seed 0), and
up to two seconds later, its coordinator is killed with SIGKILL, every other time its trainings with it; then the same
command is started again. After the last kill it is left to end. Printed: the trials, the epochs of each, and how many of
them were trained twice.
"""

import argparse
import collections
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from unplateau.base.files import read_json, read_json_lines

HERE = Path(__file__).parent


def command(arguments: argparse.Namespace) -> list[str]:
    words = ["--base-config", str(HERE / "tiny.yml"), "--output-dir", str(arguments.scratch), "--no-test"]
    return [
        sys.executable, "-m", "unplateau.cli.main", "find-best", *words,
        "--max-trials", str(arguments.trials), "--workers", str(arguments.workers),
    ]  # fmt: skip


def trainings_of(folder: Path) -> list[int]:
    """Process numbers of trainings into a folder, found by their command lines."""
    found = []
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = status.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"train" in words and str(folder).encode() in words:
            found.append(int(status.parent.name))
    return found


def num_epochs(folder: Path) -> int:
    return sum(len(read_json_lines(file)) for file in folder.glob("*/metrics.jsonl"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--trials", type=int, default=7)
    arguments = parser.parse_args()
    rng = random.Random(0)
    finished: set[str] = set()
    for kill in range(arguments.kills):
        process = subprocess.Popen(command(arguments), stdout=subprocess.DEVNULL)
        wanted = num_epochs(arguments.scratch) + rng.choice((1, 2))
        while num_epochs(arguments.scratch) < wanted and process.poll() is None:
            time.sleep(0.1)
        time.sleep(rng.uniform(0, 2))
        ended = process.poll() is not None
        process.kill()
        process.wait()
        victims = trainings_of(arguments.scratch) if kill % 2 == 0 else []
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        whole = {file.parent.name for file in arguments.scratch.glob("*/stop.json") if read_json(file).get("code") == "completed"}
        assert finished <= whole, f"lost: {finished - whole}"
        finished = whole
        print(
            f"kill {kill + 1}: coordinator and {len(victims)} trainings, {len(finished)} finished{' (it had ended)' * ended}",
            flush=True,
        )
    subprocess.run(command(arguments), check=True, stdout=subprocess.DEVNULL)
    record = read_json(arguments.scratch / "search.json")
    trials = record["trials"]
    assert [trial["number"] for trial in trials] == list(range(arguments.trials)), "a trial is lost or counted twice"
    assert len({str(trial["changes"]) for trial in trials}) == len(trials), "a configuration was tried twice"
    assert finished <= {trial["name"] for trial in trials if trial["state"] == "finished"}
    for trial in trials:
        lines = read_json_lines(arguments.scratch / trial["name"] / "metrics.jsonl")
        counts = collections.Counter(line["epoch"] for line in lines)
        repeated = sum(count - 1 for count in counts.values())
        print(f"{trial['name']}: {trial['state']}, {trial['epochs']} epochs, {repeated} trained twice")
    print(f"{len(trials)} trials, each once; winner {record['winner']}")


if __name__ == "__main__":
    main()
