"""Bugs of losses and samplers for `thirteenth_b`, each as the thread at its address tells it.

Shape legend: B batch, D embedding dim, I identities, K images of a person in a batch, S steps of an epoch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment
from benchmarks.plateaubench.planting import Inject
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.losses.terms import Term

_Value = Callable[[Tensor, Tensor, Tensor], Tensor]
_MARGIN = 0.3
_REMEMBERED = 256  # features of earlier batches
_FAR = 1e6  # stands where a pair is not to be chosen


def loss_is(name: str, value: _Value) -> Inject:
    """Another function of (features_BD, logits_BI, person_ids_B) stands in a loss's place."""
    return lambda experiment: planting.change_loss(experiment, name, value)


def metric_loss_by_view(experiment: Experiment) -> None:
    """Loss falls, features stay poor: first views lie before second ones, the pairs' indices expect them side by side.

    https://github.com/open-mmlab/mmselfsup/issues/159
    """
    each = experiment.config.DATALOADER.NUM_INSTANCE
    term = experiment.losses.terms["triplet"]

    def by_view(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        order_B = torch.arange(len(inputs[0])).view(-1, each).T.flatten()
        return inputs[0][order_B], *inputs[1:]

    term.register_forward_pre_hook(by_view)


def last_piece_for_all(pieces: int) -> Inject:
    """A "+" is missing in the loop over parts: each loss overwrites the one before, then all is divided by their number.

    https://github.com/facebookresearch/VICRegL/issues/6
    """

    def step(parts: Parts, batch: Batch) -> StepTerms:
        outputs = parts.network(batch.images_BCHW, person_ids_B=batch.person_ids_B)
        rows = slice(-(len(batch.person_ids_B) // pieces), None)
        terms = parts.losses(outputs.features_BD[rows], outputs.logits_BI[rows], batch.person_ids_B[rows])
        shares = {name: part / pieces for name, part in terms.parts.items()}
        return planting.update(parts, replace(terms, total=terms.total / pieces, parts=shares))

    def inject(experiment: Experiment) -> None:
        experiment.step = step

    return inject


def logits_a_place_ahead(experiment: Experiment) -> None:
    """Loss is high and does not fall: outputs from the second place on are compared with targets from the first on.

    https://github.com/DeepOpt-com/WrinkleFree-Monorepo/issues/13
    """
    term = experiment.losses.terms["cross_entropy"]
    term.register_forward_pre_hook(lambda module, inputs: (inputs[0][1:], inputs[1][1:], inputs[2][:-1]))


def mined_rows_not_shifted(experiment: Experiment) -> None:
    """Pairs are mined in a memory of features; their row numbers are then looked up in (batch, memory), without a shift.

    https://github.com/KevinMusgrave/pytorch-metric-learning/pull/93
    """

    def value(module: nn.Module, inputs: tuple[Tensor, ...], term: Term) -> Term:
        features_BD, _, ids_B = inputs
        kept_MD, kept_M = getattr(module, "kept", (features_BD.detach()[:0], ids_B[:0]))
        module.kept = (torch.cat([features_BD.detach(), kept_MD])[:_REMEMBERED], torch.cat([ids_B, kept_M])[:_REMEMBERED])
        if not len(kept_M):
            return term
        same_BM, distances_BM = ids_B[:, None] == kept_M, torch.cdist(features_BD.detach(), kept_MD)
        rows_2B = (distances_BM - _FAR * ~same_BM).argmax(1), (distances_BM + _FAR * same_BM).argmin(1)
        found_BD, other_BD = (torch.cat([features_BD, kept_MD])[rows_B] for rows_B in rows_2B)
        excess_B = (features_BD - found_BD).norm(dim=1) - (features_BD - other_BD).norm(dim=1) + _MARGIN
        return replace(term, value=F.relu(excess_B[same_BM.any(1)]).sum() / len(ids_B))

    experiment.losses.terms["triplet"].register_forward_hook(value)


def opposite_pairs(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
    """Accuracy gets worse while the loss falls: the contrastive loss takes 1 for "different", the labels say 1 for "same".

    https://github.com/keras-team/keras/issues/4980
    """
    distances_BB, same_BB = _distances(features_BD), ids_B[:, None] == ids_B
    return torch.where(same_BB, F.relu(1 - distances_BB).square(), distances_BB.square()).mean()


def masks_with_an_axis_more(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
    """Loss stays at the margin: labels arrive as a column, so that every mask has an axis more and broadcasts wrongly.

    https://github.com/omoindrot/tensorflow-triplet-loss/issues/18
    """
    distances_BB, same_BB = _distances(features_BD), ids_B[:, None] == ids_B
    others_BB = ~torch.eye(len(ids_B), dtype=torch.bool)
    farthest_BB = (same_BB[:, :, None] & others_BB).mul(distances_BB).amax(1)
    nearest_BB = (distances_BB + distances_BB.amax(1, keepdim=True) * same_BB[:, :, None]).amin(1)
    return F.relu(farthest_BB - nearest_BB + _MARGIN).mean()


def logits_as_probabilities(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
    """The model does not converge: the constructor's `from_logits=True` is forgotten, logits are cut to (0, 1) and logged.

    https://github.com/SciSharp/TensorFlow.NET/pull/987
    """
    return F.cross_entropy(logits_BI.clamp(1e-7, 1 - 1e-7).log(), ids_B, label_smoothing=0.1)


def sigmoid_twice(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
    """Scores never go below 0.5: a sigmoid is taken before a loss with logits, which takes it again.

    https://github.com/itakurah/focal-loss-pytorch/pull/5
    """
    true_BI = F.one_hot(ids_B, logits_BI.shape[1]).float()
    again_BI = logits_BI.sigmoid()
    fails_BI = torch.where(true_BI > 0, 1 - again_BI, again_BI)
    losses_BI = F.binary_cross_entropy_with_logits(again_BI, true_BI, reduction="none")
    return (fails_BI.square() * losses_BI).sum(1).mean()


def triplets_summed(experiment: Experiment) -> None:
    """The loss grows with the batch: it is summed over the batch instead of averaged.

    https://github.com/faustomilletari/VNet/issues/13
    """

    def summed(module: nn.Module, inputs: tuple[Tensor, ...], term: Term) -> Term:
        return replace(term, value=term.value * len(inputs[0]))

    experiment.losses.terms["triplet"].register_forward_hook(summed)


def averaged_over_classes_too(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
    """The loss is many times too small: a divergence is averaged over the classes, where it has to be summed.

    https://github.com/HikariTJU/LD/issues/74
    """
    return F.cross_entropy(logits_BI, ids_B, label_smoothing=0.1) / logits_BI.shape[1]


def softmax_over_the_batch(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
    """Learning is poor with batches: the last layer's softmax is over dim 0.

    https://github.com/DeepReinforcementLearning/DeepReinforcementLearningInAction/issues/32
    """
    return F.nll_loss(logits_BI.log_softmax(0), ids_B)


def negatives_of_anybody(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
    """Negatives are drawn from the whole batch, so that some are of the anchor's own class.

    https://github.com/apache/mxnet/issues/10950
    """
    distances_BB, same_BB = _distances(features_BD), ids_B[:, None] == ids_B
    shifts_B = torch.randint(1, len(ids_B), (len(ids_B),))
    drawn_B = (torch.arange(len(ids_B)) + shifts_B) % len(ids_B)
    farthest_B = distances_BB.masked_fill(~same_BB, 0).amax(1)
    return F.relu(farthest_B - distances_BB.gather(1, drawn_B[:, None])[:, 0] + _MARGIN).mean()


def mined_once(experiment: Experiment) -> None:
    """Hard negatives are read from a cache: those that the first model found are used to the end.

    https://github.com/kingsaint/BioMedical-EL/issues/5
    """
    first = copy.deepcopy(experiment.model).eval().requires_grad_(False)

    def extra(parts: Parts, batch: Batch) -> tuple[Tensor, Tensor]:
        distances_BB = _distances(first(batch.images_BCHW).features_BD)
        same_BB = batch.person_ids_B[:, None] == batch.person_ids_B
        return (distances_BB - _FAR * ~same_BB).argmax(1), (distances_BB + _FAR * same_BB).argmin(1)

    def step(parts: Parts, batch: Batch) -> StepTerms:
        outputs = parts.network(batch.images_BCHW, person_ids_B=batch.person_ids_B)
        terms = parts.losses(outputs.features_BD, outputs.logits_BI, batch.person_ids_B)
        towards_BD, away_BD = (outputs.features_BD - outputs.features_BD[rows_B] for rows_B in extra(parts, batch))
        value = F.relu(towards_BD.norm(dim=1) - away_BD.norm(dim=1) + _MARGIN).mean()
        total = terms.parts["cross_entropy"] + value
        return planting.update(parts, replace(terms, total=total, parts={**terms.parts, "triplet": value}))

    experiment.step = step


def positives_among_negatives(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
    """Missing negatives are drawn from (anchor, positive, negatives) with an offset of 1: the positive is among them, twice.

    https://github.com/modelscope/ms-swift/pull/10068
    """
    unit_BD, size = F.normalize(features_BD, dim=1), len(ids_B)
    same_BB = (ids_B[:, None] == ids_B) & ~torch.eye(size, dtype=torch.bool)
    positives_B = same_BB.float().argmax(1)
    negatives_B = (torch.arange(size) + size // 2) % size
    alike_B2 = torch.stack([(unit_BD * unit_BD[rows_B]).sum(1) for rows_B in (positives_B, negatives_B)], 1) / 0.1
    scores_B4 = torch.cat([alike_B2, alike_B2[:, :1], alike_B2[:, :1]], 1)
    return F.cross_entropy(scores_B4, torch.zeros(size, dtype=torch.long))


def one_weight_per_class(experiment: Experiment) -> None:
    """Only the first images are ever drawn: the weighted sampler is given a weight for each class, not for each sample.

    https://github.com/deep-voice/soundbay/pull/49
    """
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        generator = np.random.default_rng((experiment.config.SEED, epoch))
        return generator.integers(0, len(np.unique(experiment.labels_N)), usual(experiment, epoch).shape)

    experiment.plan = plan


def oversampled_not_shuffled(experiment: Experiment) -> None:
    """Training is worse with oversampling: what it returns lies in the order of the list, and nothing shuffles it.

    https://github.com/IndicoDataSolutions/finetune/pull/199
    """
    usual = experiment.plan

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        shape_SB = usual(experiment, epoch).shape
        return np.resize(np.arange(len(experiment.train)), shape_SB)

    experiment.plan = plan


def _distances(features_BD: Tensor) -> Tensor:
    return (features_BD[:, None] - features_BD).square().sum(2).clamp(min=1e-12).sqrt()
