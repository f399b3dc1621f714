"""Faults of `ninth_b` in the network and its evaluation.

Shape legend: B batch, N images, Q queries, G gallery, C/H/W map, L places of a map, D embedding dim, I identities, K cameras.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.backbones import convolutions_and_norms
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.items import Item
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.models.classifiers import LinearClassifier, build_classifier
from unplateau.optim.build import build_optimizers

_STRIDE = 16  # of the backbones, from image to map
_PATCH, _MASKED = 8, 0.75  # side of a patch, and share of the patches, as masked autoencoders have it
_BATCH = 64  # images embedded at once
_PRIOR = 0.01  # of a detector's classes (Lin et al. 2017)
_NEIGHBOURS, _SHARE = 20, 0.3  # of re-ranking, and the share of plain distances in it (Zhong et al. 2017)


class _AttentionPooling(nn.Module):
    """Pools a map by what its mean attends to, and takes the second of attention's two results, which are its weights."""

    def __init__(self, channels: int, places: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(channels, 4, batch_first=True)
        self.projection = nn.Linear(places, channels)

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        places_BLC = maps_BCHW.flatten(2).transpose(1, 2)
        pooled_B1L = self.attention(places_BLC.mean(1, keepdim=True), places_BLC, places_BLC)[1]
        features_BC: Tensor = self.projection(pooled_B1L.squeeze(1))
        return features_BC


def attention_weights_for_values(experiment: Experiment) -> None:
    """`nn.MultiheadAttention` gives (values, weights) and the pooling goes on with the weights: where, and not what."""
    height, width = experiment.config.INPUT.SIZE_TRAIN
    places = (height // _STRIDE) * (width // _STRIDE)
    experiment.model.head.pooling = _AttentionPooling(experiment.model.feature_dim, places)
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def filters_drawn_with_a_deviation_of_one(experiment: Experiment) -> None:
    """Filters of our own begin as `torch.randn`: norms hide it, and a step of the rate is next to nothing for such weights."""
    for layer in convolutions_and_norms(experiment.model.backbone):
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight)


def masked_as_for_an_autoencoder(experiment: Experiment) -> None:
    """Three quarters of the patches are left out, as in training before training; nobody switched it off for fine-tuning."""

    def mask(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        if not module.training:
            return inputs
        num_images, _, height, width = inputs[0].shape
        kept_BHW = torch.rand(num_images, height // _PATCH, width // _PATCH) > _MASKED
        kept_BHW = kept_BHW.repeat_interleave(_PATCH, 1).repeat_interleave(_PATCH, 2)
        return (inputs[0] * kept_BHW[:, None], *inputs[1:])

    experiment.model.register_forward_pre_hook(mask)


def distances_for_logits(experiment: Experiment) -> None:
    """Logits are distances to one point for each person, and nobody put the minus before them: the farthest wins."""
    classifier = experiment.model.head.classifier
    assert classifier is not None
    classifier.register_forward_hook(lambda module, inputs, logits_BI: torch.cdist(inputs[0], module.weight))


def scale_and_margin_exchanged(experiment: Experiment) -> None:
    """CosFace takes (scale, margin) and is given (margin, scale): cosines less 30 for the true person, times 0.35."""
    head = experiment.model.head
    head.classifier = build_classifier("CosSoftmax", head.embedding_dim, experiment.num_identities, scale=0.35, margin=30.0)
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


class _ClassifierOfEachCamera(LinearClassifier):
    """A linear classifier of its own for the images of each camera."""

    def __init__(self, embedding_dim: int, num_identities: int, num_cameras: int) -> None:
        super().__init__(embedding_dim, num_identities)
        self.others_KID = nn.Parameter(self.weight.detach().clone().repeat(num_cameras - 1, 1, 1))
        self.camera_ids_B: Tensor | None = None

    def forward(self, embeddings_BD: Tensor, person_ids_B: Tensor | None) -> Tensor:
        logits_BKI = torch.einsum("bd,kid->bki", embeddings_BD, torch.cat([self.weight[None], self.others_KID]))
        if self.camera_ids_B is None or len(self.camera_ids_B) != len(logits_BKI):  # called by who tells no cameras
            return logits_BKI[:, 0]
        return logits_BKI[torch.arange(len(logits_BKI)), self.camera_ids_B]


def a_classifier_for_each_camera(experiment: Experiment) -> None:
    """Each camera has a classifier, as where people are numbered in each apart: no two of them are linked."""
    model, cameras = experiment.model, 1 + max(item.camera_id for item in experiment.train)
    model.head.classifier = _ClassifierOfEachCamera(model.embedding_dim, experiment.num_identities, cameras)

    def told(module: Any, inputs: object, named: dict[str, Any]) -> None:
        module.head.classifier.camera_ids_B = named.get("camera_ids_B")

    model.register_forward_pre_hook(told, with_kwargs=True)
    experiment.optimizers = build_optimizers(experiment.config, model, experiment.losses)


def segmenter_without_its_weights(experiment: Experiment) -> None:
    """A network that should cut people out of their background was given no weights: what it keeps of an image is anything."""
    segmenter = nn.Sequential(nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), nn.Conv2d(8, 1, 5, padding=2))
    generator = torch.Generator().manual_seed(92)
    with torch.no_grad():
        for weight in segmenter.parameters():
            weight.normal_(std=0.1, generator=generator)
    experiment.model.add_module("segmenter", segmenter.requires_grad_(False))

    def cut_out(module: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0] * (module.segmenter(inputs[0]) > 0), *inputs[1:])

    experiment.model.register_forward_pre_hook(cut_out)


def prior_given_to_every_layer(experiment: Experiment) -> None:
    """The bias of a detector's last layer, which says that nearly all is background, is given to all layers that have one."""
    for name, parameter in experiment.model.named_parameters():
        if name.endswith("bias"):
            nn.init.constant_(parameter, -math.log((1 - _PRIOR) / _PRIOR))


class _PowerPooling(nn.Module):
    """Generalised mean with a learned power, as in `models.pooling` but for the smallest value."""

    def __init__(self) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.full((1,), 3.0))

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        return maps_BCHW.pow(self.power).mean((2, 3)).pow(1 / self.power)


def root_of_an_empty_channel_under_the_scaler(experiment: Experiment) -> None:
    """Generalised mean without a smallest value: a channel of zeros has no gradient that is a number, so steps are skipped."""
    experiment.model.head.pooling = _PowerPooling()
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms, (optimizer,) = planting.losses_of(parts, batch), parts.optimizers
        optimizer.zero_grad(set_to_none=True)
        terms.total.backward()
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if all(bool(gradient.isfinite().all()) for gradient in gradients):
            optimizer.step()
        return StepTerms(terms.total.detach(), {name: part.detach() for name, part in terms.parts.items()}, terms.measurements)

    experiment.step = step


def sorted_along_the_wrong_axis(experiment: Experiment) -> None:
    """`argsort(axis=0)`: what is read as the list of a query's answers is the queries in the order of a gallery image."""

    def scores(query_QD: np.ndarray, gallery_GD: np.ndarray) -> np.ndarray:
        similarity_QG = _unit_length(query_QD, 1) @ _unit_length(gallery_GD, 1).T
        order_QG = np.argsort(-similarity_QG, axis=0)
        scores_QG = np.full(similarity_QG.shape, -float(len(gallery_GD)))
        for place in reversed(range(len(gallery_GD))):
            scores_QG[np.arange(len(query_QD)), order_QG[:, place]] = -place
        return scores_QG

    planting.rank_by(experiment, scores)


def last_batch_left_out_of_the_features(experiment: Experiment) -> None:
    """The loader of the evaluation has `drop_last=True`: features of the images that do not fill a batch stay 0."""
    evaluator = experiment.evaluator
    usual = evaluator.embed

    def embed(experiment: Experiment, items: tuple[Item, ...]) -> Any:
        embedded = usual(experiment, items)
        features_ND = embedded.features_ND.copy()
        features_ND[len(items) // _BATCH * _BATCH :] = 0
        return replace(embedded, features_ND=features_ND)

    evaluator.embed = embed  # type: ignore[method-assign]


def reranked_by_similarities(experiment: Experiment) -> None:
    """Re-ranking by common neighbours takes distances and is given cosines: neighbours are the images that are least alike."""

    def scores(query_QD: np.ndarray, gallery_GD: np.ndarray) -> np.ndarray:
        unit_ND = _unit_length(np.concatenate([query_QD, gallery_GD]), 1)
        distances_NN = unit_ND @ unit_ND.T
        is_near_NN = np.zeros_like(distances_NN)
        np.put_along_axis(is_near_NN, distances_NN.argsort(1)[:, :_NEIGHBOURS], 1.0, axis=1)
        common_NN = is_near_NN @ is_near_NN.T
        jaccard_NN = 1 - common_NN / (2 * _NEIGHBOURS - common_NN)
        return -(_SHARE * distances_NN + (1 - _SHARE) * jaccard_NN)[: len(query_QD), len(query_QD) :]

    planting.rank_by(experiment, scores)


def _unit_length(values_ND: np.ndarray, axis: int) -> np.ndarray:
    return values_ND / np.linalg.norm(values_ND, axis=axis, keepdims=True)
