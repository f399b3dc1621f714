"""Faults of network, losses and evaluation.

Shape legend: B batch, D embedding dim, I identities.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.plateaubench.backbones import convolutions_and_norms
from benchmarks.plateaubench.experiment import Experiment
from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.faults_of_data import give_classifier
from unplateau.config.delta import with_values
from unplateau.losses.build import build_losses
from unplateau.models.build import build_model
from unplateau.optim.build import build_optimizers

Inject = Callable[[Experiment], None]
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def other_losses(changes: dict[str, Any]) -> Inject:
    """The losses are built with other settings than the configuration says."""

    def inject(experiment: Experiment) -> None:
        config = with_values(experiment.config, changes)
        experiment.losses = build_losses(
            config, num_identities=experiment.num_identities, feature_dim=experiment.model.feature_dim
        )

    return inject


def loss_weight(name: str, weight: float) -> Inject:
    """The weight of one loss is off."""

    def inject(experiment: Experiment) -> None:
        experiment.losses.scales[name] = weight

    return inject


def softmax_before_loss(experiment: Experiment) -> None:
    classifier = experiment.model.head.classifier
    assert classifier is not None
    classifier.register_forward_hook(lambda module, inputs, output: output.softmax(1))


def cosine_without_scale(experiment: Experiment) -> None:
    give_classifier(experiment, experiment.num_identities, kind="CosineLinear")


def backbone_detached(experiment: Experiment) -> None:
    """A `detach` between backbone and head."""
    experiment.model.backbone.register_forward_hook(lambda module, inputs, output: output.detach())


def classifier_detached(experiment: Experiment) -> None:
    """A `detach` before the classifier: the cross-entropy teaches the classifier alone."""
    classifier = experiment.model.head.classifier
    assert classifier is not None
    classifier.register_forward_pre_hook(lambda module, inputs: (inputs[0].detach(), *inputs[1:]))


def batch_norm_in_eval(experiment: Experiment) -> None:
    """Batch normalisation trains on the statistics it was built with."""

    def in_eval(module: nn.Module, inputs: object) -> None:
        for part in module.modules():
            if isinstance(part, _BATCH_NORMS):
                part.eval()

    experiment.model.register_forward_pre_hook(in_eval)


def batch_norm_statistics_frozen(experiment: Experiment) -> None:
    """Running statistics are never updated: training is right, evaluation uses the ones of the start."""
    for module in experiment.model.modules():
        if isinstance(module, _BATCH_NORMS):
            module.momentum = 0.0


def dead(share: float) -> Inject:
    """The shift before a rectifier in the middle of the network keeps a share of its units at zero."""

    def inject(experiment: Experiment) -> None:
        norms = [m for m in convolutions_and_norms(experiment.model.backbone) if isinstance(m, nn.BatchNorm2d)]
        for norm in (norms[3], norms[5]):
            with torch.no_grad():
                norm.bias[: round(share * len(norm.bias))] = -12.0

    return inject


def embedding_of(dimension: int) -> Inject:
    """The embedding has a few dimensions only."""

    def inject(experiment: Experiment) -> None:
        config = with_values(experiment.config, {"MODEL.HEADS.EMBEDDING_DIM": dimension, "MODEL.HEADS.NECK_FEAT": "after"})
        built = build_model(config, num_identities=experiment.num_identities, num_cameras=6)
        experiment.model = built.model.to(memory_format=torch.channels_last)
        experiment.losses = build_losses(config, num_identities=experiment.num_identities, feature_dim=dimension)
        experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)

    return inject


def dropout(share: float) -> Inject:
    """Dropout on the pooled feature is the share that should be kept."""

    def inject(experiment: Experiment) -> None:
        head = experiment.model.head
        head.pooling.register_forward_hook(lambda module, inputs, output: F.dropout(output, share, training=head.training))

    return inject


def badly_initialised(experiment: Experiment) -> None:
    """The classifier begins a thousand times too large."""
    classifier = experiment.model.head.classifier
    assert classifier is not None
    with torch.no_grad():
        classifier.weight.mul_(1000.0)


def evaluated_in_train_mode(experiment: Experiment) -> None:
    """`model.eval()` is forgotten, and queries come sorted, so that batch statistics differ from the gallery's."""
    experiment.evaluator.set_mode = nn.Module.train


def evaluation_ids_wrong(experiment: Experiment) -> None:
    """Rows of features and of identities do not belong together: the queries' ids are off by a few rows."""
    evaluator = experiment.evaluator
    persons = np.roll([item.person_id for item in evaluator.query], 5)
    evaluator.query = tuple(replace(item, person_id=int(p)) for item, p in zip(evaluator.query, persons, strict=True))


def cameras_alike(experiment: Experiment) -> None:
    """Camera ids are read from the wrong place and are all one: the camera rule leaves no query a match."""
    evaluator = experiment.evaluator
    evaluator.query = tuple(replace(item, camera_id=0) for item in evaluator.query)
    evaluator.gallery = tuple(replace(item, camera_id=0) for item in evaluator.gallery)


def stale_weights_scored(experiment: Experiment) -> None:
    """A copy of the model made before training is scored."""
    old = copy.deepcopy(experiment.model)
    experiment.evaluator.model_of = lambda experiment: old


FAULTS: tuple[Fault, ...] = (
    fault("softmax_before_ce", "softmax-before-ce", softmax_before_loss),
    fault("cosine_without_scale", "missing-cosine-scale", cosine_without_scale),
    fault("label_smoothing/0.95", "label-smoothing-too-strong", other_losses({"MODEL.LOSSES.CE.EPSILON": 0.95})),
    fault("label_smoothing/0.5", "label-smoothing-too-strong", other_losses({"MODEL.LOSSES.CE.EPSILON": 0.5}), severity="mild"),
    fault("margin_off", "margin-wrong", other_losses({"MODEL.LOSSES.TRI.MARGIN": 300.0})),
    fault("triplet_times/100", "loss-weights-unbalanced", loss_weight("triplet", 100.0)),
    fault("cross_entropy_weight/0", "cross-entropy-missing loss-weights-unbalanced", loss_weight("cross_entropy", 0.0)),
    fault("backbone_detached", "detached-branch no-gradient", backbone_detached),
    fault("classifier_detached", "detached-branch no-gradient cross-entropy-missing", classifier_detached),
    fault("batch_norm_in_eval", "batch-norm-in-eval", batch_norm_in_eval),
    fault("batch_norm_statistics", "batch-norm-in-eval evaluation-preprocessing", batch_norm_statistics_frozen),
    fault("dead_units/all", "dead-units", dead(1.0)),
    fault("dead_units/most", "dead-units", dead(0.95), severity="mild"),
    fault("embedding/2", "embedding-too-small", embedding_of(2)),
    fault("embedding/6", "embedding-too-small", embedding_of(6), severity="mild"),
    fault("dropout/0.98", "dropout-too-strong", dropout(0.98)),
    fault("dropout/0.9", "dropout-too-strong", dropout(0.9), severity="mild"),
    fault("classifier_start", "wrong-head", badly_initialised),
    fault("train_mode_evaluation", "evaluated-in-train-mode", evaluated_in_train_mode),
    fault("evaluation_ids_wrong", "evaluation-preprocessing same-camera-not-filtered", evaluation_ids_wrong),
    fault("cameras_alike", "camera-ids-wrong", cameras_alike),
    fault("stale_weights_scored", "stale-weights-evaluated", stale_weights_scored),
)
