"""Known mistakes in losses: each explains the value it gives, and no other does."""

import pytest
import torch
from torch.nn import functional as F

from unplateau.losses.triplet import TripletLoss
from unplateau.probes.loss_hypotheses import Batch, explanations, solved_smoothing

from .reading import value

MARGIN, SMOOTHING = 0.3, 0.1


def batches(name, wrong):
    """Three batches whose loss is computed by `wrong`(features, logits, ids)."""
    found = []
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randperm(8, generator=generator)[:4].repeat_interleave(4)
        features = torch.randn(8, 6, generator=generator)[ids] + 0.7 * torch.randn(16, 6, generator=generator)
        logits = 3 * torch.randn(16, 8, generator=generator)
        right = (
            F.cross_entropy(logits, ids, label_smoothing=SMOOTHING) if name == "cross_entropy" else triplet(features, logits, ids)
        )
        found.append(Batch(features, logits, ids, float(wrong(features, logits, ids)), float(right)))
    return found


def triplet(features, logits, ids, margin=MARGIN, **settings):
    return TripletLoss(margin=margin, **settings)(features, logits, ids).value


def reverse_triplet(features, logits, ids):
    distances = torch.cdist(features, features)
    same = ids[:, None] == ids
    hardest = (distances.masked_fill(~same, -1).amax(1), distances.masked_fill(same, 1e9).amin(1))
    return F.relu(hardest[1] - hardest[0] + MARGIN).mean()


MISTAKES = {
    "cross_entropy: label smoothing": lambda f, z, y: F.cross_entropy(z, y, label_smoothing=0.7),
    "cross_entropy: softmax twice": lambda f, z, y: F.cross_entropy(z.softmax(1), y, label_smoothing=SMOOTHING),
    "cross_entropy: labels counted +1": lambda f, z, y: F.cross_entropy(z, (y + 1) % 8, label_smoothing=SMOOTHING),
    "cross_entropy: labels rolled by 1": lambda f, z, y: F.cross_entropy(z, y.roll(1), label_smoothing=SMOOTHING),
    "cross_entropy: sum over the batch": lambda f, z, y: F.cross_entropy(z, y, label_smoothing=SMOOTHING, reduction="sum"),
    "triplet: margin": lambda f, z, y: triplet(f, z, y, margin=5.0),
    "triplet: unit length": lambda f, z, y: triplet(f, z, y, unit_features=True),
    "triplet: labels rolled by 2": lambda f, z, y: triplet(f, z, y.roll(2)),
    "triplet: turned round": reverse_triplet,
    "triplet: a factor": lambda f, z, y: -2.0 * triplet(f, z, y),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_each_mistake_explains_its_own_value_in_every_batch(what):
    name = what.split(":")[0]
    found = explanations(name, batches(name, MISTAKES[what]), smoothing=SMOOTHING, margin=MARGIN)
    assert value(found, "loss_explained", what) < 1e-4


@pytest.mark.parametrize("name", ["cross_entropy", "triplet"])
def test_a_value_that_follows_no_known_mistake_is_explained_by_none(name):
    wrong = {"cross_entropy": lambda f, z, y: (z.sum(1) ** 2).mean(), "triplet": lambda f, z, y: (f.sum(1) ** 2).mean()}
    found = explanations(name, batches(name, wrong[name]), smoothing=SMOOTHING, margin=MARGIN)
    assert all(m.value is None or m.value > 0.01 for m in found), found


def test_a_smoothing_is_solved_for_and_cannot_be_where_logits_are_uniform():
    logits, ids = torch.randn(8, 5, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 5
    assert solved_smoothing(float(F.cross_entropy(logits, ids, label_smoothing=0.4)), logits, ids) == pytest.approx(0.4, abs=1e-5)
    assert solved_smoothing(1.6, torch.zeros(8, 5), ids) is None
