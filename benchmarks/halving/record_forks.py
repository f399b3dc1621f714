"""Runs of the protocol experiment with short cooldown forks: what would this half-trained model score if its rate fell now?

    python benchmarks/halving/record_forks.py DATA WEIGHTS OUT [--seeds 5 6] [--forks 3:1] [--scale 6]

Each run is trained exactly as `benchmarks/protocol/record_curves.py` does; its curve goes to OUT/curves. At each fork E:K a copy
of network and optimiser is trained K epochs more after epoch E, the rate falling linearly to zero, and scored. At the fork
epochs an average of the weights is scored too: a moving average with a time constant of half an epoch, which costs no training.
One line a fork in OUT/forks: {"from_epoch": E, "fork_epochs": K or 0 for the average, scores...}.
"""

import argparse
import copy
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "protocol"))  # scripts there import each other by name
from record_curves import RECIPES, keep, learning_rate, load_mini, score, train_epoch, train_run

AVERAGED_EPOCHS = 0.5


class AverageOf:
    """A moving average of all weights and buffers of the net it is shown after each step."""

    def __init__(self):
        self.net = None

    @torch.no_grad()
    def __call__(self, net, steps):
        if self.net is None:
            self.net = copy.deepcopy(net)
            return
        mine, new = ([t for t in n.state_dict().values() if t.is_floating_point()] for n in (self.net, net))
        torch._foreach_lerp_(mine, new, 1 / (AVERAGED_EPOCHS * steps))


def cooled(net, optimizer, train, recipe, *, epoch, length, scale, seed):
    """Train a copy `length` epochs more, from the rate the run has to zero. Neither `net` nor its random stream is touched."""
    fork = copy.deepcopy(net)
    own = torch.optim.Adam(fork.parameters(), lr=recipe.lr, weight_decay=5e-4)
    own.load_state_dict(copy.deepcopy(optimizer.state_dict()))

    def rate(recipe, step, steps, scale):
        start = epoch * steps
        return learning_rate(recipe, start, steps, scale) * (1 - (step - start) / (length * steps))

    rng = np.random.default_rng([seed, epoch, length])
    for extra in range(length):
        train_epoch(fork, own, train, recipe, rng, epoch=epoch + extra, scale=scale, rate=rate)
    return fork


def record(name, seed, arguments, data):
    places = [Path(arguments.out) / kind / f"{name}_seed{seed}.jsonl" for kind in ("curves", "forks")]
    if all(place.exists() for place in places):
        return
    train, test, held_out = data
    forks, average = [], AverageOf()

    def after_epoch(net, optimizer, epoch):
        lengths = [length for start, length in arguments.forks if start == epoch]
        if lengths:
            forks.append({"from_epoch": epoch, "fork_epochs": 0, **score(average.net, test, held_out)})
        for length in lengths:
            how = {"epoch": epoch, "length": length, "scale": arguments.scale, "seed": seed}
            fork = cooled(net, optimizer, train, RECIPES[name], **how)
            forks.append({"from_epoch": epoch, "fork_epochs": length, **score(fork, test, held_out)})

    curve = train_run(name, seed, arguments, data, after_epoch=after_epoch, after_step=average)
    for place, lines in zip(places, (curve, forks), strict=True):
        place.parent.mkdir(parents=True, exist_ok=True)
        keep(place, lines)
    print(name, seed, curve[-1], flush=True)


def pair(text):
    start, length = text.split(":")
    return int(start), int(length)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "weights", "out"):
        parser.add_argument(name)
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 6])
    parser.add_argument("--forks", type=pair, nargs="+", default=[(3, 1)])
    parser.add_argument("--scale", type=int, default=6)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = load_mini(Path(arguments.data))
    for seed in arguments.seeds:
        for name in RECIPES:
            record(name, seed, arguments, data)


if __name__ == "__main__":
    main()
