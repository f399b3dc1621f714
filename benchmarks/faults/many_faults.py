"""Injects faults of all kinds into real trainings, again and again, and counts what is not as promised.

    python benchmarks/faults/many_faults.py SCRATCH [--rounds 20] [--only NAME ...] [--seed 0] [--results FOLDER]

Round r plays every kind once, with its own random numbers. Each outcome is a line of SCRATCH/outcomes.jsonl; started again,
rounds that are written there are not played again. The table goes to FOLDER/faults.md and faults.json.
"""

import argparse
import logging
import random
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.faults.in_training import IN_TRAINING
from benchmarks.faults.of_disagreement import OF_DISAGREEMENT
from benchmarks.faults.of_files import OF_FILES, can_change_disks, put_back
from benchmarks.faults.of_processes import OF_PROCESSES
from benchmarks.faults.stage import RECIPES, Fault, Outcome, Stage, problems_of, run_whole
from benchmarks.faults.table import write_table
from unplateau.base.files import append_json_line, read_json_lines
from unplateau.testing.small_market import Lab, draw_market

FAULTS: tuple[Fault, ...] = (*IN_TRAINING, *OF_FILES, *OF_PROCESSES, *OF_DISAGREEMENT)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scratch", type=Path)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    has_root = can_change_disks(arguments.scratch)
    chosen = [
        fault for fault in FAULTS if (not arguments.only or fault.name in arguments.only) and (has_root or not fault.needs_root)
    ]
    written = arguments.scratch / "outcomes.jsonl"
    played = {(line["fault"], line["round"]) for line in read_json_lines(written)}
    logging.getLogger("unplateau").setLevel(logging.ERROR)  # what reading damaged files says here is of no interest
    lab = lab_in(arguments.scratch)
    for number in range(arguments.rounds):
        for fault in chosen:
            if (fault.name, number) not in played and number % fault.every == 0:
                outcome = play(lab, fault, number, arguments.seed)
                append_json_line(written, asdict(outcome))
                print(f"{fault.name} {number}: {outcome.how}: {'; '.join(outcome.problems) or 'as promised'}", flush=True)
        if arguments.results:
            write_table(arguments.results, FAULTS, read_json_lines(written), seed=arguments.seed)
    return int(any(line["problems"] for line in read_json_lines(written)))


def lab_in(scratch: Path) -> Lab:
    """Return the place for all rounds, with its data drawn and the undisturbed runs done."""
    torch.set_num_threads(1)
    lab = Lab(root=scratch / "datasets", place=scratch, cache=scratch / "cache")
    if not lab.root.exists():
        draw_market(lab.root)
    put_back(lab)  # images that a harness was stopped in the middle of damaging
    for number, recipe in enumerate(RECIPES):
        if not lab.folder(f"whole_{number}").final_model.exists():
            run_whole(lab, recipe, f"whole_{number}")
    return lab


def play(lab: Lab, fault: Fault, number: int, seed: int) -> Outcome:
    """Play one fault on the recipe whose turn it is, and look at what it left."""
    recipe = list(RECIPES)[number % len(RECIPES)]
    name = f"{fault.name}_{number}"
    shutil.rmtree(lab.folder(name).path, ignore_errors=True)  # of a harness that was stopped
    stage = Stage(lab, name, recipe, random.Random(f"{seed}/{fault.name}/{number}"), f"whole_{number % len(RECIPES)}")
    started = time.perf_counter()
    played = fault.play(stage)
    reason, problems = ("", list(played.problems)) if played.is_checked else problems_of(stage, played)
    if not problems:
        shutil.rmtree(stage.folder.path, ignore_errors=True)
    return Outcome(fault.name, number, recipe, played.how, reason, tuple(problems), round(time.perf_counter() - started, 1))


if __name__ == "__main__":
    sys.exit(main())
