"""One training on the drawn Market-1501 as a process of its own: what `kill_and_resume` kills and the tests of torchrun start.

python benchmarks/faults/train_drawn.py FOLDER NAME [--resume] [KEY VALUE ...]
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch

from unplateau.base.errors import UnplateauError
from unplateau.testing.small_market import Lab, draw_market
from unplateau.workflows.training.train import run_training


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    parser.add_argument("--resume", action="store_true")
    arguments, overrides = parser.parse_known_args()
    torch.set_num_threads(1)
    lab = lab_in(arguments.folder)
    request = replace(lab.request(arguments.name, resume=arguments.resume), overrides=tuple(overrides), is_quiet=False)
    try:
        return run_training(request).reason.exit_code
    except UnplateauError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def lab_in(folder: Path) -> Lab:
    """Return the lab of a folder, drawing its data on first use."""
    lab = Lab(root=folder / "datasets", place=folder, cache=folder / "cache")
    if not lab.root.exists():
        draw_market(lab.root)
    return lab


if __name__ == "__main__":
    sys.exit(main())
