"""Faults of `eleventh_b` in the network and its evaluation. Each says where it was seen.

Shape legend: B batch, Q queries that have a right answer, C/H/W image or map, D embedding dim.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.backbones import convolutions_and_norms
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.items import Item
from unplateau.evaluation.embedded import Embedded
from unplateau.evaluation.extract import extract
from unplateau.evaluation.matches import find_matches
from unplateau.evaluation.ranking import Retrieval, retrieve
from unplateau.models.classifiers import CosineClassifier
from unplateau.optim.build import build_optimizers

_DROPPED = 0.2  # as meant; taken for what is kept


def share_of_an_integer_division(experiment: Experiment) -> None:
    """The average precision adds up shares of `1 / ngood`, of whole numbers: 0 where a query has more than one right answer.

    Seen at https://github.com/layumi/Person_reID_baseline_pytorch/issues/4
    """
    evaluator = experiment.evaluator

    def score(experiment: Experiment) -> Retrieval:
        query, gallery = evaluator.embed(experiment, evaluator.query), evaluator.embed(experiment, evaluator.gallery)
        right = retrieve(query, gallery, protocol="held-out", dataset=evaluator.query[0].dataset)
        num_good_Q = find_matches(query, gallery).num_positives_Q[right.query_rows_Q]
        precision_Q = right.average_precision_Q * num_good_Q * (1 // num_good_Q)
        return replace(right, metrics=replace(right.metrics, mAP=float(precision_Q.mean())), average_precision_Q=precision_Q)

    evaluator.score = score  # type: ignore[method-assign]


def scored_image_by_image_in_training_mode(experiment: Experiment) -> None:
    """`model.eval()` is never called, and images come one at a time: each is normalised by its own statistics.

    The neck takes all images at once, since it refuses a batch of one. Seen at https://github.com/huyvnphan/PyTorch_CIFAR10/issues/4
    """
    evaluator = experiment.evaluator

    def embed(experiment: Experiment, items: tuple[Item, ...]) -> Embedded:
        model = evaluator.model_of(experiment)

        def one_by_one(images_BCHW: Tensor, camera_ids_B: Tensor) -> Tensor:
            maps_BCHW = torch.cat([model.backbone_output(image_1CHW) for image_1CHW in images_BCHW.split(1)])
            return model.head_outputs(maps_BCHW).embeddings_BD

        was_training = model.training
        model.train()
        images_BCHW = evaluator.transform(experiment.pictures.of(items), torch.Generator().manual_seed(0))
        persons_B, cameras_B = torch.tensor([(item.person_id, item.camera_id) for item in items]).unbind(1)
        embedded = extract(one_by_one, [(images_BCHW, persons_B, cameras_B)])
        model.train(was_training)
        return embedded

    evaluator.embed = embed  # type: ignore[method-assign]


def last_layer_made_like_the_others(experiment: Experiment) -> None:
    """A helper makes a layer and its rectifier, and the last layer is made by it too: no logit is below 0.

    Seen at https://github.com/martinwicke/tf-dev-summit-tensorboard-tutorial/issues/3
    """
    planting.change_logits(experiment, F.relu)


def last_layer_counted_one_too_far(experiment: Experiment) -> None:
    """The index of the last layer is one too large, so that it too has its activation, a sigmoid: logits lie between 0 and 1.

    Seen at https://github.com/NVIDIA/DeepRecommender/pull/4
    """
    planting.change_logits(experiment, torch.sigmoid)


def functional_dropout_without_its_flag(experiment: Experiment) -> None:
    """`F.dropout(x, p=0.5)` without `training=self.training`: it also drops where images are embedded to be ranked.

    Seen at https://github.com/delip/PyTorchNLPBook/issues/28 and https://github.com/rixwew/pytorch-fm/issues/21
    """
    planting.change_output(experiment.model.head.neck, lambda output_BD: F.dropout(output_BD, p=0.5))


def cosines_where_scaled_ones_are_computed(experiment: Experiment) -> None:
    """ArcFace computes `output = s * ...` and then takes the cross-entropy of `cosine`: neither scale nor margin is used.

    Seen at https://github.com/MccreeZhao/FR-Loss-on-Mnist/issues/2
    """
    model = experiment.model
    model.head.classifier = CosineClassifier(
        model.embedding_dim, experiment.num_identities, kind="CosineLinear", scale=1.0, margin=0.0
    )
    experiment.optimizers = build_optimizers(experiment.config, model, experiment.losses)


def share_dropped_given_for_the_share_kept(experiment: Experiment) -> None:
    """A dropout that takes the share to keep is given the share to drop, behind every convolution: 0.2 is kept.

    Seen at https://github.com/pudae/tensorflow-densenet/pull/22 and https://github.com/hunkim/DeepLearningZeroToAll/issues/204
    """

    def drop(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return F.dropout(output, 1 - _DROPPED, module.training)

    for layer in convolutions_and_norms(experiment.model.backbone):
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(drop)


def zero_meant_for_the_biases(experiment: Experiment) -> None:
    """`constant_(m.weight, 1)`, and then, copied for the bias and not changed, `constant_(m.weight, 0)`: norms give 0.

    Seen at https://github.com/kazuto1011/deeplab-pytorch/issues/44
    """
    for norm in planting.norms(experiment):
        nn.init.zeros_(norm.weight)
