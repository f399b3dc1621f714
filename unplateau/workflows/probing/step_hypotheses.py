"""What a step may have done with its batch where it says other losses than model and losses give: known mistakes, computed.

Measures only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from unplateau.data.loader import Batch
from unplateau.engine.train_step import forward_losses
from unplateau.models.classifiers import LinearClassifier
from unplateau.workflows.probing.bench import Bench

Losses = dict[str, float]
_PIECES = (2, 4, 8, 16)
_ROLLS = (-2, -1, 1, 2)


@torch.no_grad()
def losses_otherwise(bench: Bench, batch: Batch, earlier: Sequence[Batch]) -> dict[str, Losses]:
    """Return the losses of a batch by what may have been done with it.

    Args:
        bench: the training, whose running statistics move.
        batch: that the step was given.
        earlier: batches that were given before, the first one first; at least one.
    """
    bench.training_mode()
    ids_B, last = batch.person_ids_B, earlier[-1]
    found = {f"labels rolled by {by}": _losses(bench, replace(batch, person_ids_B=ids_B.roll(by))) for by in _ROLLS}
    found["the first image's label for all"] = _losses(bench, replace(batch, person_ids_B=ids_B[:1].expand_as(ids_B)))
    if last.person_ids_B.shape == ids_B.shape:
        found["labels of the batch before"] = _losses(bench, replace(batch, person_ids_B=last.person_ids_B))
        found["images of the batch before"] = _losses(bench, replace(batch, images_BCHW=last.images_BCHW))
    if bool((batch.camera_ids_B >= 0).all()) and int(batch.camera_ids_B.max()) < bench.num_identities:
        found["camera ids for labels"] = _losses(bench, replace(batch, person_ids_B=batch.camera_ids_B))
    for parts in _PIECES:
        if len(ids_B) % parts == 0:
            dealt_B = ids_B.view(parts, -1).T.reshape(-1)
            found[f"labels dealt out by {parts}"] = _losses(bench, replace(batch, person_ids_B=dealt_B))
    found["the first batch again"] = _losses(bench, earlier[0])
    half = len(ids_B) // 2
    if half > 1:
        found["the first half of the batch alone"] = _losses(bench, _rows(batch, slice(0, half)))
        found["the second half of the batch alone"] = _losses(bench, _rows(batch, slice(half, None)))
    with _norms_in_evaluation(bench.parts.model):
        found["batch normalisation in evaluation mode"] = _losses(bench, batch)
    found |= _other_outputs(bench, batch)
    return {what: losses for what, losses in found.items() if losses} | _in_pieces(bench, batch) | _one_by_one(bench, batch)


def _losses(bench: Bench, batch: Batch) -> Losses:
    with same_draws():
        return {name: float(value) for name, value in forward_losses(bench.parts, batch).parts.items()}


def _other_outputs(bench: Bench, batch: Batch) -> dict[str, Losses]:
    """The losses of a step that mixes up what the network gives: features for metric losses, embeddings, logits."""
    with same_draws():
        outputs = bench.outputs(batch)
    classifier, logits_BI = bench.parts.model.head.classifier, outputs.logits_BI
    swapped = outputs.embeddings_BD.float()
    takes_both = outputs.features_BD.shape == outputs.embeddings_BD.shape
    found: dict[str, tuple[Tensor, Tensor | None]] = {}
    if takes_both:
        found["metric losses on embeddings"] = (swapped, logits_BI)
    if isinstance(classifier, LinearClassifier) and takes_both:
        of_features_BI = classifier(outputs.features_BD, batch.person_ids_B).float()
        found["logits of features"] = (outputs.features_BD.float(), of_features_BI)
        found["metric losses on embeddings, logits of features"] = (swapped, of_features_BI)
    if logits_BI is not None and outputs.features_BD.shape[1] > int(batch.person_ids_B.max()):
        found["features and logits exchanged"] = (logits_BI.float(), outputs.features_BD.float())
    return {
        what: {name: float(value) for name, value in bench.parts.losses(features_BD, logits, batch.person_ids_B).parts.items()}
        for what, (features_BD, logits) in found.items()
    }


def _rows(batch: Batch, rows: slice) -> Batch:
    return Batch(batch.images_BCHW[rows], batch.person_ids_B[rows], batch.camera_ids_B[rows])


@contextmanager
def _norms_in_evaluation(model: nn.Module) -> Iterator[None]:
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training]
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()


def _in_pieces(bench: Bench, batch: Batch) -> dict[str, Losses]:
    """The losses of a batch that went through the network in pieces, as on several devices: each is normalised by itself."""
    found = {}
    for count in _PIECES:
        pieces = [tensor.chunk(count) for tensor in (batch.images_BCHW, batch.person_ids_B, batch.camera_ids_B)]
        if len(batch.person_ids_B) < 2 * count:
            continue
        with same_draws():
            outputs = [bench.outputs(Batch(*piece)) for piece in zip(*pieces, strict=True)]
        features_BD, logits = torch.cat([o.features_BD.float() for o in outputs]), [o.logits_BI for o in outputs]
        logits_BI = torch.cat([one.float() for one in logits if one is not None]) if logits[0] is not None else None
        parts = bench.parts.losses(features_BD, logits_BI, batch.person_ids_B).parts
        found[f"images in {count} pieces"] = {name: float(value) for name, value in parts.items()}
    return found


def _one_by_one(bench: Bench, batch: Batch) -> dict[str, Losses]:
    """Means of the losses of pieces that are trained by themselves, as in accumulating gradients: no pair reaches across."""
    found = {}
    for count in _PIECES:
        size = len(batch.person_ids_B) // count
        if size < 2:
            continue
        cut = [slice(piece * size, (piece + 1) * size) for piece in range(count)]
        for what, rows in (("in a row", cut), ("dealt out", [slice(piece, None, count) for piece in range(count)])):
            losses = [_losses(bench, _rows(batch, piece)) for piece in rows]
            found[f"{count} pieces {what}, each with losses of its own"] = {
                name: sum(one[name] for one in losses) / count for name in losses[0]
            }
    return found


@contextmanager
def same_draws() -> Iterator[None]:
    """Dropout of two passes drops the same units."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
