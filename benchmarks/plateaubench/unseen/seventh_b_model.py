"""Faults of `seventh_b` in the network and its evaluation.

Shape legend: B batch, Q queries, G gallery, C/H/W map, D embedding dim, S stripes, P centres of cells.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import FrozenBatchNorm2d

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.backbones import convolutions_and_norms
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.evaluation.matches import find_matches
from unplateau.evaluation.ranking import Retrieval, retrieve
from unplateau.models.reid import Outputs, ReidModel
from unplateau.optim.build import build_optimizers

_STRIPES = 4


def whole_images_dropped(experiment: Experiment) -> None:
    """`Dropout1d` takes (B, D) for the channels of one image, so it sets half of the images to 0 and not half of the numbers."""
    experiment.model.head.pooling.register_forward_hook(
        lambda module, inputs, output_BD: F.dropout1d(output_BD, 0.5, module.training)
    )


class _Adapter(nn.Module):
    """A convolution of low rank beside another one; it begins at 0."""

    def __init__(self, beside: nn.Conv2d, rank: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(beside.in_channels, rank, 1, stride=beside.stride, bias=False)
        self.up = nn.Conv2d(rank, beside.out_channels, 1, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        up_BCHW: Tensor = self.up(self.down(maps_BCHW))
        return up_BCHW


def adapters_beside_random_weights(experiment: Experiment) -> None:
    """Adapters of rank 4 are trained, and the backbone beside them is frozen, as is right for a pretrained one; it is random."""
    backbone = experiment.model.backbone.requires_grad_(False)
    for layer in convolutions_and_norms(backbone):
        if isinstance(layer, nn.Conv2d):
            layer.add_module("adapter", _Adapter(layer, 4))
            layer.register_forward_hook(lambda module, inputs, output: output + module.adapter(inputs[0]))
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def teacher_is_not_a_copy(experiment: Experiment) -> None:
    """`teacher = model.backbone` without a copy, then the teacher is frozen and put into evaluation mode: it is the student."""
    experiment.model.backbone.requires_grad_(False)

    def teach(model: nn.Module, inputs: object) -> None:
        model.get_submodule("backbone").eval()

    experiment.model.register_forward_pre_hook(teach)


def norms_of_a_detector(experiment: Experiment) -> None:
    """The backbone is built as for a detector, with norms whose scale and statistics are constants, and nothing is loaded."""
    for parent in list(experiment.model.backbone.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, FrozenBatchNorm2d(child.num_features))
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def logits_of_unit_length(experiment: Experiment) -> None:
    """What the model gives is brought to unit length, which was meant for its features; in training it gives logits."""
    planting.change_logits(experiment, F.normalize)


class _Gate(nn.Module):
    """Weighs channels by what all of the map shows (Hu et al. 2018), with a rectifier at the end where a sigmoid belongs."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Linear(channels, channels // 4), nn.Linear(channels // 4, channels)

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        weights_BC: Tensor = F.relu(self.excite(F.relu(self.squeeze(maps_BCHW.mean((2, 3))))))
        return maps_BCHW * weights_BC[:, :, None, None]


def gates_rectified(experiment: Experiment) -> None:
    """Squeeze and excitation in every layer ends in a ReLU and not in a sigmoid: half of the gates are shut from the start."""
    for norm in planting.norms(experiment):
        norm.add_module("gate", _Gate(norm.num_features))
        norm.register_forward_hook(lambda module, inputs, output: module.gate(output))
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def trained_names_have_a_prefix(experiment: Experiment) -> None:
    """All is frozen but the names of a list, and these begin with "module.": none is met, and a guard saves the backward pass."""
    chosen = {f"module.{name}" for name, weight in experiment.model.named_parameters() if weight.requires_grad}
    for name, weight in experiment.model.named_parameters():
        weight.requires_grad_(name in chosen)

    def step(parts: Parts, batch: Batch) -> StepTerms:
        terms = planting.losses_of(parts, batch)
        if terms.total.requires_grad:
            return planting.update(parts, terms)
        return StepTerms(terms.total, terms.parts, terms.measurements)

    experiment.step = step


def noise_for_features_of_variance_one(experiment: Experiment) -> None:
    """Noise of deviation 1 is added to features before the neck, in training, where their own deviation is far smaller."""

    def disturb(module: nn.Module, inputs: tuple[Tensor, ...], output_BD: Tensor) -> Tensor:
        return output_BD + torch.randn_like(output_BD) if module.training else output_BD

    experiment.model.head.pooling.register_forward_hook(disturb)


class _Stripes(nn.Module):
    """Pools a map in stripes and reduces each by itself (Sun et al. 2018): (B, C, H, W) to (B, D)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.reductions = nn.ModuleList([nn.Linear(channels, width // _STRIPES) for _ in range(_STRIPES)])

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        stripes_SBC = F.adaptive_avg_pool2d(maps_BCHW, (_STRIPES, 1)).squeeze(3).permute(2, 0, 1)
        return torch.cat([F.relu(layer(seen_BC)) for layer, seen_BC in zip(self.reductions, stripes_SBC, strict=True)], 1)


def last_stripe_only(experiment: Experiment) -> None:
    """The loop over stripes writes `loss =` where `loss +=` is meant: only the lowest has a loss, and all make the embedding."""
    width = experiment.model.feature_dim
    experiment.model.head.pooling = _Stripes(width, width)
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)
    is_last_D = torch.arange(width) >= width - width // _STRIPES
    classifier = experiment.model.head.classifier
    assert classifier is not None
    for module in (classifier, experiment.losses.terms["triplet"]):
        module.register_forward_pre_hook(lambda module, inputs: (inputs[0] * is_last_D, *inputs[1:]))


def precision_in_whole_numbers(experiment: Experiment) -> None:
    """Each right answer adds `1 // answers` to the recall: 0, unless there is only one."""
    evaluator = experiment.evaluator

    def score(experiment: Experiment) -> Retrieval:
        query, gallery = evaluator.embed(experiment, evaluator.query), evaluator.embed(experiment, evaluator.gallery)
        found = retrieve(query, gallery, protocol="held-out", dataset=evaluator.query[0].dataset)
        answers_Q = find_matches(query, gallery).num_positives_Q[found.query_rows_Q]
        precision_Q = found.average_precision_Q * (1 // answers_Q)
        return replace(found, average_precision_Q=precision_Q, metrics=replace(found.metrics, mAP=float(precision_Q.mean())))

    evaluator.score = score  # type: ignore[method-assign]


def one_cell_of_the_index_searched(experiment: Experiment) -> None:
    """The gallery lies in the cells of an index, and only the cell of the query is searched; other cells count as last."""

    def scores(query_QD: np.ndarray, gallery_GD: np.ndarray) -> np.ndarray:
        unit_QD, unit_GD = (values / np.linalg.norm(values, axis=1, keepdims=True) for values in (query_QD, gallery_GD))
        centres_PD = _centres(unit_GD)
        cell_Q, cell_G = (unit_QD @ centres_PD.T).argmax(1), (unit_GD @ centres_PD.T).argmax(1)
        return np.where(cell_Q[:, None] == cell_G, unit_QD @ unit_GD.T, -2.0)

    planting.rank_by(experiment, scores)


def _centres(unit_GD: np.ndarray) -> np.ndarray:
    """Return the centres of 4 sqrt(G) cells, as is advised for such an index: ten rounds of k-means on the sphere."""
    cells = min(len(unit_GD), round(4 * len(unit_GD) ** 0.5))
    centres_PD = unit_GD[np.random.default_rng(73).permutation(len(unit_GD))[:cells]]
    for _ in range(10):
        cell_G = (unit_GD @ centres_PD.T).argmax(1)
        sums_PD = np.stack([unit_GD[cell_G == cell].sum(0) + 1e-6 * centres_PD[cell] for cell in range(len(centres_PD))])
        centres_PD = sums_PD / np.linalg.norm(sums_PD, axis=1, keepdims=True)
    return centres_PD


class _BeforeTheNeck(nn.Module):
    """A model whose embeddings are its features before the neck."""

    def __init__(self, model: ReidModel) -> None:
        super().__init__()
        self.model = model
        self.train(model.training)

    def forward(self, images_BCHW: Tensor, *, camera_ids_B: Tensor | None = None) -> Outputs:
        outputs: Outputs = self.model(images_BCHW, camera_ids_B=camera_ids_B)
        return outputs._replace(embeddings_BD=outputs.features_BD)


def queries_before_the_neck(experiment: Experiment) -> None:
    """Queries are embedded by another function than the gallery, which gives what comes before the neck."""
    evaluator = experiment.evaluator
    before = replace(evaluator, model_of=lambda experiment: _BeforeTheNeck(experiment.model))  # type: ignore[arg-type,return-value]

    def score(experiment: Experiment) -> Retrieval:
        query, gallery = before.embed(experiment, evaluator.query), evaluator.embed(experiment, evaluator.gallery)
        return retrieve(query, gallery, protocol="held-out", dataset=evaluator.query[0].dataset)

    evaluator.score = score  # type: ignore[method-assign]
