"""The product's loop beside a bare one, in turn, in one process: MobileNetV2 on Market-1501 at 128x64, batch 64.

    python benchmarks/step/beside_bare_loop.py [--pairs 20] [--threads 2] [--write benchmarks/results/beside_bare_loop.md]

Set REID_DATA to the folder that holds Market-1501-v15.09.15. Both sides train networks of the same kind on the same images:
cross-entropy with smoothing 0.1 and hard triplet, PK 16 x 4, flip, pad and crop, Adam, channels last, single precision. Ours is
the whole loop of a real run (loader, schedule, watch over the weights, record of every step); the bare one is what people write
in an afternoon: pixels in memory, one crop for the whole batch, nothing recorded but two sums. Blocks of steps alternate, so
both meet the same machine; ratios are of neighbouring blocks.
"""

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.machine import machine_line
from unplateau.config.load import load
from unplateau.config.schema import Config
from unplateau.data.image_source import open_images
from unplateau.data.items import Item
from unplateau.engine.host_memory import keep_freed_memory
from unplateau.engine.loop import train
from unplateau.engine.ranks import Ranks
from unplateau.engine.stopping import Progress
from unplateau.models.build import build_model
from unplateau.workflows.training.session import build_session, plan_data

CONFIG = Path(__file__).resolve().parents[2] / "custom_configs" / "market1501_mobilenetv2_cpu.yml"
BLOCK_STEPS, BATCH, IMAGES_EACH = 10, 64, 4
REPLICATES = 10_000


@dataclass(frozen=True)
class Block:
    """Seconds a step of one block, by the clock and of the processor."""

    wall: float
    cpu: float


def images_of_a_block(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Return the images of the first identities, as many as one epoch of a block's steps needs."""
    persons = sorted({item.person_id for item in items})
    kept: list[Item] = []
    for person in persons:
        kept += [item for item in items if item.person_id == person]
        if len(kept) >= BLOCK_STEPS * BATCH:
            break
    return tuple(kept[: BLOCK_STEPS * BATCH])


def product_blocks(config: Config, items: tuple[Item, ...]) -> Iterator[None]:
    """Yield after each block of the product's own loop: an epoch of `BLOCK_STEPS` steps."""
    plan = replace(plan_data(config), train=items, all_train=items, tests=())
    session = build_session(config, plan, device=torch.device("cpu"), ranks=Ranks())
    assert session.parts.train_loader.steps_per_epoch == BLOCK_STEPS
    for _ in train(session.parts, Progress(session.schedule)):
        yield


def bare_blocks(config: Config, items: tuple[Item, ...]) -> Iterator[None]:
    """Yield after each block of a bare loop."""
    pixels_NHW3 = next(iter(open_images(items, config.INPUT.SIZE_TRAIN, config).batches([[item.path for item in items]])))
    images_NCHW = pixels_NHW3.permute(0, 3, 1, 2).contiguous()
    labels_N = np.unique([item.person_id for item in items], return_inverse=True)[1]
    rows_of = [np.flatnonzero(labels_N == label) for label in range(labels_N.max() + 1)]
    network = build_model(config, num_identities=len(rows_of), num_cameras=6).model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=config.SOLVER.BASE_LR, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 200))
    mean, std = (torch.tensor(values)[:, None, None] for values in (config.MODEL.PIXEL_MEAN, config.MODEL.PIXEL_STD))
    sums = np.zeros(2)
    while True:
        for _ in range(BLOCK_STEPS):
            chosen = np.random.choice(len(rows_of), BATCH // IMAGES_EACH, False)
            rows = np.concatenate([np.random.choice(rows_of[i], IMAGES_EACH, replace=len(rows_of[i]) < 4) for i in chosen])
            images_BCHW, labels_B = images_NCHW[torch.from_numpy(rows)], torch.from_numpy(labels_N[rows])
            flips_B = torch.rand(BATCH) < 0.5
            images_BCHW[flips_B] = images_BCHW[flips_B].flip(3)
            top, left = random.randrange(11), random.randrange(11)
            images_BCHW = F.pad(images_BCHW, (5, 5, 5, 5))[:, :, top : top + 128, left : left + 64].float()
            outputs = network(((images_BCHW - mean) / std).contiguous(memory_format=torch.channels_last), person_ids_B=labels_B)
            entropy = F.cross_entropy(outputs.logits_BI, labels_B, label_smoothing=0.1)
            triplet = hardest_triplets(outputs.features_BD, labels_B)
            optimizer.zero_grad()
            (entropy + triplet).backward()
            optimizer.step()
            schedule.step()
            sums += entropy.item(), triplet.item()
        yield


def hardest_triplets(features_BD: Tensor, labels_B: Tensor) -> Tensor:
    """Return the batch-hard triplet loss (Hermans et al. 2017)."""
    distances_BB, same_BB = torch.cdist(features_BD, features_BD), labels_B[:, None] == labels_B[None]
    return F.relu((distances_BB * same_BB).max(1)[0] - (distances_BB + 1e9 * same_BB).min(1)[0] + 0.3).mean()


def timed(advance: Callable[[], object]) -> Block:
    wall, cpu = time.perf_counter(), time.process_time()
    advance()
    return Block((time.perf_counter() - wall) / BLOCK_STEPS, (time.process_time() - cpu) / BLOCK_STEPS)


def ratio_line(name: str, ours: list[float], bare: list[float]) -> str:
    """Return a row: medians, and the median of paired ratios with its bootstrap interval."""
    ratios = np.array(ours) / np.array(bare)
    drawn = np.random.default_rng(0).choice(ratios, (REPLICATES, len(ratios)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    middle = statistics.median(ratios)
    sides = f"{1e3 * statistics.median(ours):.1f} | {1e3 * statistics.median(bare):.1f}"
    return f"| {name} | {sides} | **{middle:.3f}** ({low:.3f}–{high:.3f}) |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # both sides gain from it
    overrides = ("VALIDATION.HELD_OUT", "0", "MODEL.BACKBONE.PRETRAIN", "False", "SOLVER.MAX_EPOCH", str(options.pairs + 3))
    config = load(CONFIG, (*overrides, "DATASETS.NAMES", "Market1501", "DATASETS.TESTS", "Market1501")).config
    items = images_of_a_block(plan_data(config).train)
    load_before = os.getloadavg()[0]
    ours, bare = product_blocks(config, items), bare_blocks(config, items)
    next(ours), next(bare)  # memory, lazy initialisation
    pairs = [(timed(lambda: next(ours)), timed(lambda: next(bare))) for _ in range(options.pairs)]
    lines = ["| time | ours, ms a step | bare loop, ms a step | ratio (95 % interval) |", "|---|---|---|---|"]
    lines.append(ratio_line("clock", [one.wall for one, _ in pairs], [two.wall for _, two in pairs]))
    lines.append(ratio_line("processor", [one.cpu for one, _ in pairs], [two.cpu for _, two in pairs]))
    head = (
        f"{machine_line()}; {options.pairs} pairs of blocks of {BLOCK_STEPS} steps; load average at the start {load_before:.1f}"
    )
    text = (
        "\n".join(["# The loop beside a bare one", "", "`python benchmarks/step/beside_bare_loop.py`", "", head, "", *lines])
        + "\n"
    )
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
