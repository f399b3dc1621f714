"""Faults of `fourth` in the network and its evaluation.

Shape legend: B batch, N images, Q queries, G gallery, D embedding dim, C/H/W image.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.items import Item
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.evaluation.embedded import Embedded
from unplateau.evaluation.ranking import Retrieval, retrieve
from unplateau.models.classifiers import build_classifier
from unplateau.models.reid import ReidModel


def classifier_renewed_each_epoch(experiment: Experiment) -> None:
    """People are numbered anew by clustering, so each epoch begins with a new classifier, which no optimiser is told of."""
    usual, steps, length = experiment.step, count(), experiment.schedule.steps_per_epoch

    def step(parts: Parts, batch: Batch) -> StepTerms:
        if next(steps) % length == 0:
            head, people = parts.model.head, len(parts.model.head.classifier.weight)
            head.classifier = build_classifier("Linear", head.embedding_dim, people, scale=1.0, margin=0.0)
        return usual(parts, batch)

    experiment.step = step


def unit_length_before_a_linear_classifier(experiment: Experiment) -> None:
    """Embeddings are brought to unit length on their way to a plain linear classifier: its logits stay small."""
    _classifier(experiment).register_forward_pre_hook(lambda module, inputs: (F.normalize(inputs[0]), *inputs[1:]))


def lower_layers_cut_off(experiment: Experiment) -> None:
    """Six of eight layers are recomputed in the backward pass, from images that ask for no gradient: so nothing flows back."""
    norms = planting.norms(experiment)
    planting.change_output(norms[len(norms) * 3 // 4 - 1], lambda output_BCHW: output_BCHW.detach())


def block_dropped_too_large(experiment: Experiment) -> None:
    """Batch drop block takes the share it may keep for the share it drops: one place of the map is left."""

    def drop(module: nn.Module, inputs: tuple[Tensor, ...], output_BCHW: Tensor) -> Tensor:
        if not module.training:
            return output_BCHW
        places = output_BCHW.shape[2] * output_BCHW.shape[3]
        kept_HW = (torch.arange(places) == torch.randint(places, ())).view(output_BCHW.shape[2:])
        return output_BCHW * kept_HW

    experiment.model.backbone.register_forward_hook(drop)


def stripes_written_over_each_other(experiment: Experiment) -> None:
    """Features of body parts are written into one array at the same place: all but its first four columns stay 0."""
    planting.change_output(experiment.model.head.pooling, lambda out_BD: out_BD * (torch.arange(out_BD.shape[1]) < 4))


def first_checkpoint_taken_for_the_best(experiment: Experiment) -> None:
    """The best checkpoint is written where there is none yet, and never again; it is what is scored."""
    best: list[ReidModel] = []

    def load(experiment: Experiment) -> ReidModel:
        if not best:
            best.append(copy.deepcopy(experiment.model))
        return best[0]

    experiment.evaluator.model_of = load


def query_numbers_and_gallery_numbers(experiment: Experiment) -> None:
    """People of queries and of the gallery are numbered in two calls, each in the order of a set, which is no order."""
    evaluator, rng = experiment.evaluator, np.random.default_rng(47)
    evaluator.query = _numbered(evaluator.query, sorted({item.person_id for item in evaluator.query}))
    evaluator.gallery = _numbered(evaluator.gallery, rng.permutation(sorted({item.person_id for item in evaluator.gallery})))


def gallery_shuffled_by_its_loader(experiment: Experiment) -> None:
    """The loader of the gallery shuffles, and who is on an image is read from the list of files."""
    order_G = np.random.default_rng(45).permutation(len(experiment.evaluator.gallery))
    planting.score_with(experiment, lambda experiment: _reordered(_gallery(experiment), order_G))


def kept_in_eight_bits(experiment: Experiment) -> None:
    """Embeddings are stored as whole numbers from -128 to 127, and what is larger begins again at the other end."""
    evaluator = experiment.evaluator
    usual = evaluator.embed

    def embed(experiment: Experiment, items: tuple[Item, ...]) -> Any:
        embedded = usual(experiment, items)
        whole_ND = (127 * embedded.features_ND).astype(np.int64).astype(np.int8)
        return replace(embedded, features_ND=whole_ND.astype(np.float32))

    evaluator.embed = embed  # type: ignore[method-assign]


def only_queries_of_unit_length(experiment: Experiment) -> None:
    """Queries are brought to unit length and the gallery is not; then Euclidean distances are ranked."""

    def score(query: Embedded, gallery: Embedded) -> Retrieval:
        lengths_Q1 = np.linalg.norm(query.features_ND, axis=1, keepdims=True)
        query = replace(query, features_ND=query.features_ND / lengths_Q1)
        return retrieve(query, gallery, metric="euclidean", protocol="held-out", dataset="MiniMarket")

    _rank_by(experiment, score)


def expanded_by_the_farthest(experiment: Experiment) -> None:
    """Query expansion sorts similarities upwards: each query becomes the mean of itself and the five least alike."""

    def score(query: Embedded, gallery: Embedded) -> Retrieval:
        unit_QD, unit_GD = (e.features_ND / np.linalg.norm(e.features_ND, axis=1, keepdims=True) for e in (query, gallery))
        farthest_Q5 = np.argsort(unit_QD @ unit_GD.T, axis=1)[:, :5]
        expanded = replace(query, features_ND=unit_QD + unit_GD[farthest_Q5].sum(1))
        return retrieve(expanded, gallery, protocol="held-out", dataset="MiniMarket")

    _rank_by(experiment, score)


def scored_with_one_scale_for_all_weights(experiment: Experiment) -> None:
    """What is scored is the model in four bits, and one scale, that of the largest weight, serves every layer."""

    def quantised(experiment: Experiment) -> ReidModel:
        model = copy.deepcopy(experiment.model)
        with torch.no_grad():
            scale = max(float(weight.abs().max()) for weight in model.parameters()) / 7
            for weight in model.parameters():
                weight.copy_((weight / scale).round() * scale)
        return model

    experiment.evaluator.model_of = quantised


def evaluated_in_linear_light(experiment: Experiment) -> None:
    """The decoder of the evaluation takes the gamma off: images are much darker than in training."""
    planting.change_evaluation_pixels(experiment, lambda pixels_BCHW: (255 * (pixels_BCHW / 255) ** 2.2).round().byte())


def _classifier(experiment: Experiment) -> nn.Module:
    classifier = experiment.model.head.classifier
    assert classifier is not None
    return classifier


def _gallery(experiment: Experiment) -> Any:
    return experiment.evaluator.embed(experiment, experiment.evaluator.gallery)


def _reordered(embedded: Embedded, order_N: np.ndarray) -> Embedded:
    return replace(embedded, features_ND=embedded.features_ND[order_N])


def _numbered(items: Iterable[Item], people: Iterable[int]) -> tuple[Item, ...]:
    """Return the items with the place of their person among `people` as its number, from 1: 0 is a distractor."""
    number = {person: place for place, person in enumerate(people, 1)}
    return tuple(replace(item, person_id=number[item.person_id]) for item in items)


def _rank_by(experiment: Experiment, rank: Callable[[Embedded, Embedded], Retrieval]) -> None:
    evaluator = experiment.evaluator

    def score(experiment: Experiment) -> Retrieval:
        return rank(evaluator.embed(experiment, evaluator.query), evaluator.embed(experiment, evaluator.gallery))

    evaluator.score = score  # type: ignore[method-assign]
