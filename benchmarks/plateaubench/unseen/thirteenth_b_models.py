"""Bugs of networks and of scoring for `thirteenth_b`, each as the thread at its address tells it.

Shape legend: B batch, C/H/W map, D embedding dim, I identities.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.backbones import convolutions_and_norms
from benchmarks.plateaubench.experiment import Experiment
from unplateau.models.classifiers import LinearClassifier
from unplateau.models.reid import ReidModel
from unplateau.optim.build import build_optimizers

_BatchNorm = nn.modules.batchnorm._BatchNorm


def scale_begins_at_e(experiment: Experiment) -> None:
    """The loss rises again: the logarithm of the cosines' scale begins at 1, and not at the logarithm of 1 / 0.07.

    https://github.com/huggingface/transformers/issues/13430
    """
    classifier = experiment.model.head.classifier
    assert classifier is not None
    classifier.register_parameter("log_scale", nn.Parameter(torch.ones(())))
    classifier.register_forward_hook(lambda module, inputs, output: module.log_scale.exp() * _cosines(module, inputs[0]))
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def distances_for_logits(experiment: Experiment) -> None:
    """The minus is missing before the distances to the proxies, which a softmax then takes for logits.

    https://github.com/dichotomies/proxy-nca/issues/15
    """
    classifier = experiment.model.head.classifier
    assert classifier is not None
    classifier.register_forward_hook(lambda module, inputs, output: 18 * (1 - _cosines(module, inputs[0])))


def old_statistics_in_training(experiment: Experiment) -> None:
    """Loss stays where it is: `use_global_stats` is true in the network that trains.

    https://github.com/SnailTyan/caffe-model-zoo/issues/3
    """
    experiment.model.register_forward_pre_hook(lambda model, inputs: _norms_train(model, train=False))


def scored_with_first_parameters(experiment: Experiment) -> None:
    """Training is fine, the test is at chance: the evaluation step holds the parameters of the beginning.

    https://github.com/google/flax/pull/3982
    """
    first = copy.deepcopy(experiment.model)

    def model_of(experiment: Experiment) -> ReidModel:
        first.load_state_dict(dict(experiment.model.named_buffers()), strict=False)
        return first

    experiment.evaluator.model_of = model_of


def towers_of_their_own(experiment: Experiment) -> None:
    """Two towers shall share weights, but each call makes a layer of its own; the first is used later.

    https://github.com/vahidk/EffectiveTensorflow/issues/28
    """
    backbone = experiment.model.backbone
    backbone.add_module("twin", copy.deepcopy(backbone))

    def second_half(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not module.training:
            return output
        half = len(output) // 2
        twin_BCHW: Tensor = module.get_submodule("twin")(inputs[0][half:])
        return torch.cat([output[:half], twin_BCHW])

    backbone.register_forward_hook(second_half)
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def no_rectifiers(experiment: Experiment) -> None:
    """The activations that the paper tells of are missing between the layers.

    https://github.com/YujiaBao/ls/issues/1
    """
    _replace(experiment.model.backbone, nn.ReLU, lambda old: nn.Identity())


def last_rectifier_missing(experiment: Experiment) -> None:
    """The activation of the output is given and not applied.

    https://github.com/nerfstudio-project/nerfstudio/pull/930
    """
    last = [module for module in experiment.model.backbone.modules() if isinstance(module, nn.ReLU)][-1]
    _replace(experiment.model.backbone, nn.ReLU, lambda old: nn.Identity() if old is last else old)


def first_place_not_pooled(experiment: Experiment) -> None:
    """The pooling leaves out the first place, which had been taken off before.

    https://github.com/hustvl/SuperCLIP/issues/2
    """
    experiment.model.head.pooling.register_forward_pre_hook(lambda module, inputs: (inputs[0].flatten(2)[:, :, 1:, None],))


def scored_uncropped(experiment: Experiment) -> None:
    """0.78 instead of 0.98: test faces are not cropped as those of training are.

    https://github.com/bubbliiiing/facenet-pytorch/issues/28
    """

    def with_surroundings(pixels_BCHW: Tensor) -> Tensor:
        height, width = pixels_BCHW.shape[2:]
        small_BCHW = planting.resized(pixels_BCHW, (height * 5 // 8, width * 5 // 8)).float()
        rows, columns = height - small_BCHW.shape[2], width - small_BCHW.shape[3]
        sides = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
        return F.pad(small_BCHW, sides, mode="replicate").byte()

    planting.change_evaluation_pixels(experiment, with_surroundings)


class _Squeezed(LinearClassifier):
    """A linear classifier behind a hidden layer as wide as its output."""

    def __init__(self, embedding_dim: int, num_identities: int) -> None:
        super().__init__(num_identities, num_identities)
        self.hidden = nn.Linear(embedding_dim, num_identities)

    def forward(self, embeddings_BD: Tensor, person_ids_B: Tensor | None) -> Tensor:
        return super().forward(self.hidden(embeddings_BD).relu(), person_ids_B)


def hidden_as_wide_as_output(experiment: Experiment) -> None:
    """The width of the output is appended to the widths of the hidden layers: the head is square.

    https://github.com/LeoGrin/tabular-benchmark/issues/14
    """
    experiment.model.head.classifier = _Squeezed(experiment.model.embedding_dim, experiment.num_identities)
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def hidden_layer_skipped(experiment: Experiment) -> None:
    """The second layer is given what the first was given, so that the first does nothing.

    https://github.com/filipbasara0/matryoshka-representation-learning/issues/1
    """
    convolutions = [layer for layer in _convolutions(experiment) if layer.in_channels == layer.out_channels]
    convolutions[0].register_forward_hook(lambda module, inputs, output: inputs[0])


def strided_places_left_empty(experiment: Experiment) -> None:
    """Maps have zeros in every other row and column: the loop over places has a step, the windows and results have not.

    https://github.com/chih-chun-chang/convolutional-neural-network-from-scratch-python/pull/2
    """

    def every_other(module: nn.Conv2d, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        height, width = output.shape[2:]
        dense_BCHW = F.conv2d(inputs[0], module.weight, padding=module.padding)[:, :, :height, :width]
        kept_HW = torch.zeros(height, width)
        kept_HW[::2, ::2] = 1
        return dense_BCHW * kept_HW

    for layer in _convolutions(experiment):
        if layer.stride != (1, 1):
            layer.register_forward_hook(every_other)  # type: ignore[arg-type]


def momentum_the_other_way_round(experiment: Experiment) -> None:
    """0.99 means "keep" in one library and "forget" in the other: running statistics are those of the last batch.

    https://github.com/ludwig-ai/ludwig/pull/2100
    """
    for module in experiment.model.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = 0.99


def third_norm_missing(experiment: Experiment) -> None:
    """Two layers are added under one name: a normalisation is missing after the third convolution.

    https://github.com/NYUMedML/CNN_design_for_AD/issues/7
    """
    planting.norms(experiment)[2].register_forward_hook(lambda module, inputs, output: inputs[0])


def instance_norms(experiment: Experiment) -> None:
    """Normalisation layers are `InstanceNorm2d`, under the name of another kind.

    https://github.com/lucidrains/segformer-pytorch/issues/7
    """
    _replace(experiment.model.backbone, nn.BatchNorm2d, lambda old: nn.InstanceNorm2d(old.num_features))
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def scored_with_batch_statistics(experiment: Experiment) -> None:
    """Test results depend on the batch: `use_global_stats` is false in the network that tests.

    https://github.com/ethanhe42/resnet-cifar10-caffe/issues/2
    """

    def evaluate(model: nn.Module) -> None:
        model.eval()
        _norms_train(model, train=True)

    experiment.evaluator.set_mode = evaluate


def converted_without_scales(experiment: Experiment) -> None:
    """The converted network gives other features: `fix_gamma` makes every scale 1 there, whatever the file holds.

    https://github.com/zheshipinyinMc/arcface_retinaface_mxnet2onnx/issues/4
    """

    def model_of(experiment: Experiment) -> ReidModel:
        converted = copy.deepcopy(experiment.model)
        for module in converted.modules():
            if isinstance(module, _BatchNorm):
                nn.init.ones_(module.weight)
        return converted

    experiment.evaluator.model_of = model_of


def _cosines(classifier: nn.Module, embeddings_BD: Tensor) -> Tensor:
    return F.linear(F.normalize(embeddings_BD), F.normalize(classifier.weight))  # type: ignore[arg-type]


def _convolutions(experiment: Experiment) -> list[nn.Conv2d]:
    layers = convolutions_and_norms(experiment.model.backbone)
    return [layer for layer in layers if isinstance(layer, nn.Conv2d)]


def _norms_train(model: nn.Module, *, train: bool) -> None:
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.train(train)


def _replace(parent: nn.Module, kind: type[nn.Module], made_of: Callable[[Any], nn.Module]) -> None:
    for name, child in list(parent.named_children()):
        if isinstance(child, kind):
            setattr(parent, name, made_of(child))
        else:
            _replace(child, kind, made_of)
