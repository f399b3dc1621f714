"""Faults of `sixth_b` in the network and its evaluation.

Shape legend: B batch, Q queries, G gallery, D embedding dim, I identities, C/H/W image or map.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from benchmarks.plateaubench.faults_of_data import give_classifier
from unplateau.data.items import Item
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.evaluation.matches import find_matches
from unplateau.evaluation.ranking import Retrieval, retrieve
from unplateau.models.folding import fold, pairs_of
from unplateau.models.reid import ReidModel
from unplateau.optim.build import build_optimizers

_LEVELS = 16  # of a feature between 0 and 1, once it is rounded
_FOUND = 5  # images that the index gives for a query


def rounded_without_a_way_back(experiment: Experiment) -> None:
    """Features are rounded, to train for a chip of eight bits, and nothing stands in for the gradient, which is zero."""
    planting.change_output(experiment.model.backbone, lambda maps_BCHW: (_LEVELS * maps_BCHW).round() / _LEVELS)


def layer_made_in_the_forward_pass(experiment: Experiment) -> None:
    """A 1 x 1 convolution behind the backbone is made inside `forward`: another one in every call, known to no optimiser."""

    def mixed(maps_BCHW: Tensor) -> Tensor:
        channels = maps_BCHW.shape[1]
        return F.relu(nn.Conv2d(channels, channels, 1, bias=False)(maps_BCHW))

    planting.change_output(experiment.model.backbone, mixed)


def folded_before_training(experiment: Experiment) -> None:
    """The network is brought into its form for deployment before it is trained: its norms are part of its convolutions."""
    backbone = experiment.model.backbone.eval()
    blank_BCHW = torch.zeros(1, 3, *experiment.config.INPUT.SIZE_TRAIN)
    pairs, _ = pairs_of(backbone, lambda network: network(blank_BCHW).flatten(1))
    experiment.model.backbone = fold(backbone, pairs).requires_grad_(True).train()
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def dropout_rises_with_the_batches(experiment: Experiment) -> None:
    """Dropout that should rise to 0.1 over all epochs is told of a new epoch in each batch, and goes on rising."""
    steps, rise = count(), 0.1 / experiment.config.SOLVER.MAX_EPOCH

    def drop(module: nn.Module, inputs: tuple[Tensor, ...], output_BD: Tensor) -> Tensor:
        return F.dropout(output_BD, min(0.95, rise * next(steps))) if module.training else output_BD

    experiment.model.head.pooling.register_forward_hook(drop)


def cosines_clamped_after_their_scale(experiment: Experiment) -> None:
    """Cosines are multiplied by 30 and then clamped to where an arc cosine is defined: logits lie between -1 and 1."""
    give_classifier(experiment, experiment.num_identities, kind="CosineLinear")
    planting.change_logits(experiment, lambda cosines_BI: (30 * cosines_BI).clamp(-1 + 1e-7, 1 - 1e-7))


def neck_behind_the_classifier(experiment: Experiment) -> None:
    """Batch normalisation stands behind the classifier and not before it: it is logits that have variance 1."""
    head = experiment.model.head
    head.neck = nn.Identity()
    assert head.classifier is not None
    head.classifier.add_module("norm", nn.BatchNorm1d(experiment.num_identities, affine=False))
    head.classifier.register_forward_hook(lambda module, inputs, logits_BI: module.norm(logits_BI))
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def only_the_early_head_has_a_loss(experiment: Experiment) -> None:
    """A head at the middle of the network was meant as a help; `losses[:-1]` leaves out the one at its end."""
    norm = planting.norms(experiment)[_middle(experiment.model)]
    experiment.model.add_module("early", nn.Linear(norm.num_features, experiment.num_identities))
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)

    def step(parts: Parts, batch: Batch) -> StepTerms:
        early_BD = _seen_in_the_middle(parts.model, batch.images_BCHW)
        logits_BI = parts.model.get_submodule("early")(early_BD)
        return planting.update(parts, parts.losses(early_BD, logits_BI, batch.person_ids_B))

    experiment.step = step


def normalised_in_the_model_too(experiment: Experiment) -> None:
    """The model takes pixels and subtracts their mean, as fast-reid's do; it is given images that are normalised already."""
    settings = experiment.config.MODEL
    mean_C11, std_C11 = (torch.tensor(colour)[:, None, None] for colour in (settings.PIXEL_MEAN, settings.PIXEL_STD))
    experiment.model.backbone.register_forward_pre_hook(lambda module, inputs: ((inputs[0] - mean_C11) / std_C11,))


def styles_exchanged_in_every_layer(experiment: Experiment) -> None:
    """Mean and deviation of each map, its style, come from another image, wholly and in all layers: colours go with them."""

    def exchange(module: nn.Module, inputs: tuple[Tensor, ...], maps_BCHW: Tensor) -> Tensor:
        if not module.training:
            return maps_BCHW
        mean_BC11 = maps_BCHW.mean((2, 3), keepdim=True).detach()
        deviation_BC11 = (maps_BCHW.var((2, 3), keepdim=True) + 1e-6).sqrt().detach()
        other = torch.randperm(len(maps_BCHW))
        return (maps_BCHW - mean_BC11) / deviation_BC11 * deviation_BC11[other] + mean_BC11[other]

    for norm in planting.norms(experiment):
        norm.register_forward_hook(exchange)


class _Bottleneck(nn.Module):
    """Down to a few numbers and up again."""

    def __init__(self, width: int, narrow: int) -> None:
        super().__init__()
        self.down, self.norm, self.up = nn.Linear(width, narrow, bias=False), nn.BatchNorm1d(narrow), nn.Linear(narrow, width)

    def forward(self, features_BD: Tensor) -> Tensor:
        up_BD: Tensor = self.up(F.relu(self.norm(self.down(features_BD))))
        return up_BD


def reduction_read_as_a_width(experiment: Experiment) -> None:
    """A bottleneck between pooling and neck should be 4 times narrower than its input, and is 4 wide."""
    experiment.model.head.projection = _Bottleneck(experiment.model.feature_dim, 4)
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def first_answers_only(experiment: Experiment) -> None:
    """The index gives the nearest five images, those of the query's own camera among them; who is not there counts as last."""

    def scores(query_QD: np.ndarray, gallery_GD: np.ndarray) -> np.ndarray:
        scores_QG = _unit(query_QD) @ _unit(gallery_GD).T
        least_Q1 = np.partition(scores_QG, -_FOUND, axis=1)[:, -_FOUND, None]
        return np.where(scores_QG < least_Q1, -2.0, scores_QG)

    planting.rank_by(experiment, scores)


def answers_left_out_are_missed(experiment: Experiment) -> None:
    """Images of the query's own camera are left out of the ranking, and not of the number of answers that it is divided by."""
    evaluator = experiment.evaluator

    def score(experiment: Experiment) -> Retrieval:
        query, gallery = evaluator.embed(experiment, evaluator.query), evaluator.embed(experiment, evaluator.gallery)
        found = retrieve(query, gallery, protocol="held-out", dataset=evaluator.query[0].dataset)
        matches = find_matches(query, gallery)
        share_Q = (matches.num_positives_Q / np.diff(matches.own_Q2)[:, 0].clip(min=1))[found.query_rows_Q]
        precision_Q = found.average_precision_Q * share_Q
        return replace(found, average_precision_Q=precision_Q, metrics=replace(found.metrics, mAP=float(precision_Q.mean())))

    evaluator.score = score  # type: ignore[method-assign]


def last_figure_of_the_number_cut_off(experiment: Experiment) -> None:
    """The test's person is read from too few characters of the file name: ten people are one."""
    evaluator = experiment.evaluator
    evaluator.query, evaluator.gallery = _cut(evaluator.query), _cut(evaluator.gallery)


def _cut(items: tuple[Item, ...]) -> tuple[Item, ...]:
    return tuple(replace(item, person_id=1 + item.person_id // 10) for item in items)


def _unit(features_ND: np.ndarray) -> np.ndarray:
    lengths_N1: np.ndarray = np.linalg.norm(features_ND, axis=1, keepdims=True)
    return features_ND / lengths_N1


def _middle(model: ReidModel) -> int:
    norms = [module for module in model.backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    return len(norms) // 2 - 1


def _seen_in_the_middle(model: ReidModel, images_BCHW: Tensor) -> Tensor:
    """Return the mean of what the middle of the backbone gives, with its graph; the rest runs too, as it does in training."""
    norms, seen = [module for module in model.backbone.modules() if isinstance(module, nn.BatchNorm2d)], []
    hook = norms[_middle(model)].register_forward_hook(lambda module, inputs, output: seen.append(F.relu(output).mean((2, 3))))
    model(images_BCHW)
    hook.remove()
    return seen[0]
