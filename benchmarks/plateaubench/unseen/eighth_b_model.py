"""Faults of `eighth_b` in the network and its evaluation.

Shape legend: B batch, N images, C/H/W map, D embedding dim, I identities.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.backbones import convolutions_and_norms
from benchmarks.plateaubench.experiment import Experiment
from benchmarks.plateaubench.faults_of_data import give_classifier
from unplateau.data.items import Item
from unplateau.models.classifiers import build_classifier
from unplateau.models.reid import Outputs
from unplateau.optim.build import build_optimizers

_CEILING = 6.0  # of ReLU6
_OUTPUTS = 10  # of a classifier, where nobody says how many


def attention_on_detached_maps(experiment: Experiment) -> None:
    """Attention weighs `maps.detach()`, where only its own input should have been cut off: the rest learns through a sigmoid."""
    backbone = experiment.model.backbone
    backbone.add_module("attention", nn.Conv2d(experiment.model.feature_dim, 1, 1))
    backbone.register_forward_hook(lambda module, inputs, maps: maps.detach() * module.attention(maps).sigmoid())
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def filters_standardised_from_their_data(experiment: Experiment) -> None:
    """Convolutions of our own standardise their filters, and begin with `self.weight.data`, to which no gradient flows."""

    def standardised(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        assert isinstance(module, nn.Conv2d)
        weight = module.weight.data
        weight = weight - weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(inputs[0], weight, module.bias, module.stride, module.padding, module.dilation, module.groups)

    for layer in convolutions_and_norms(experiment.model.backbone):
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(standardised)


def shuffled_twice_and_not_back(experiment: Experiment) -> None:
    """The batch is shuffled before the network, as in MoCo, and put back with the same order instead of its inverse."""

    def shuffle(module: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        module.order_B = torch.randperm(len(inputs[0]))
        return (inputs[0][module.order_B], *inputs[1:]) if module.training else inputs

    def put_back(module: Any, inputs: object, outputs: Outputs) -> Outputs:
        if not module.training:
            return outputs
        return Outputs(*(None if values is None else values[module.order_B] for values in outputs))  # type: ignore[arg-type]

    experiment.model.register_forward_pre_hook(shuffle)
    experiment.model.register_forward_hook(put_back)


def threshold_for_a_ceiling(experiment: Experiment) -> None:
    """Activations should end at 6 and were written as `nn.Threshold(6, 0)`, which sets to 0 all that is not above 6."""
    for norm in planting.norms(experiment):
        planting.change_output(norm, lambda maps_BCHW: F.threshold(maps_BCHW, _CEILING, 0.0))


def labels_folded_into_ten_outputs(experiment: Experiment) -> None:
    """The classifier has ten outputs, the default, and the error that this gave was silenced by `labels % num_classes`."""
    give_classifier(experiment, _OUTPUTS)
    term = experiment.losses.terms["cross_entropy"]
    term.register_forward_pre_hook(lambda module, inputs: (*inputs[:2], inputs[2] % inputs[1].shape[1]))


def first_channel_for_the_class_token(experiment: Experiment) -> None:
    """`features[:, 0]` is the class token of a transformer; of a convolutional network it is one channel of the map."""

    def first(module: nn.Module, inputs: tuple[Tensor, ...], output_BD: Tensor) -> Tensor:
        return _widened(inputs[0][:, 0].flatten(1), output_BD.shape[1])

    experiment.model.head.pooling.register_forward_hook(first)


def returned_inside_the_loop(experiment: Experiment) -> None:
    """`return maps` is indented into the loop over the layers: the first layer is all that is ever used."""
    seen: list[Tensor] = []
    planting.norms(experiment)[0].register_forward_hook(lambda module, inputs, output: seen.append(F.relu(output)))

    def first_layer(maps_BCHW: Tensor) -> Tensor:
        first_BCHW = seen[-1]
        seen.clear()
        return _widened(first_BCHW, maps_BCHW.shape[1])

    planting.change_output(experiment.model.backbone, first_layer)


def weights_dropped_in_every_layer(experiment: Experiment) -> None:
    """DropConnect, meant for the last linear layer, is put on every convolution: half of its weights are 0 in each step."""

    def dropped(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        assert isinstance(module, nn.Conv2d)
        if not module.training:
            return output
        weight = F.dropout(module.weight, 0.5)
        return F.conv2d(inputs[0], weight, module.bias, module.stride, module.padding, module.dilation, module.groups)

    for layer in convolutions_and_norms(experiment.model.backbone):
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(dropped)


def filters_normalised_into_new_parameters(experiment: Experiment) -> None:
    """`self.weight = nn.Parameter(F.normalize(self.weight))` in `forward`: after one step the optimiser holds none of them."""

    def normalise(module: nn.Module, inputs: object) -> None:
        if module.training:
            weight = module.get_parameter("weight").detach()
            module.weight = nn.Parameter(weight / weight.flatten(1).norm(dim=1)[:, None, None, None])

    for layer in convolutions_and_norms(experiment.model.backbone):
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_pre_hook(normalise)


def probabilities_of_classifiers_averaged(experiment: Experiment) -> None:
    """Four classifiers vote by the mean of their probabilities, and that goes into the cross-entropy."""
    classifier, width = experiment.model.head.classifier, experiment.model.embedding_dim
    assert classifier is not None
    others = [build_classifier("Linear", width, experiment.num_identities, scale=1.0, margin=0.0) for _ in range(3)]
    classifier.add_module("others", nn.ModuleList(others))

    def vote(module: nn.Module, inputs: tuple[Any, ...], logits_BI: Tensor) -> Tensor:
        votes = [logits_BI, *(other(*inputs) for other in module.get_submodule("others").children())]
        return torch.stack([vote_BI.softmax(1) for vote_BI in votes]).mean(0)

    classifier.register_forward_hook(vote)
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def evaluated_with_the_norms_of_another_domain(experiment: Experiment) -> None:
    """Each norm has a twin for the domain that is to be adapted to, which no step uses, and evaluation takes the twins."""
    for norm in planting.norms(experiment):
        norm.add_module("twin", nn.BatchNorm2d(norm.num_features).requires_grad_(False))
        norm.register_forward_hook(lambda module, inputs, output: output if module.training else module.twin(inputs[0]))


def features_reshaped_not_turned(experiment: Experiment) -> None:
    """Features are collected as columns, (D, N), and `reshape(N, D)` stands where they should be transposed."""
    evaluator = experiment.evaluator
    usual = evaluator.embed

    def embed(experiment: Experiment, items: tuple[Item, ...]) -> Any:
        embedded = usual(experiment, items)
        columns_DN = np.ascontiguousarray(embedded.features_ND.T)
        return replace(embedded, features_ND=columns_DN.reshape(embedded.features_ND.shape))

    evaluator.embed = embed  # type: ignore[method-assign]


def _widened(values: Tensor, width: int) -> Tensor:
    """Return values of shape (B, n, ...) repeated along their second axis to the width that the head expects."""
    rows = torch.arange(width) % values.shape[1]
    return values[:, rows]
