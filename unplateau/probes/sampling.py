"""How batches are drawn: who is in them, how many of each, and whether an epoch repeats the last. Cost: the labels of two epochs.

Shape legend: B batch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from unplateau.runs.record import Measurement


def sampling(epoch: Sequence[Tensor], next_epoch: Sequence[Tensor], *, num_identities: int) -> tuple[Measurement, ...]:
    """Measure the labels of the first batches of two epochs.

    Args:
        epoch, next_epoch: person_ids_B of the first batches of each, in their order; at least one.
        num_identities: I.

    Returns:
        images_in_batch and identities_in_batch_mean (means), batch_with_positive (share of images with a second one of their
        person in the batch, mean), identities_seen (share of I in the batches of `epoch`), identities_expected (the same where
        every batch draws its people at random), same_order_next_epoch (share of labels that stand at the same place in both).
    """
    sizes = [len(ids_B) for ids_B in epoch]
    distinct = [len(ids_B.unique()) for ids_B in epoch]
    positives = [float(((ids_B[:, None] == ids_B).sum(1) > 1).float().mean()) for ids_B in epoch]
    seen = len(torch.cat(list(epoch)).unique()) / num_identities
    expected = 1.0
    for count in distinct:
        expected *= 1 - min(count, num_identities) / num_identities
    pairs = list(zip(epoch, next_epoch, strict=False))
    same = [float((a == b).float().mean()) if a.shape == b.shape else 0.0 for a, b in pairs]
    return (
        Measurement("images_in_batch", sum(sizes) / len(sizes), "images"),
        Measurement("identities_in_batch_mean", sum(distinct) / len(distinct), "identities"),
        Measurement("batch_with_positive", sum(positives) / len(positives), "share"),
        Measurement("identities_seen", seen, "share"),
        Measurement("identities_expected", 1 - expected, "share"),
        Measurement("same_order_next_epoch", sum(same) / max(len(same), 1), "share"),
    )
