"""Model and evaluation of the twelfth file, part b: each function plants what a thread describes; its address stands beside it.

Shape legend: B batch, C channels, D embedding dim, Q queries, G gallery, H/W map.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.backbones import convolutions_and_norms
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.evaluation.ranking import Retrieval
from unplateau.optim.build import build_optimizers
from unplateau.runs.record import RetrievalMetrics


def in_eval_until_the_epoch_ends(experiment: Experiment) -> None:
    """Validation inside an epoch leaves the network in evaluation mode for its rest. https://github.com/wkentaro/pytorch-fcn/pull/56"""
    usual, steps, length = experiment.step, count(), experiment.schedule.steps_per_epoch

    def step(parts: Parts, batch: Batch) -> StepTerms:
        if next(steps) % length == length // 3:
            for module in parts.model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return usual(parts, batch)

    experiment.step = step


def frozen_and_trained_swapped(experiment: Experiment) -> None:
    """The two last convolutions, meant to be frozen, are the ones that are trained. https://github.com/wannabeOG/MAS-PyTorch/issues/1"""
    experiment.model.backbone.requires_grad_(False)
    for convolution in _convolutions(experiment)[-2:]:
        convolution.requires_grad_(True)


def dropout_in_every_mode(experiment: Experiment) -> None:
    """The dropout of every layer is applied when the network is scored, too. https://github.com/NVIDIA/apex/pull/1449"""
    for module in list(experiment.model.backbone.modules()):
        if isinstance(module, nn.ReLU):
            planting.change_output(module, lambda maps_BCHW: F.dropout(maps_BCHW, 0.1))


def precision_averaged_over_the_whole_list(experiment: Experiment) -> None:
    """Precisions at the right answers are divided by the length of the list. https://github.com/ShivaKrishnaM/ZS-SBIR/issues/2"""
    score = experiment.evaluator.score

    def divided(experiment: Experiment) -> Retrieval:
        retrieval = score(experiment)
        query, gallery = experiment.evaluator.query, experiment.evaluator.gallery
        own_Q = np.array([
            sum(item.person_id == asked.person_id and item.camera_id != asked.camera_id for item in gallery) for asked in query
        ])[retrieval.query_rows_Q]  # fmt: skip
        average_precision_Q = retrieval.average_precision_Q * own_Q / len(gallery)
        metrics = replace(retrieval.metrics, mAP=float(average_precision_Q.mean()))
        return replace(retrieval, metrics=metrics, average_precision_Q=average_precision_Q)

    experiment.evaluator.score = divided  # type: ignore[method-assign]


def distances_sorted_as_similarities(experiment: Experiment) -> None:
    """Euclidean distances are sorted as cosines were. https://github.com/boostcampaitech5/level3_recsys_finalproject-recsys-03/pull/76"""
    planting.rank_by(experiment, _distances)


class Kept(nn.Module):
    """Calls a layer that stands in a dictionary, where nobody finds its parameters."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layers = {"layer": layer}

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        """Return what the layer gives."""
        output: Tensor = self.layers["layer"](maps_BCHW)
        return output


def parameters_in_a_dictionary(experiment: Experiment) -> None:
    """Layers are kept in a dictionary of the module, which does not list them. https://github.com/pytorch/pytorch/issues/632"""
    hidden = set(map(id, _convolutions(experiment)))
    for module in list(experiment.model.backbone.modules()):
        for name, child in list(module.named_children()):
            if id(child) in hidden:
                setattr(module, name, Kept(child))
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def dropout_of_what_is_to_be_kept(experiment: Experiment) -> None:
    """The share to keep, 0.9, is given as the share to drop. https://github.com/bonlime/keras-deeplab-v3-plus/issues/4"""
    experiment.model.backbone.register_forward_hook(
        lambda module, inputs, output_BCHW: F.dropout(output_BCHW, 0.9, training=module.training)
    )


def layers_made_in_the_forward_pass(experiment: Experiment) -> None:
    """Two layers are made anew at every call. https://github.com/vicksEmmanuel/latent-gemma/issues/1"""

    def projected(pooled_BD: Tensor) -> Tensor:
        width = pooled_BD.shape[1]
        half = width // 2
        output_BD: Tensor = nn.Sequential(nn.Linear(width, half), nn.LayerNorm(half), nn.GELU(), nn.Linear(half, width))(
            pooled_BD
        )
        return output_BD

    planting.change_output(experiment.model.head.pooling, projected)


def bias_far_below_zero(experiment: Experiment) -> None:
    """Biases before the last rectifier begin far below 0. https://github.com/facebookresearch/dlrm/pull/358"""
    nn.init.constant_(planting.norms(experiment)[-1].bias, -4.0)


def backbone_never_thawed(experiment: Experiment) -> None:
    """Thawing asks what is frozen for its gradient first, and so leaves it frozen. https://github.com/nttcslab/byol-a/issues/7"""
    experiment.model.backbone.requires_grad_(False)
    for parameter in experiment.model.backbone.parameters():
        if parameter.requires_grad:
            parameter.requires_grad_(True)


def metric_never_reset(experiment: Experiment) -> None:
    """The meter of the validation score goes on through all epochs. https://github.com/MichiganCOG/ViP/issues/34"""
    score, seen = experiment.evaluator.score, list[RetrievalMetrics]()

    def metered(experiment: Experiment) -> Retrieval:
        retrieval = score(experiment)
        seen.append(retrieval.metrics)
        cmc = {rank: float(np.mean([metrics.cmc[rank] for metrics in seen])) for rank in retrieval.metrics.cmc}
        mean_ap, mean_inp = (float(np.mean([getattr(metrics, name) for metrics in seen])) for name in ("mAP", "mINP"))
        return replace(retrieval, metrics=replace(retrieval.metrics, mAP=mean_ap, mINP=mean_inp, cmc=cmc))

    experiment.evaluator.score = metered  # type: ignore[method-assign]


def _convolutions(experiment: Experiment) -> list[nn.Conv2d]:
    layers = convolutions_and_norms(experiment.model.backbone)
    return [layer for layer in layers if isinstance(layer, nn.Conv2d)]


def _distances(query_QD: np.ndarray, gallery_GD: np.ndarray) -> np.ndarray:
    away_QG: np.ndarray = np.linalg.norm(query_QD[:, None] - gallery_GD, axis=2)
    return away_QG
