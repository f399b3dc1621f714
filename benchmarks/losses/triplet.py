"""The batch-hard triplet loss, forward and backward, against a loop over the anchors as torchreid has it, in turn.

    python benchmarks/losses/triplet.py [--pairs 40] [--threads 1] [--write benchmarks/results/triplet.md]

The loop is written here from its published formula (torchreid 1.4, HardMineTripletLoss): the matrix of distances, then for each
anchor the maximum over its positives and the minimum over its negatives. Both give the same loss, which is checked.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.machine import machine_line
from unplateau.losses.pairs import pairs_of
from unplateau.losses.triplet import TripletLoss, mean_over_hardest

BATCHES, IMAGES_EACH, DIM, MARGIN, CALLS = (32, 64, 128), 4, 512, 0.3, 20


def loop_over_anchors(features_BD: Tensor, labels_B: Tensor) -> Tensor:
    num_images = len(features_BD)
    squares = features_BD.pow(2).sum(1, keepdim=True).expand(num_images, num_images)
    distances = (squares + squares.t()).addmm(features_BD, features_BD.t(), beta=1, alpha=-2).clamp(min=1e-12).sqrt()
    mask = labels_B.expand(num_images, num_images).eq(labels_B.expand(num_images, num_images).t())
    positives, negatives = [], []
    for anchor in range(num_images):
        positives.append(distances[anchor][mask[anchor]].max().unsqueeze(0))
        negatives.append(distances[anchor][mask[anchor] == 0].min().unsqueeze(0))
    farthest, nearest = torch.cat(positives), torch.cat(negatives)
    return F.margin_ranking_loss(nearest, farthest, torch.ones_like(nearest), margin=MARGIN)


def milliseconds(loss: Callable[[Tensor, Tensor], Tensor], features_BD: Tensor, labels_B: Tensor) -> float:
    """Return the processor time of one call, backward included: other people's load counts little in it."""
    started = time.process_time()
    for _ in range(CALLS):
        features_BD.grad = None
        loss(features_BD, labels_B).backward()
    return 1e3 * (time.process_time() - started) / CALLS


def row(batch: int, pairs: int) -> str:
    torch.manual_seed(0)
    features_BD = torch.randn(batch, DIM, requires_grad=True)
    labels_B = torch.arange(batch // IMAGES_EACH).repeat_interleave(IMAGES_EACH)
    sides = (loss_alone, loss_and_measurements, loop_over_anchors)
    values = [side(features_BD, labels_B) for side in sides]
    torch.testing.assert_close(values, [values[2]] * 3, rtol=1e-4, atol=1e-5)
    turns = [[milliseconds(side, features_BD, labels_B) for side in sides] for _ in range(pairs + 1)][1:]
    alone, measured, theirs = (statistics.median(side) for side in zip(*turns, strict=True))
    cells = " | ".join(ratio([turn[2] / turn[ours] for turn in turns]) for ours in (0, 1))
    return f"| {batch} | {alone:.3f} | {measured:.3f} | {theirs:.2f} | {cells} |"


def loss_alone(features_BD: Tensor, labels_B: Tensor) -> Tensor:
    return mean_over_hardest(features_BD, pairs_of(labels_B), margin=MARGIN)[0]


def loss_and_measurements(features_BD: Tensor, labels_B: Tensor) -> Tensor:
    return TripletLoss(margin=MARGIN).term(features_BD, None, labels_B).value


def ratio(ratios: list[float]) -> str:
    ordered = sorted(ratios)
    low, high = ordered[len(ordered) // 10], ordered[-1 - len(ordered) // 10]
    return f"**{statistics.median(ordered):.1f}** ({low:.1f}–{high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    load = os.getloadavg()[0]
    head = f"{machine_line()}; {DIM}-d; {options.pairs} pairs of {CALLS} calls; load average at the start {load:.1f}"
    lines = [
        "| batch | ours, ms | ours with what it measures, ms | loop over anchors, ms | times as fast | with what it measures |"
    ]
    lines.append("|---|---|---|---|---|---|")
    lines += [row(batch, options.pairs) for batch in BATCHES]
    note = "Forward and backward, processor time; medians, and the 10th to 90th percentile of the turns' ratios."
    note += " A training also measures d_ap, d_an and the share of active triplets with the loss, which the loop does not."
    text = "\n".join(["# Triplet loss", "", "`python benchmarks/losses/triplet.py`", "", head, "", *lines, "", note]) + "\n"
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
