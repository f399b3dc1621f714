"""How batches are drawn: who is in them, how many of each, and whether an epoch repeats the last. Cost: the labels of two epochs.

Shape legend: B batch, N images.
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


def drawn_elsewhere(drawn_N: Tensor, meant_N: Tensor, again_N: Tensor, *, of: str) -> tuple[Measurement, ...]:
    """Compare what is drawn, people or cameras, with what the configured sampler draws from the same list.

    Args:
        drawn_N: ids of the images that the training drew.
        meant_N, again_N: of as many images that the configured sampler draws, with two seeds.
        of: what the ids are; the group of the measurements.

    Returns:
        drawn_apart: total variation distance between the shares of drawn and meant, 0 to 1; drawn_apart_by_chance, the same
        between the two that are meant.
    """
    return (
        Measurement("drawn_apart", _variation(drawn_N, meant_N), "share", group=of),
        Measurement("drawn_apart_by_chance", _variation(again_N, meant_N), "share", group=of),
    )


def _variation(one_N: Tensor, other_N: Tensor) -> float:
    ids = torch.cat([one_N, other_N]).unique(return_inverse=True)[1]
    size = int(ids.max()) + 1
    one, other = (torch.bincount(part, minlength=size).double() for part in (ids[: len(one_N)], ids[len(one_N) :]))
    return float((one / one.sum() - other / other.sum()).abs().sum()) / 2
