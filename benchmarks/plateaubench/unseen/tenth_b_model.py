"""Faults of `tenth_b` in the network and its evaluation. Each says where it was seen.

Shape legend: B batch, N images, C/H/W map, D embedding dim.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.backbones import convolutions_and_norms
from benchmarks.plateaubench.experiment import Experiment
from unplateau.models.classifiers import LinearClassifier
from unplateau.optim.build import build_optimizers

_SCALE, _MARGIN = 64.0, 0.35  # of CosFace (Wang et al. 2018)


def input_goes_on_for_output(experiment: Experiment) -> None:
    """`out = layer(x)`, and the next line goes on with `x`: layers that keep the shape are computed and never used.

    Seen at https://github.com/shaohua0116/Multiview2Novelview/issues/11 and https://github.com/state-spaces/s4/pull/30
    """
    for layer in convolutions_and_norms(experiment.model.backbone):
        if isinstance(layer, nn.Conv2d) and layer.in_channels == layer.out_channels:
            layer.register_forward_hook(lambda module, inputs, output: inputs[0] if inputs[0].shape == output.shape else output)


def softmax_in_the_layer_before(experiment: Experiment) -> None:
    """The layer before the last one has the activation of the last one: features are a softmax.

    Seen at https://github.com/ubclaunchpad/minutes/issues/133
    """
    planting.change_output(experiment.model.head.pooling, lambda output_BD: output_BD.softmax(1))


def one_norm_for_several_layers(experiment: Experiment) -> None:
    """`[norm] * n`: layers of one width share a norm, so that its running statistics are those of none of them.

    Seen at https://github.com/yassouali/pytorch-segmentation/pull/159 and https://github.com/zalandoresearch/pytorch-vq-vae/issues/2
    """
    first: dict[int, nn.Module] = {}
    for parent in list(experiment.model.backbone.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, first.setdefault(child.num_features, child))
    experiment.optimizers = build_optimizers(experiment.config, experiment.model, experiment.losses)


def instance_norm_of_one_place(experiment: Experiment) -> None:
    """Instance normalisation stands behind the pooling, where a map is one place: a number less itself is 0.

    Seen at https://github.com/pytorch/pytorch/issues/45687
    """

    def normalised(output_BD: Tensor) -> Tensor:
        maps_BCHW = output_BD[:, :, None, None]
        centred_BCHW = maps_BCHW - maps_BCHW.mean((2, 3), keepdim=True)
        return (centred_BCHW / (centred_BCHW.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()).flatten(1)

    planting.change_output(experiment.model.head.pooling, normalised)


def first_of_the_means(experiment: Experiment) -> None:
    """`torch.mean(maps, dim)[0]`, from a library whose mean gave a pair: one number is left of all channels.

    Seen at https://github.com/traveller59/spconv/pull/722
    """
    planting.change_output(experiment.model.head.pooling, lambda output_BD: output_BD[:, :1].expand_as(output_BD).contiguous())


def filters_never_filled(experiment: Experiment) -> None:
    """Layers that no filler was given for begin as zeros, as they do in Caffe: all that follows is 0, and stays so.

    Seen at https://github.com/longjon/caffe/issues/3
    """
    layers = [layer for layer in convolutions_and_norms(experiment.model.backbone) if isinstance(layer, nn.Conv2d)]
    for layer in layers[len(layers) // 2 :]:
        nn.init.zeros_(layer.weight)


def places_for_values(experiment: Experiment) -> None:
    """`maps.flatten(2).max(2)` gives (values, places), and the pooling goes on with the places: they have no gradient.

    From experience.
    """
    experiment.model.head.pooling.register_forward_hook(
        lambda module, inputs, output: inputs[0].flatten(2).max(2).indices.type_as(inputs[0])
    )


def blocks_counted_as_places(experiment: Experiment) -> None:
    """DropBlock draws the middles of its blocks as often as places are to be dropped, and does not divide by a block's size.

    Seen at https://github.com/miguelvr/dropblock/pull/12
    """

    def drop(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not module.training:
            return output
        middles_B1HW = (torch.rand(len(output), 1, *output.shape[2:]) < 0.1).float()
        kept_B1HW = 1 - F.max_pool2d(middles_B1HW, 3, stride=1, padding=1)
        return output * kept_B1HW * kept_B1HW.numel() / kept_B1HW.sum().clamp(min=1)

    for norm in planting.norms(experiment)[-1:]:
        norm.register_forward_hook(drop)


class _ScaledProducts(LinearClassifier):
    """Products of features and weights, times the scale of a cosine classifier, less its margin for the true person."""

    def forward(self, embeddings_BD: Tensor, person_ids_B: Tensor | None) -> Tensor:
        products_BI = super().forward(embeddings_BD, person_ids_B)
        if person_ids_B is not None:
            products_BI = products_BI - _MARGIN * F.one_hot(person_ids_B, products_BI.shape[1])
        return _SCALE * products_BI


def cosines_without_unit_lengths(experiment: Experiment) -> None:
    """CosFace whose author forgot to bring features and weights to unit length: the scale of 64 is that of cosines.

    From experience.
    """
    model = experiment.model
    model.head.classifier = _ScaledProducts(model.embedding_dim, experiment.num_identities)
    experiment.optimizers = build_optimizers(experiment.config, model, experiment.losses)


def gallery_made_of_the_queries(experiment: Experiment) -> None:
    """`y = normalize(x)` where `normalize(y)` is meant: block by block, queries are ranked among themselves.

    Seen at https://github.com/qdrant/quaterion/issues/81
    """

    def scores(query_QD: np.ndarray, gallery_GD: np.ndarray) -> np.ndarray:
        unit_QD = query_QD / np.linalg.norm(query_QD, axis=1, keepdims=True)
        return (unit_QD @ unit_QD.T)[:, np.arange(len(gallery_GD)) % len(query_QD)]

    planting.rank_by(experiment, scores)


def order_taken_for_ranks(experiment: Experiment) -> None:
    """`argsort` gives which image is first, second and so on; its numbers are read as the place of the first, second and so on.

    From experience.
    """

    def scores(query_QD: np.ndarray, gallery_GD: np.ndarray) -> np.ndarray:
        unit_QD, unit_GD = (values / np.linalg.norm(values, axis=1, keepdims=True) for values in (query_QD, gallery_GD))
        return -np.argsort(-unit_QD @ unit_GD.T, axis=1)

    planting.rank_by(experiment, scores)
