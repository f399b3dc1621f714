"""Faults of `fifth_b` in the network and its evaluation.

Shape legend: B batch, N images, Q queries, G gallery, D embedding dim, I identities, C/H/W image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from benchmarks.plateaubench.faults_of_data import give_classifier
from benchmarks.plateaubench.planting import Inject
from unplateau.data.items import Item
from unplateau.evaluation.embedded import Embedded
from unplateau.models.reid import Outputs, ReidModel
from unplateau.optim.build import build_optimizers

_SHIFTS = ((0, 0), (-4, -2), (-4, 2), (4, -2), (4, 2))  # rows and columns of the five crops


def dropout_after_the_classifier(share: float) -> Inject:
    """Dropout stands behind the classifier instead of before it: logits are set to 0 at random."""
    return lambda experiment: planting.change_logits(experiment, lambda logits_BI: F.dropout(logits_BI, share))


def paths_dropped_without_a_shortcut(share: float) -> Inject:
    """Stochastic depth sets a layer's output to 0 for some images, and no shortcut leads round these layers."""

    def drop(module: nn.Module, inputs: tuple[Tensor, ...], output_BCHW: Tensor) -> Tensor:
        if not module.training:
            return output_BCHW
        kept_B = torch.rand(len(output_BCHW)) >= share
        return output_BCHW * kept_B[:, None, None, None] / (1 - share)

    def inject(experiment: Experiment) -> None:
        for norm in planting.norms(experiment):
            norm.register_forward_hook(drop)

    return inject


def rectified_logits(experiment: Experiment) -> None:
    """The classifier ends in a ReLU, as the layers before it do."""
    planting.change_logits(experiment, F.relu)


def one_class_too_few(experiment: Experiment) -> None:
    """The number of people was taken for the largest label: the last person has no output."""
    give_classifier(experiment, experiment.num_identities - 1)


class _PlainList(nn.Module):
    """Layers in a list that torch does not look into: no parameters, no mode, no names in a checkpoint."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        for layer in self.layers:
            maps_BCHW = layer(maps_BCHW)
        return maps_BCHW


def layers_in_a_plain_list(experiment: Experiment) -> None:
    """The later half of the layers is held in a Python list and not in a `ModuleList`, so no optimiser is given them."""
    stack = max((m for m in experiment.model.backbone.modules() if isinstance(m, nn.Sequential)), key=len)
    late = list(stack[len(stack) // 2 :])
    del stack[len(stack) // 2 :]
    stack.append(_PlainList(late))
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def mirrored_upside_down(experiment: Experiment) -> None:
    """The embedding is the sum of an image's and its mirror image's, and mirrored is the height."""
    _embed_by(experiment, lambda of, items: _sum(of(items, lambda p_BCHW: p_BCHW), of(items, lambda p_BCHW: p_BCHW.flip(2))))


def crops_averaged_across_images(experiment: Experiment) -> None:
    """Five crops of an image are averaged; they come crop by crop, and are read as if they came image by image."""

    def embed(of: _EmbedAs, items: tuple[Item, ...]) -> Embedded:
        crops = [of(items, lambda p_BCHW, shift=shift: p_BCHW.roll(shift, (2, 3))) for shift in _SHIFTS]  # type: ignore[misc]
        features_5ND = np.concatenate([crop.features_ND for crop in crops])
        return replace(crops[0], features_ND=features_5ND.reshape(len(items), len(crops), -1).mean(1))

    _embed_by(experiment, embed)


def factors_of_the_product_exchanged(experiment: Experiment) -> None:
    """`addmm(beta=1, alpha=-2)` became `addmm(beta=-2, alpha=1)` with a new torch: distances are no distances."""

    def scores(query_QD: np.ndarray, gallery_GD: np.ndarray) -> np.ndarray:
        squares_QG = np.square(query_QD).sum(1)[:, None] + np.square(gallery_GD).sum(1)
        return -(-2 * squares_QG + query_QD @ gallery_GD.T)

    planting.rank_by(experiment, scores)


class _Seen(nn.Module):
    """A model whose embedding is something else that it computes."""

    def __init__(self, model: ReidModel, look: Callable[[ReidModel, Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self.look = model, look
        self.train(model.training)

    def forward(self, images_BCHW: Tensor, *, camera_ids_B: Tensor | None = None) -> Outputs:
        seen_BD = self.look(self.model, images_BCHW)
        return Outputs(seen_BD, seen_BD, None)


def probabilities_for_embeddings(experiment: Experiment) -> None:
    """What is ranked are the probabilities of the training people, the last output of the network."""

    def look(model: ReidModel, images_BCHW: Tensor) -> Tensor:
        assert model.head.classifier is not None
        logits_BI: Tensor = model.head.classifier(model(images_BCHW).embeddings_BD, None)
        return logits_BI.softmax(1)

    _look_at(experiment, look)


def features_of_an_early_layer(experiment: Experiment) -> None:
    """The name of the layer that is read out is that of a layer near the images."""

    def look(model: ReidModel, images_BCHW: Tensor) -> Tensor:
        norms, seen = [module for module in model.backbone.modules() if isinstance(module, nn.BatchNorm2d)], []
        hook = norms[len(norms) // 4].register_forward_hook(lambda module, inputs, output: seen.append(output.mean((2, 3))))
        model.backbone(images_BCHW)
        hook.remove()
        return seen[0]

    _look_at(experiment, look)


def features_written_by_batch_number(experiment: Experiment) -> None:
    """Features of batch n are written from row n on, not from where it begins: they overwrite each other, most rows stay 0."""

    def written(embedded: Embedded) -> Embedded:
        features_ND = np.zeros_like(embedded.features_ND)
        size = max(1, min(32, len(embedded) // 4))  # four batches or more, of few images too
        for number, start in enumerate(range(0, len(embedded), size)):
            part = embedded.features_ND[start : start + size]
            features_ND[number : number + len(part)] = part
        return replace(embedded, features_ND=features_ND)

    _embed_by(experiment, lambda of, items: written(of(items, lambda p_BCHW: p_BCHW)))


def reduced_by_two_bases(experiment: Experiment) -> None:
    """Principal components are found of the queries and of the gallery each, so their axes are not the same."""

    def reduced(embedded: Embedded) -> Embedded:
        centred_ND = embedded.features_ND - embedded.features_ND.mean(0)
        axes_KD = np.linalg.svd(centred_ND, full_matrices=False)[2][:32]
        return replace(embedded, features_ND=centred_ND @ axes_KD.T)

    _embed_by(experiment, lambda of, items: reduced(of(items, lambda p_BCHW: p_BCHW)))


def queries_lie_on_their_side(experiment: Experiment) -> None:
    """Queries are photographs of a telephone, and nobody turns them as their file says."""

    def turn(item: Item, pixels_CHW: Tensor) -> Tensor:
        return planting.resized(pixels_CHW.rot90(1, (1, 2))[None], pixels_CHW.shape[1:])[0]

    planting.repaint(experiment, experiment.evaluator.query, turn)


_EmbedAs = Callable[[tuple[Item, ...], Callable[[Tensor], Tensor]], Embedded]


def _embed_by(experiment: Experiment, embed: Callable[[_EmbedAs, tuple[Item, ...]], Embedded]) -> None:
    """Let `embed` make the embeddings of items; it is given what embeds items after a change of their pixels."""
    evaluator = experiment.evaluator

    def changed(experiment: Experiment, items: tuple[Item, ...]) -> Any:
        def of(items: tuple[Item, ...], change: Callable[[Tensor], Tensor]) -> Embedded:
            usual = evaluator.transform
            other = replace(evaluator, transform=lambda pixels_BCHW, generator: usual(change(pixels_BCHW), generator))
            embedded: Embedded = other.embed(experiment, items)
            return embedded

        return embed(of, items)

    evaluator.embed = changed  # type: ignore[method-assign]


def _sum(first: Embedded, second: Embedded) -> Embedded:
    return replace(first, features_ND=first.features_ND + second.features_ND)


def _look_at(experiment: Experiment, look: Callable[[ReidModel, Tensor], Tensor]) -> None:
    experiment.evaluator.model_of = lambda experiment: _Seen(experiment.model, look)  # type: ignore[assignment,return-value]
