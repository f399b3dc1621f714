"""Trains every point of a small grid on MiniMarket and keeps its curve: the table on which searches are compared (`replay.py`).

    python benchmarks/search/record_trials.py OUT.jsonl SCRATCH [--seeds 0] [--limit N] [--part 0/1]

Each trial is our own training (`run_training`: the same loop, data, preflight, held-out identities, one score of the test set)
of `tiny.yml` with one point of `table.yml`, in this process, to the end. One JSON line a trial: the keys it sets, the held-out
mAP of every epoch, the test mAP of its best epoch. A trial that is in the file is not trained again, so it can be killed at any
time; the order is shuffled (seed 0), so that a part of the table is a random part.
"""

import argparse
import itertools
import json
import random
import shutil
import time
from pathlib import Path
from typing import Any

import torch
import yaml

from unplateau.base.files import append_json_line, read_json_lines
from unplateau.runs.reader import read_run
from unplateau.workflows.training.request import TrainRequest
from unplateau.workflows.training.train import run_training

HERE = Path(__file__).parent


def grid() -> list[dict[str, Any]]:
    """Return every point as the configuration keys it sets, in a shuffled order that is always the same."""
    space = yaml.safe_load((HERE / "table.yml").read_text())
    axes = [_options(key, spec["choices"]) for key, spec in space.items()]
    points = [{key: value for part in parts for key, value in part.items()} for parts in itertools.product(*axes)]
    random.Random(0).shuffle(points)
    return points


def _options(key: str, choices: Any) -> list[dict[str, Any]]:
    return list(choices.values()) if isinstance(choices, dict) else [{key: choice} for choice in choices]


def record(point: dict[str, Any], seed: int, scratch: Path) -> dict[str, Any]:
    """Train one point and return its line."""
    words = [word for key, value in point.items() for word in (key, _word(value))]
    overrides = (*words, "SEED", str(seed), "OUTPUT_DIR", str(scratch))
    started, cpu = time.perf_counter(), time.process_time()
    outcome = run_training(TrainRequest(HERE / "tiny.yml", "trial", overrides, is_quiet=True, restart=True))
    run = read_run(outcome.folder.path)
    curve = [epoch.validation.mAP if epoch.validation else None for epoch in run.epochs]
    line = {
        "keys": point,
        "seed": seed,
        "ended": outcome.reason.code,
        "held_out_map": [round(value, 6) for value in curve if value is not None],
        "test_map": round(outcome.tests[0].mAP, 6) if outcome.tests else None,
        "seconds": round(time.perf_counter() - started, 2),
        "processor_seconds": round(time.process_time() - cpu, 2),
    }
    for folder in scratch.glob("trial*"):
        shutil.rmtree(folder)
    return line


def _word(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--limit", type=int, default=0, help="stop after so many trials")
    parser.add_argument("--part", default="0/1", help="k/n: every n-th trial from k on, for several processes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    part, parts = (int(number) for number in arguments.part.split("/"))
    done = [(line["keys"], line["seed"]) for line in read_json_lines(arguments.out)]
    tasks = [(point, seed) for seed in arguments.seeds for point in grid()][part::parts]
    tasks = [task for task in tasks if task not in done]
    for number, (point, seed) in enumerate(tasks[: arguments.limit or None], 1):
        line = record(point, seed, arguments.scratch / f"part{part}")
        append_json_line(arguments.out, line)
        print(f"{number}/{len(tasks)} {line['ended']} {line['held_out_map'][-1:]} test {line['test_map']}", flush=True)


if __name__ == "__main__":
    main()
