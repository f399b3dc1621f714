"""Networks and measurements of the fourteenth file, b: each as a thread describes it.

Shape legend: B batch, C/H/W feature map, D embedding dim, N positions of a map, Q queries, G gallery.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from unplateau.optim.build import build_optimizers

_PATCH = 8  # pixels
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def prepared_otherwise_for_features(experiment: Experiment) -> None:
    """Features are taken from images that are not normalised: https://github.com/longcw/MOTDT/issues/8 ."""
    experiment.evaluator.transform = lambda pixels_BCHW, generator: pixels_BCHW.float() / 255


def patches_across_channels(experiment: Experiment) -> None:
    """Patches are cut so that channels and places mix: https://github.com/gupta-abhay/pytorch-vit/issues/7 ."""

    def cut(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        images = inputs[0]
        size, height, width = len(images), images.shape[2] // _PATCH, images.shape[3] // _PATCH
        patches = images.unfold(2, _PATCH, _PATCH).unfold(3, _PATCH, _PATCH).contiguous()
        laid = patches.view(size, height, width, 3, _PATCH, _PATCH).permute(0, 3, 1, 4, 2, 5)
        return (laid.reshape(images.shape), *inputs[1:])

    experiment.model.backbone.register_forward_pre_hook(cut)


def extractor_detaches(experiment: Experiment) -> None:
    """What the extractor keeps is detached: https://github.com/lucidrains/CoCa-pytorch/issues/6 ."""
    planting.change_output(experiment.model.backbone, torch.Tensor.detach)


def network_copied_behind_its_optimiser(experiment: Experiment) -> None:
    """A deep copy is trained with the optimiser of the original: https://github.com/skorch-dev/skorch/issues/317 ."""
    experiment.model = copy.deepcopy(experiment.model)


def dropout_told_to_train(experiment: Experiment) -> None:
    """A functional dropout with `training=True`: https://github.com/Coderx7/SimpleNet/issues/2 ."""
    planting.change_output(experiment.model.head.pooling, lambda pooled_BD: F.dropout(pooled_BD, 0.1, training=True))


def averages_never_applied(experiment: Experiment) -> None:
    """Moving averages of the statistics are never updated: https://github.com/pkmital/tensorflow_tutorials/issues/8 ."""
    for layer in _batch_norms(experiment):
        layer.momentum = 0.0


def normalisation_not_told_to_train(experiment: Experiment) -> None:
    """`training=False` is the default of each normalisation: https://github.com/dmzou/RSRAE/issues/2 ."""
    for layer in _batch_norms(experiment):
        layer.register_forward_pre_hook(_into_evaluation)


class OneByOne(nn.BatchNorm2d):
    """Batch normalisation that sees one image at a time while it trains."""

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        return torch.cat(
            [super(OneByOne, self).forward(maps) for maps in maps_BCHW.split(1 if self.training else len(maps_BCHW))]
        )


def batches_of_one_image(experiment: Experiment) -> None:
    """Batch normalisation with a batch of one: https://github.com/microsoft/CNTK/issues/905 ."""
    for layer in planting.norms(experiment):
        layer.__class__ = OneByOne


def tested_without_the_division(experiment: Experiment) -> None:
    """Test images are not divided by 255: https://github.com/keras-team/keras/issues/13517 ."""
    usual = experiment.evaluator.transform
    experiment.evaluator.transform = lambda pixels_BCHW, generator: usual(pixels_BCHW, generator) * 255


def parameters_made_in_forward(experiment: Experiment) -> None:
    """Position parameters are made anew in forward: https://github.com/leaderj1001/Stand-Alone-Self-Attention/issues/2 ."""
    for layer in planting.norms(experiment):
        planting.change_output(layer, lambda maps_BCHW: maps_BCHW + torch.randn(maps_BCHW.shape[1:]))


def last_layer_not_registered(experiment: Experiment) -> None:
    """The last linear layer's parameters are not registered: https://github.com/EleutherAI/gpt-neox/pull/267 ."""
    classifier = experiment.model.head.classifier
    assert classifier is not None
    for group in experiment.optimizers[0].param_groups:
        group["params"] = [p for p in group["params"] if p is not classifier.weight]


class RowNorm(nn.BatchNorm2d):
    """Batch normalisation of the rows of a map, where that of its channels was meant."""

    def forward(self, maps_BCHW: Tensor) -> Tensor:
        return super().forward(maps_BCHW.transpose(1, 2)).transpose(1, 2)


def normalised_along_the_wrong_axis(experiment: Experiment) -> None:
    """Most normalisations take axis 1 of maps with channels last: https://github.com/tanakataiki/ssd_kerasV2/issues/20 ."""
    backbone, heights = experiment.model.backbone.eval(), dict[nn.Module, int]()
    handles = [
        layer.register_forward_hook(lambda module, inputs, maps_BCHW: heights.update({module: maps_BCHW.shape[2]}))
        for layer in planting.norms(experiment)[1:]
    ]
    with torch.no_grad():
        backbone(torch.zeros(1, 3, *experiment.config.INPUT.SIZE_TRAIN))
    for handle in handles:
        handle.remove()
    for parent in list(backbone.train().modules()):
        for name, child in list(parent.named_children()):
            if child in heights:
                setattr(parent, name, RowNorm(heights[child]))
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def _into_evaluation(module: nn.Module, inputs: object) -> None:
    module.eval()


def _batch_norms(experiment: Experiment) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    return [module for module in experiment.model.modules() if isinstance(module, _NORMS)]
