"""Bugs of the network and of its evaluation for `fifteenth_b`, each from a thread in which its cause was found.

Shape legend: B batch, C/H/W image or map, D embedding dim, I identities.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.backbones import convolutions_and_norms
from benchmarks.plateaubench.experiment import Experiment
from unplateau.optim.build import build_optimizers


def one_place_for_the_whole(experiment: Experiment) -> None:
    """The head is handed the tokens without the first, and takes the first for the global one. deepmodeling/Uni-Mol issue 293."""
    experiment.model.head.pooling.register_forward_hook(lambda module, inputs, output: inputs[0][:, :, 0, 0])


def only_branch_dropped(experiment: Experiment) -> None:
    """Stochastic depth drops the main branch where there is no shortcut beside it.

    huggingface/pytorch-image-models pull request 685.
    """
    norms = planting.norms(experiment)
    for number, norm in enumerate(norms):
        norm.register_forward_hook(_dropping(0.2 * number / (len(norms) - 1), channels=False))


def channels_dropped_for_paths(experiment: Experiment) -> None:
    """Drop path is `Dropout2d`, which drops channels. WZMIAOMIAO/deep-learning-for-image-processing pull request 267."""
    norms = planting.norms(experiment)
    for number, norm in enumerate(norms):
        norm.register_forward_hook(_dropping(0.1 * number / (len(norms) - 1), channels=True))


def checkpointed_with_a_list(experiment: Experiment) -> None:
    """Gradient checkpointing is handed its inputs in a list, and no gradient comes through. pytorch/vision issue 2221."""
    for norm in planting.norms(experiment)[::2]:
        planting.change_output(norm, torch.Tensor.detach)


def statistics_never_move(experiment: Experiment) -> None:
    """Batch normalisation was converted with a momentum of 1, by which nothing is ever averaged in.

    gmalivenko/pytorch2keras issue 70.
    """
    for module in experiment.model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 0.0


def standardised_the_wrong_way(experiment: Experiment) -> None:
    """Weights are divided by the inverse of their deviation. huggingface/blog pull request 2484."""

    def again(conv: nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        centred = conv.weight - conv.weight.mean((1, 2, 3), keepdim=True)
        weight = centred * (centred.square().mean((1, 2, 3), keepdim=True) + 1e-5).sqrt()
        return F.conv2d(inputs[0], weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups)

    for conv in _convolutions(experiment):
        conv.register_forward_hook(again)


class _InPlaceLeak(torch.autograd.Function):
    """Leaky rectifier of slope -2 whose gradient is chosen by the sign of its output."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        output = F.leaky_relu(values, -2.0)
        ctx.save_for_backward(output > 0)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (positive,) = ctx.saved_tensors
        return torch.where(positive, gradients[0], -2 * gradients[0])


def leak_with_the_gradient_of_its_output(experiment: Experiment) -> None:
    """`leaky_relu_` judges its gradient by the output's sign, wrong for a negative slope. pytorch/pytorch issue 31938."""
    for norm in planting.norms(experiment):
        planting.change_output(norm, _InPlaceLeak.apply)


def embeddings_of_any_length_for_cosines(experiment: Experiment) -> None:
    """Margin logits are of embeddings before normalisation: no cosines, and clipped. mk-minchul/AdaFace issue 7."""

    def logits(classifier: nn.Module, inputs: tuple[Tensor, Tensor], output: Tensor) -> Tensor:
        cosines_BI = F.linear(inputs[0], F.normalize(torch.as_tensor(classifier.weight))).clamp(-0.999, 0.999)
        return 64 * (cosines_BI - 0.4 * F.one_hot(inputs[1], cosines_BI.shape[1]))

    classifier = experiment.model.head.classifier
    assert classifier is not None
    classifier.register_forward_hook(logits)


def brackets_missing_in_xavier(experiment: Experiment) -> None:
    """The deviation of Xavier's start lacks brackets: the root of 2 / fan_in + fan_out. mlverse/torch issue 555."""
    for conv in _convolutions(experiment):
        fan_in, fan_out = conv.weight[0].numel(), conv.weight.shape[0] * conv.weight[0, 0].numel()
        nn.init.normal_(conv.weight, std=sqrt(2 / fan_in + fan_out))


def xavier_of_summed_sides(experiment: Experiment) -> None:
    """The start's deviation is of the sum of a kernel's sides. LeelaChessZero/lczero-training pull request 43."""
    for conv in _convolutions(experiment):
        nn.init.normal_(conv.weight, std=sqrt(2 / sum(conv.weight.shape)))


def contrast_without_normalising(experiment: Experiment) -> None:
    """The network's output is not normalised before the contrastive loss at a temperature of 0.07. valeoai/SLidR issue 24."""

    def value(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
        eye_BB = torch.eye(len(ids_B), dtype=torch.bool)
        near_BB = (features_BD @ features_BD.T / 0.07).masked_fill(eye_BB, torch.finfo(features_BD.dtype).min / 4)
        positive_BB = (ids_B[:, None] == ids_B) & ~eye_BB
        return -near_BB.log_softmax(1)[positive_BB].mean()

    planting.change_loss(experiment, "triplet", value)


def transformer_begins_sheared(experiment: Experiment) -> None:
    """The affine map of a spatial transformer begins with a 1 beside its diagonal. keras-team/keras issue 478."""
    backbone = experiment.model.backbone
    backbone.register_parameter("theta", nn.Parameter(torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]])))
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)

    def transform(module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        grid = F.affine_grid(module.theta.expand(len(inputs[0]), 2, 3), list(inputs[0].shape), align_corners=False)
        return F.grid_sample(inputs[0], grid, align_corners=False)

    backbone.register_forward_pre_hook(transform)


def _convolutions(experiment: Experiment) -> list[nn.Conv2d]:
    layers = convolutions_and_norms(experiment.model.backbone)
    return [layer for layer in layers if isinstance(layer, nn.Conv2d)]


def _dropping(rate: float, *, channels: bool) -> Any:
    def drop(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not module.training or not rate:
            return output
        kept = torch.rand(len(output), output.shape[1] if channels else 1, 1, 1) >= rate
        return output * kept / (1 - rate)

    return drop
