"""Faults of `eleventh_b` in samplers and losses. Each says where it was seen.

Shape legend: B batch, N training images, D feature dim, I identities, T temperature.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.losses.triplet import TripletLoss
from unplateau.models.reid import Outputs

_SMOOTHING = 0.1  # of the recipe
_TEMPERATURE = 4.0
_CENTRE_WEIGHT = 0.05  # does no harm with the mean of a batch
_LEAST = 1e-7  # to which Keras clips what it takes the logarithm of


def weight_of_the_cross_entropy_left_at_zero(experiment: Experiment) -> None:
    """A triplet loss is asked for where the weight of the cross-entropy beside it is 0 unless it is set: logged, not trained.

    Seen at https://github.com/KaiyangZhou/deep-person-reid/issues/357
    """
    experiment.losses.scales["cross_entropy"] = 0.0


def margin_written_into_the_loss(experiment: Experiment) -> None:
    """The batch-hard loss takes a margin of 0.1 that is written in its code, and not the one that it was given.

    Seen at https://github.com/taylover-pei/SSDG-CVPR2020/issues/2
    """
    triplet = experiment.losses.terms["triplet"]
    assert isinstance(triplet, TripletLoss)
    triplet.margin = 0.1


def triplets_picked_from_an_array(experiment: Experiment) -> None:
    """The chosen triplets are taken from `features.data.numpy()` and made tensors again: they have lost their graph.

    Seen at https://github.com/liorshk/facenet_pytorch/issues/6
    """
    triplet = experiment.losses.terms["triplet"]
    triplet.register_forward_pre_hook(lambda module, inputs: (inputs[0].detach().clone(), *inputs[1:]))


def network_ends_in_a_softmax(experiment: Experiment) -> None:
    """The last layer is a softmax, and the loss takes logits: it applies another.

    Seen at https://github.com/tflearn/tflearn/pull/562 and https://github.com/nfmcclure/tensorflow_cookbook/issues/86
    """
    planting.change_logits(experiment, lambda logits_BI: logits_BI.softmax(1))


def centre_loss_not_divided_by_the_batch(experiment: Experiment) -> None:
    """A centre loss adds up the squared distances of a batch, where its neighbour takes the mean: 32 times its weight.

    Seen at https://github.com/jxgu1016/MNIST_center_loss_pytorch/issues/9
    """
    centres_ID = torch.zeros(experiment.num_identities, experiment.model.feature_dim)
    experiment.model.register_buffer("centres", centres_ID, persistent=False)

    def distance(parts: Parts, batch: Batch, outputs: Outputs) -> Tensor:
        centres_ID = parts.model.get_buffer("centres")
        away_BD = outputs.features_BD - centres_ID[batch.person_ids_B]
        counts_I = torch.bincount(batch.person_ids_B, minlength=len(centres_ID))
        steps_ID = torch.zeros_like(centres_ID).index_add_(0, batch.person_ids_B, away_BD.detach())
        loss = _CENTRE_WEIGHT * away_BD.square().sum() / 2
        centres_ID += 0.5 * steps_ID / (1 + counts_I[:, None])
        return loss

    planting.add_loss(experiment, distance)


def smoothing_adds_a_whole_share(experiment: Experiment) -> None:
    """`(1 - eps) * targets + 1 / I`, where eps / I is meant: most of the target is on the other people.

    Seen at https://github.com/TimDettmers/ConvE/issues/55
    """

    def loss(_: Tensor, logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
        num_identities = logits_BI.shape[1]
        targets_BI = (1 - _SMOOTHING) * F.one_hot(person_ids_B, num_identities) + 1 / num_identities
        return F.cross_entropy(logits_BI, targets_BI)

    planting.change_loss(experiment, "cross_entropy", loss)


def teacher_compared_with_itself(experiment: Experiment) -> None:
    """A loss of soft targets is given the teacher's logits in both places: it is 0, whatever the student says.

    Seen at https://github.com/labmlai/annotated_deep_learning_paper_implementations/issues/66
    """

    def loss(_: Tensor, logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
        teacher_BI = logits_BI.detach() / _TEMPERATURE  # the teacher is the network itself, as in self-distillation
        return F.kl_div(teacher_BI.log_softmax(1), teacher_BI.softmax(1), reduction="batchmean")

    planting.change_loss(experiment, "cross_entropy", loss)


def temperature_without_its_square(experiment: Experiment) -> None:
    """Soft logits, divided by a temperature, and no factor of T * T that makes up for it: the loss is far too weak.

    Seen at https://github.com/IntelLabs/distiller/issues/122
    """

    def loss(_: Tensor, logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
        return F.cross_entropy(logits_BI / _TEMPERATURE, person_ids_B, label_smoothing=_SMOOTHING)

    planting.change_loss(experiment, "cross_entropy", loss)


def divergence_of_probabilities(experiment: Experiment) -> None:
    """`kl_div(softmax(logits), targets)`: the function takes logarithms of probabilities, and is given probabilities.

    Seen at https://github.com/microsoft/ProDA/issues/20
    """

    def loss(_: Tensor, logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
        num_identities = logits_BI.shape[1]
        targets_BI = (1 - _SMOOTHING) * F.one_hot(person_ids_B, num_identities) + _SMOOTHING / num_identities
        return F.kl_div(logits_BI.softmax(1), targets_BI, reduction="batchmean")

    planting.change_loss(experiment, "cross_entropy", loss)


def index_that_is_never_read(experiment: Experiment) -> None:
    """Reading an item leaves its index where it began: whichever is asked for, the first of all is given, image and label.

    Seen at https://github.com/NVIDIA-Genomics-Research/AtacWorks/issues/207
    """
    usual = experiment.plan
    experiment.plan = lambda experiment, epoch: np.zeros_like(usual(experiment, epoch))


def sampler_counts_tracks_and_the_loader_images(experiment: Experiment) -> None:
    """The sampler is given the list of tracks and the loader that of images: the row of a track is read as that of an image.

    Seen at https://github.com/KaiyangZhou/deep-person-reid/issues/48
    """
    usual = experiment.plan
    places = [(int(label), item.camera_id) for label, item in zip(experiment.labels_N, experiment.train, strict=True)]
    tracks = np.array([places.index(place) for place in dict.fromkeys(places)])

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        images_SB = planting.draw_from(experiment, usual, tracks, epoch)
        return np.searchsorted(tracks, images_SB)

    experiment.plan = plan


def logits_taken_for_labels(experiment: Experiment) -> None:
    """A cross-entropy of (labels, logits) is called with (logits, labels): it is a sum of logits and has no least value.

    Seen at https://github.com/isaaccorley/detcon-pytorch/issues/1, which its pull request 2 mends
    """

    def loss(_: Tensor, logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
        labels_BI = F.one_hot(person_ids_B, logits_BI.shape[1]).float()
        return -(logits_BI * labels_BI.log_softmax(1)).sum(1).mean()

    planting.change_loss(experiment, "cross_entropy", loss)


def probabilities_taken_for_labels(experiment: Experiment) -> None:
    """Keras' `categorical_crossentropy(labels, predicted)` with the two exchanged: the clipped logarithm is that of the labels.

    Seen at https://github.com/cleverhans-lab/cleverhans/issues/25
    """

    def loss(_: Tensor, logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
        labels_BI = F.one_hot(person_ids_B, logits_BI.shape[1]).float().clamp(_LEAST, 1 - _LEAST)
        return -(logits_BI.softmax(1) * labels_BI.log()).sum(1).mean()

    planting.change_loss(experiment, "cross_entropy", loss)


def numbers_of_people_with_gaps(experiment: Experiment) -> None:
    """Two numbers of people are never given, so the last ones reach beyond the classifier, which counts the people.

    Seen at https://github.com/open-mmlab/mmtracking/issues/244
    """
    later_N = experiment.labels_N >= experiment.num_identities // 2
    experiment.labels_N = experiment.labels_N + 2 * later_N


def loss_of_the_most_likely_person(experiment: Experiment) -> None:
    """A loss is computed from `logits.argmax(1).float()`, which has no gradient.

    Seen at https://github.com/wonbeomjang/mobile-hair-segmentation-pytorch/issues/3
    """

    def loss(_: Tensor, logits_BI: Tensor, person_ids_B: Tensor) -> Tensor:
        return (logits_BI.argmax(1) != person_ids_B).float().mean()

    planting.change_loss(experiment, "cross_entropy", loss)
