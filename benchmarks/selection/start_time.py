"""How long `--help` and `--compare-only` of 20 runs take: wall clock and processor time, medians.

    python benchmarks/selection/start_time.py [--repeats 7]

The runs are made (120 queries of 40 persons, 3 epochs each, 4 recipes of 5 seeds); configurations and records are real files.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.workflows.made_runs import write_run

ROOT = Path(__file__).parents[2]
RATES = (0.0001, 0.00035, 0.0007, 0.001)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as place:
        for number, rate in enumerate(RATES):
            for seed in range(5):
                write_run(Path(place) / f"rate{number}_seed{seed}", seed=seed, gain=0.02 * number, **{"SOLVER.BASE_LR": rate})
        for title, words in (("--help", ["--help"]), ("--compare-only, 20 runs", ["--compare-only", "--output-dir", place])):
            measured = [
                _timed(lambda words=words: subprocess.run(_command(words), check=True, capture_output=True))
                for _ in range(repeats)
            ]
            wall, processor = (statistics.median(column) for column in zip(*measured, strict=True))
            print(f"| {title} | {wall:.2f} s | {processor:.2f} s |", flush=True)


def _command(words: list[str]) -> list[str]:
    return [sys.executable, str(ROOT / "find_best_model.py"), *words]


def _timed(run: Callable[[], object]) -> tuple[float, float]:
    """Wall clock and processor time of what `run` starts and waits for, seconds."""
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    run()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - begun, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
