"""Sampler and losses of the twelfth file, part b: each function plants what a thread describes; its address stands beside it.

Shape legend: B batch, D embedding dim, I identities, G people of a batch, K images of each, M memory.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.plateaubench import planting
from benchmarks.plateaubench.experiment import Experiment, sampler
from unplateau.losses.center import CenterLoss
from unplateau.losses.terms import Term

_TEMPERATURE = 0.1
_SIZE = 4096  # entries of a memory


def targets_clamped_at_the_smoothing(experiment: Experiment) -> None:
    """Targets of a focal loss are clamped between the smoothing and 1 less it. https://github.com/Hsuxu/Loss_ToolBox-PyTorch/issues/4"""
    smoothing = experiment.config.MODEL.LOSSES.CE.EPSILON

    def value(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
        target_BI = F.one_hot(ids_B, logits_BI.shape[1]).float().clamp(smoothing, 1 - smoothing)
        chance_B = (target_BI * logits_BI.softmax(1)).sum(1) + smoothing
        return -((1 - chance_B).square() * chance_B.log()).mean()

    planting.change_loss(experiment, "cross_entropy", value)


def centres_in_no_optimiser(experiment: Experiment) -> None:
    """The random centres of a centre loss were not given to an optimiser. https://github.com/KaiyangZhou/pytorch-center-loss/issues/22"""
    term = CenterLoss(num_identities=experiment.num_identities, feature_dim=experiment.model.feature_dim)
    nn.init.normal_(term.centers_ID, generator=torch.Generator().manual_seed(22))
    experiment.losses.terms["center"] = term
    experiment.losses.scales["center"] = 1.0


def one_plan_for_all_epochs(experiment: Experiment) -> None:
    """The sampler is not told the epoch. https://github.com/foundation-model-stack/foundation-model-stack/pull/111"""
    usual = experiment.plan
    experiment.plan = lambda experiment, epoch: usual(experiment, 1)


def mean_over_positives_of_anchors_with_none(experiment: Experiment) -> None:
    """A mean over the positives of images that have none in the batch: 0 / 0. https://github.com/HobbitLong/SupContrast/pull/142"""
    experiment.plan = sampler("TrainingSampler")

    def value(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
        alike_BB = F.normalize(features_BD) @ F.normalize(features_BD).T / 0.07
        itself_BB = torch.eye(len(alike_BB))
        positive_BB = (ids_B[:, None] == ids_B).float() - itself_BB
        likely_BB = alike_BB - alike_BB.masked_fill(itself_BB.bool(), -torch.inf).logsumexp(1, keepdim=True)
        return -((positive_BB * likely_BB).sum(1) / positive_BB.sum(1)).mean()

    planting.change_loss(experiment, "triplet", value)


def focal_loss_of_each_identity_apart(experiment: Experiment) -> None:
    """The focal loss for many classes calls the one for yes and no, class by class. https://github.com/BloodAxe/pytorch-toolbelt/issues/78"""

    def value(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
        target_BI = F.one_hot(ids_B, logits_BI.shape[1]).float()
        apart_BI = F.binary_cross_entropy_with_logits(logits_BI, target_BI, reduction="none")
        return (0.5 * (1 - torch.exp(-apart_BI)).square() * apart_BI).mean(0).sum()

    planting.change_loss(experiment, "cross_entropy", value)


def model_ends_with_softmax(experiment: Experiment) -> None:
    """The network gives probabilities and the loss takes them for logits. https://github.com/runame/laplace-redux/pull/1"""
    planting.change_logits(experiment, lambda logits_BI: logits_BI.softmax(1))


def memory_keeps_its_random_lengths(experiment: Experiment) -> None:
    """The result of scaling a random memory to length 1 is not assigned. https://github.com/lightly-ai/lightly/pull/1009"""
    term = experiment.losses.terms["triplet"]
    start_MD = torch.randn(_SIZE, experiment.model.feature_dim, generator=torch.Generator().manual_seed(9))
    term.register_buffer("memory_MD", start_MD)
    term.register_buffer("written", torch.zeros(1, dtype=torch.long))

    def contrast(module: nn.Module, inputs: tuple[Tensor, ...], term: Term) -> Term:
        memory_MD, written = module.get_buffer("memory_MD"), module.get_buffer("written")
        unit_BD = F.normalize(inputs[0])
        others_BM = unit_BD @ memory_MD.clone().T
        if torch.is_grad_enabled():
            memory_MD[(written + torch.arange(len(unit_BD))) % _SIZE] = unit_BD.detach()
            written += len(unit_BD)
        return replace(term, value=_info_nce(_to_the_next(unit_BD, inputs[2]), others_BM / _TEMPERATURE))

    term.register_forward_hook(contrast)


def temperature_for_negatives_only(experiment: Experiment) -> None:
    """The temperature divides the negatives of InfoNCE and not its positive. https://github.com/RElbers/info-nce-pytorch/pull/17"""

    def value(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
        unit_BD = F.normalize(features_BD)
        others_BB = (unit_BD @ unit_BD.T / _TEMPERATURE).masked_fill(ids_B[:, None] == ids_B, -torch.inf)
        return _info_nce(_to_the_next(unit_BD, ids_B), others_BB, temperature=1.0)

    planting.change_loss(experiment, "triplet", value)


def contrast_of_raw_embeddings(experiment: Experiment) -> None:
    """The logits of a contrastive loss are products of embeddings of any length. https://github.com/Zasder3/train-CLIP/pull/3"""

    def value(features_BD: Tensor, logits_BI: Tensor, ids_B: Tensor) -> Tensor:
        first_GD, second_GD = _by_person(features_BD, ids_B)[:, :2].unbind(1)
        logits_GG = first_GD @ second_GD.T / 0.07
        target_G = torch.arange(len(logits_GG))
        return (F.cross_entropy(logits_GG, target_G) + F.cross_entropy(logits_GG.T, target_G)) / 2

    planting.change_loss(experiment, "triplet", value)


def one_length_for_the_whole_batch(experiment: Experiment) -> None:
    """Cosines are products over the length of the whole batch. https://github.com/MichalBortkiewicz/JaxGCRL/pull/64"""
    classifier = experiment.model.head.classifier
    assert classifier is not None
    classifier.register_forward_hook(
        lambda module, inputs, logits_BI: F.linear(inputs[0] / inputs[0].norm(), module.weight / module.weight.norm())
    )


def second_loss_as_a_plain_number(experiment: Experiment) -> None:
    """One loss is detached, and kept as a number, before it is added. https://github.com/guopengf/FL-MRCM/issues/10"""
    term = experiment.losses.terms["triplet"]
    term.register_forward_hook(lambda module, inputs, term: replace(term, value=term.value.detach()))


def _by_person(features_BD: Tensor, ids_B: Tensor) -> Tensor:
    """Return the images of each person of a PK batch together, (G, K, D)."""
    people = len(ids_B.unique())
    return features_BD[ids_B.argsort(stable=True)].view(people, len(ids_B) // people, -1)


def _to_the_next(unit_BD: Tensor, ids_B: Tensor) -> Tensor:
    """Return each image's cosine to the next image of its person."""
    order_B = ids_B.argsort(stable=True)
    next_GKD = _by_person(unit_BD, ids_B).roll(1, dims=1)
    return (unit_BD * next_GKD.flatten(0, 1)[order_B.argsort()]).sum(1)


def _info_nce(positive_B: Tensor, negatives_BM: Tensor, *, temperature: float = _TEMPERATURE) -> Tensor:
    """Return InfoNCE of one positive each; the temperature is the positive's, negatives are divided already."""
    positive_B1 = positive_B[:, None] / temperature
    return (torch.cat([positive_B1, negatives_BM], dim=1).logsumexp(1) - positive_B1[:, 0]).mean()
