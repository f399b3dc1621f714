"""Is MiniMarket a real problem? Four numbers: colour histogram, backgrounds alone, an untrained and a trained small network.

    python benchmarks/minimarket/measure.py MINIMARKET_FOLDER [EPOCHS=40] [LR=3e-3] [SEED=0] [THREADS=1] [HELD_OUT=0]

A bare loop of its own, apart from the product's: `unplateau.models.tiny`, GeM pooling (p = 3), BNNeck, cross-entropy with
smoothing .1 + batch-hard triplet .3, PK 16x4, flip, pad-crop and erasing, Adam, one epoch of warm-up, cosine. HELD_OUT
identities are left out of training, as validation leaves them out. Test mAP by Market-1501's rules: junk dropped, same camera
of the same identity left out.
"""

import random
import re
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from unplateau.models.tiny import build_tiny_backbone

MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def load(folder):
    images, persons, cameras = [], [], []
    for path in sorted(Path(folder).glob("*.jpg")):
        person, camera = re.match(r"(-1|\d{4})_c(\d)", path.name).groups()
        if person != "-1":
            images.append(np.asarray(Image.open(path).convert("RGB")).transpose(2, 0, 1))
            persons.append(int(person))
            cameras.append(int(camera))
    return torch.from_numpy(np.stack(images)), np.array(persons), np.array(cameras)


def mean_average_precision(query_vectors, gallery_vectors, query, gallery):
    """Return mAP and rank-1, ties broken by the gallery's order."""
    scores = query_vectors @ gallery_vectors.T
    average_precision, rank1 = [], []
    for row, person, camera in zip(scores, query[1], query[2], strict=True):
        keep = ~((gallery[1] == person) & (gallery[2] == camera))
        hits = (gallery[1] == person)[keep][np.argsort(-row[keep], kind="stable")]
        ranks = np.flatnonzero(hits)
        if len(ranks):
            average_precision.append(((np.arange(len(ranks)) + 1) / (ranks + 1)).mean())
            rank1.append(hits[0])
    return float(np.mean(average_precision)), float(np.mean(rank1))


def colour_histograms(images, columns=slice(8, 56), stripes=6):
    """Return HSV histograms (16 hues x 4 saturations, and 8 values) of horizontal stripes, square-rooted, unit length."""
    vectors = []
    for image in images.numpy():
        pixels = np.asarray(Image.fromarray(image.transpose(1, 2, 0)).convert("HSV"))[:, columns]
        parts = []
        for stripe in np.array_split(pixels, stripes):
            hue, saturation, value = stripe.reshape(-1, 3).T.astype(int)
            parts += [np.bincount(hue // 16 * 4 + saturation // 64, minlength=64), np.bincount(value // 32, minlength=8)]
        vectors.append(np.sqrt(np.concatenate(parts)))
    vectors = np.array(vectors)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def without_colour_cast(images):
    """Grey-world correction: each channel of each image gets the same mean and deviation."""
    pixels = images.float()
    pixels = (pixels - pixels.mean((2, 3), keepdim=True)) / pixels.std((2, 3), keepdim=True)
    return (pixels * 50 + 120).clamp(0, 255).byte()


class Net(nn.Module):
    def __init__(self, identities):
        super().__init__()
        self.backbone = build_tiny_backbone()
        self.neck = nn.BatchNorm1d(self.backbone.num_features)
        self.neck.bias.requires_grad_(False)
        self.classifier = nn.Linear(self.backbone.num_features, identities, bias=False)
        nn.init.normal_(self.classifier.weight, std=0.001)

    def forward(self, images):
        pooled = self.backbone(images).clamp(min=1e-6).pow(3).mean((2, 3)).pow(1 / 3)  # GeM
        return pooled, self.neck(pooled)


def normalise(images):
    return ((images.float() / 255 - MEAN) / STD).contiguous(memory_format=torch.channels_last)


def embed(net, images):
    net.eval()
    with torch.no_grad():
        return torch.cat([F.normalize(net(normalise(images[k : k + 256]))[1]) for k in range(0, len(images), 256)]).numpy()


def augmented(batch):
    flip = torch.rand(len(batch)) < 0.5
    batch[flip] = batch[flip].flip(3)
    top, left = random.randrange(21), random.randrange(11)
    batch = normalise(F.pad(batch, (5, 5, 10, 10))[:, :, top : top + 128, left : left + 64])
    for image in batch:
        if random.random() < 0.3:
            height, width = random.randrange(16, 48), random.randrange(12, 32)
            y, x = random.randrange(128 - height), random.randrange(64 - width)
            image[:, y : y + height, x : x + width] = 0
    return batch


def train(train_set, test_sets, epochs, learning_rate, seed, held_out):
    torch.manual_seed(seed), random.seed(seed), np.random.seed(seed)
    images, persons, _ = train_set
    chosen = np.random.permutation(np.unique(persons))[held_out:]
    rows = np.flatnonzero(np.isin(persons, chosen))
    images, labels = images[rows], np.unique(persons[rows], return_inverse=True)[1]
    of_identity = [np.flatnonzero(labels == i) for i in range(len(chosen))]
    net = Net(len(chosen)).to(memory_format=torch.channels_last)
    report("untrained network", net, test_sets)
    steps = len(images) // 64
    optimizer = torch.optim.Adam(net.parameters(), lr=learning_rate, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda i: min(1, (i + 1) / steps) * 0.5 * (1 + np.cos(np.pi * i / (epochs * steps)))
    )
    wall, cpu = 0.0, 0.0
    for epoch in range(1, epochs + 1):
        net.train()
        wall_start, cpu_start, sums = time.time(), time.process_time(), np.zeros(2)
        for _ in range(steps):
            index = np.concatenate([np.random.choice(of_identity[i], 4) for i in np.random.choice(len(chosen), 16, False)])
            target = torch.from_numpy(labels[index])
            pooled, necked = net(augmented(images[index].clone()))
            ce = F.cross_entropy(net.classifier(necked), target, label_smoothing=0.1)
            distance, same = torch.cdist(pooled, pooled), target[:, None] == target[None]
            triplet = F.relu((distance * same).max(1)[0] - (distance + 1e9 * same).min(1)[0] + 0.3).mean()
            optimizer.zero_grad()
            (ce + triplet).backward()
            optimizer.step()
            schedule.step()
            sums += ce.item(), triplet.item()
        wall, cpu = wall + time.time() - wall_start, cpu + time.process_time() - cpu_start
        if epoch % 10 == 0 or epoch == epochs:
            print(f"{epoch:3d}  ce {sums[0] / steps:.3f}  triplet {sums[1] / steps:.3f}  {wall:.0f} s wall, {cpu:.0f} s CPU")
            report(f"after {epoch} epochs", net, test_sets)
    return net


def report(name, net, test_sets):
    query, gallery = test_sets
    result = mean_average_precision(embed(net, query[0]), embed(net, gallery[0]), query, gallery)
    print(f"{name:40s} test mAP %.3f  rank-1 %.3f" % result, flush=True)


def histogram_report(name, describe, test_sets):
    query, gallery = test_sets
    result = mean_average_precision(describe(query[0]), describe(gallery[0]), query, gallery)
    print(f"{name:40s} test mAP %.3f  rank-1 %.3f" % result, flush=True)


def main(folder, epochs=40, learning_rate=3e-3, seed=0, threads=1, held_out=0):
    torch.set_num_threads(threads)
    train_set = load(f"{folder}/bounding_box_train")
    test_sets = load(f"{folder}/query"), load(f"{folder}/bounding_box_test")
    print(f"{len(train_set[0])} training, {len(test_sets[0][0])} query, {len(test_sets[1][0])} gallery images")
    histogram_report("HSV histogram, 6 stripes", colour_histograms, test_sets)
    histogram_report("the same, grey-world corrected", lambda x: colour_histograms(without_colour_cast(x)), test_sets)
    histogram_report("background alone (outer columns)", lambda x: colour_histograms(x, columns=[0, 1, 2, 61, 62, 63]), test_sets)
    if epochs:
        train(train_set, test_sets, epochs, learning_rate, seed, held_out)


if __name__ == "__main__":
    kinds = (int, float, int, int, int)
    main(sys.argv[1], *(kind(value) for kind, value in zip(kinds, sys.argv[2:], strict=False)))
