"""The protocol experiment, without a framework: the control and the five solutions on Market-1501 mini, every curve kept.

    python benchmarks/protocol/record_curves.py DATA WEIGHTS OUT [--seeds 0 1 2 3 4] [--workers 2] [--scale 6]

DATA holds bounding_box_train, bounding_box_test and query; WEIGHTS is the ImageNet file of `quarter_mobilenet`. The 90 epochs
of the stalled run are divided by --scale, milestones with them. Trained on the 150 lowest training identities; scored after
each epoch on query/gallery of the 150 lowest test identities, and on held-out identities (the next 100 training identities,
never trained on, in nested subsets of 10 to 100). One JSON line an epoch, one file a run; a finished file is not run again.
"""

import argparse
import json
import math
import multiprocessing
import os
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from quarter_mobilenet import QuarterMobileNet, load_public_weights
from torch import nn

MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
HELD_OUT_SIZES = (10, 15, 20, 30, 50, 75, 100)
EPOCHS = 90


@dataclass(frozen=True)
class Recipe:
    lr: float = 3.5e-4
    batch: int = 16
    ce_scale: float = 1.0
    triplet_scale: float = 1.0
    milestones: tuple[int, ...] = (40, 70)  # of 90 epochs; () = cosine


STALLED = Recipe()
RECIPES = {
    "solution_0_control": STALLED,
    "solution_1_higher_lr": replace(STALLED, lr=7e-4),
    "solution_2_cosine_annealing": replace(STALLED, milestones=()),
    "solution_3_heavy_triplet": replace(STALLED, ce_scale=0.3, triplet_scale=2.0),
    "solution_4_aggressive_lr_drop": replace(STALLED, lr=1e-3, milestones=(20, 50)),
    "solution_5_smaller_batch_higher_lr": replace(STALLED, lr=1e-3, batch=8),
}


@dataclass(frozen=True)
class Images:
    pixels: torch.Tensor
    persons: np.ndarray
    cameras: np.ndarray

    def of(self, persons: np.ndarray) -> "Images":
        keep = np.isin(self.persons, persons)
        return Images(self.pixels[torch.from_numpy(keep)], self.persons[keep], self.cameras[keep])


def read(folder: Path) -> Images:
    pixels, persons, cameras = [], [], []
    for name in sorted(f for f in os.listdir(folder) if ".jpg" in f):
        person, camera = (int(group) for group in re.match(r"^(-1|\d{4})_c(\d)", name).groups())
        if person > 0:
            pixels.append(np.asarray(Image.open(folder / name).convert("RGB")).transpose(2, 0, 1))
            persons.append(person)
            cameras.append(camera)
    return Images(torch.from_numpy(np.stack(pixels)), np.array(persons), np.array(cameras))


def split_held_out(images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Rows of queries (the first image of each identity and camera) and of the gallery (the rest)."""
    keys = images.persons * 10 + images.cameras
    _, first = np.unique(keys, return_index=True)
    return first, np.setdiff1d(np.arange(len(keys)), first)


class Net(nn.Module):
    def __init__(self, weights: str, identities: int):
        super().__init__()
        self.features = QuarterMobileNet()
        load_public_weights(self.features, weights)
        self.neck = nn.BatchNorm1d(256)
        self.neck.bias.requires_grad_(False)
        self.classifier = nn.Linear(256, identities, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)

    def forward(self, images):
        pooled = self.features(images).mean((2, 3))
        return pooled, self.neck(pooled)


def normalise(pixels):
    return ((pixels.float() / 255 - MEAN) / STD).contiguous(memory_format=torch.channels_last)


def augment(pixels, rng):
    """Flip, pad 10 and crop, erase at random: each image by its own draw (Luo et al. 2019, bag of tricks)."""
    padded, out = F.pad(pixels, (10, 10, 10, 10)), torch.empty_like(pixels)
    for i in range(len(pixels)):
        top, left = rng.integers(21), rng.integers(21)
        image = padded[i, :, top : top + 128, left : left + 64]
        out[i] = image.flip(2) if rng.random() < 0.5 else image
    batch = normalise(out)
    for i in range(len(batch)):
        if rng.random() < 0.5:
            area, ratio = rng.uniform(0.02, 0.4) * 128 * 64, math.exp(rng.uniform(math.log(0.3), math.log(1 / 0.3)))
            h, w = min(127, round(math.sqrt(area * ratio))), min(63, round(math.sqrt(area / ratio)))
            top, left = rng.integers(128 - h), rng.integers(64 - w)
            batch[i, :, top : top + h, left : left + w] = 0.0
    return batch


def embed(net, pixels):
    net.eval()
    with torch.inference_mode():
        return torch.cat([F.normalize(net(normalise(part))[1]) for part in pixels.split(128)]).numpy()


def retrieve(query, gallery):
    """AP of each query that has a match, and rank-1; a side is (features, persons, cameras). Camera rule; ties count against."""
    (q_features, q_persons, q_cameras), (g_features, g_persons, g_cameras) = query, gallery
    average_precision, rank1 = [], []
    for row, person, camera in zip(q_features @ g_features.T, q_persons, q_cameras, strict=True):
        keep = ~((g_persons == person) & (g_cameras == camera))
        hits = (g_persons == person)[keep]
        order = np.lexsort((hits, -row[keep]))
        ranks = np.flatnonzero(hits[order])
        if len(ranks):
            average_precision.append(((np.arange(len(ranks)) + 1) / (ranks + 1)).mean())
            rank1.append(ranks[0] == 0)
    return np.array(average_precision), float(np.mean(rank1))


def score(net, test, held_out):
    q, g = test
    ap, rank1 = retrieve((embed(net, q.pixels), q.persons, q.cameras), (embed(net, g.pixels), g.persons, g.cameras))
    scores = {"test_map": float(ap.mean()), "test_rank1": rank1}
    features, persons = embed(net, held_out.pixels), np.unique(held_out.persons)
    queries, gallery = split_held_out(held_out)
    for size in HELD_OUT_SIZES:
        kept = np.isin(held_out.persons, persons[:size])
        sides = [
            (features[r], held_out.persons[r], held_out.cameras[r]) for r in (queries[kept[queries]], gallery[kept[gallery]])
        ]
        ap, rank1 = retrieve(*sides)
        scores[f"held_out_{size}_map"], scores[f"held_out_{size}_rank1"] = float(ap.mean()), rank1
    return scores


def learning_rate(recipe, step, steps_per_epoch, scale):
    """Linear warm-up from a tenth over 2.5 of 90 epochs (2000 iterations in the original), then steps or cosine."""
    epoch, warmup = step / steps_per_epoch * scale, min(1.0, 0.1 + 0.9 * step / (2.5 / scale * steps_per_epoch))
    if recipe.milestones:
        return recipe.lr * warmup * 0.1 ** sum(epoch >= m for m in recipe.milestones)
    return recipe.lr * warmup * 0.5 * (1 + math.cos(math.pi * min(1.0, epoch / EPOCHS)))


def train_epoch(net, optimizer, train, recipe, rng, *, epoch, scale, rate=learning_rate, after_step=None):
    """Train one epoch at the rates of `rate`; `after_step(net, steps an epoch)` may look on. Return mean CE and triplet."""
    labels = np.unique(train.persons, return_inverse=True)[1]
    of_identity = [np.flatnonzero(labels == i) for i in range(labels.max() + 1)]
    steps, sums = len(labels) // recipe.batch, np.zeros(2)
    net.train()
    for step in range(steps):
        chosen = rng.choice(len(of_identity), recipe.batch // 4, replace=False)
        rows = np.concatenate([rng.choice(of_identity[i], 4, replace=len(of_identity[i]) < 4) for i in chosen])
        target = torch.from_numpy(labels[rows])
        optimizer.param_groups[0]["lr"] = rate(recipe, epoch * steps + step, steps, scale)
        pooled, necked = net(augment(train.pixels[rows], rng))
        ce = F.cross_entropy(net.classifier(necked), target, label_smoothing=0.1)
        squared = pooled.square().sum(1)
        distance = (squared[:, None] + squared[None] - 2 * pooled @ pooled.T).clamp(min=1e-12).sqrt()
        same = target[:, None] == target[None]
        triplet = F.relu((distance - 1e9 * ~same).amax(1) - (distance + 1e9 * same).amin(1) + 0.3).mean()
        optimizer.zero_grad()
        (recipe.ce_scale * ce + recipe.triplet_scale * triplet).backward()
        optimizer.step()
        sums += ce.item(), triplet.item()
        if after_step is not None:
            after_step(net, steps)
    return sums / steps


def run(task):
    name, seed, arguments, data = task
    path = Path(arguments.out) / f"{name}_seed{seed}.jsonl"
    if path.exists():
        return
    lines = train_run(name, seed, arguments, data)
    keep(path, lines)
    print(name, seed, lines[-1], flush=True)


def train_run(name, seed, arguments, data, *, after_epoch=None, after_step=None):
    """Train one run and return its epochs, epoch 0 first; `after_epoch(net, optimizer, epochs done)` may look on."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng, recipe, (train, test, held_out) = np.random.default_rng(seed), RECIPES[name], data
    net = Net(arguments.weights, len(np.unique(train.persons))).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), lr=recipe.lr, weight_decay=5e-4)
    lines = [{"epoch": 0, **score(net, test, held_out)}]
    for epoch in range(EPOCHS // arguments.scale):
        started, how = time.perf_counter(), {"epoch": epoch, "scale": arguments.scale, "after_step": after_step}
        ce, triplet = train_epoch(net, optimizer, train, recipe, rng, **how)
        seconds = time.perf_counter() - started
        losses = {"ce": round(ce, 4), "triplet": round(triplet, 4), "train_seconds": round(seconds, 2)}
        lines.append({"epoch": epoch + 1, **losses, **score(net, test, held_out)})
        if after_epoch is not None:
            after_epoch(net, optimizer, epoch + 1)
    return lines


def keep(path, lines):
    """Write the lines, the whole file or nothing."""
    partial = path.with_suffix(".part")
    rounded = [{k: round(v, 5) if isinstance(v, float) else v for k, v in line.items()} for line in lines]
    partial.write_text("".join(json.dumps(line) + "\n" for line in rounded))
    partial.replace(path)


def load_mini(data: Path):
    train_all, gallery, query = (read(data / f) for f in ("bounding_box_train", "bounding_box_test", "query"))
    identities, test_identities = np.unique(train_all.persons), np.unique(query.persons)[:150]
    return (
        train_all.of(identities[:150]),
        (query.of(test_identities), gallery.of(test_identities)),
        train_all.of(identities[150:250]),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("data", "weights", "out"):
        parser.add_argument(name)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scale", type=int, default=6)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # before any tensor work: a fork after OpenMP has started its threads hangs
    Path(arguments.out).mkdir(parents=True, exist_ok=True)
    data = load_mini(Path(arguments.data))
    tasks = [(name, seed, arguments, data) for seed in arguments.seeds for name in RECIPES]
    with multiprocessing.get_context("fork").Pool(arguments.workers, maxtasksperchild=1) as pool:
        for _ in pool.imap_unordered(run, tasks):
            pass


if __name__ == "__main__":
    main()
