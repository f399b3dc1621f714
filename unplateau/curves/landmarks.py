"""Values that a flat loss can have, in closed form, and what each of them says about the training.

Pure arithmetic on the number of identities and the shape of the head. Judging a curve against these values: `diagnosis`.
Natural logarithms throughout; every cross-entropy is in nats, a mean over images.
"""

from __future__ import annotations

import math
from typing import NamedTuple

_SUREST = 0.999  # a classifier that is never wrong on a log still has some loss
SOFT_MARGIN_COLLAPSE = math.log(2)  # log(1 + exp(0)): Hermans 2017, section 2, soft margin with d_ap = d_an


class Start(NamedTuple):
    """Cross-entropy before anything is learned."""

    mean: float
    """Expectation over initialisations."""
    spread: float
    """Standard deviation, from one initialisation to the next, of the mean over an epoch (an upper bound)."""


class Head(NamedTuple):
    """Initialisation of a classifier on a batch-normalised feature, as a published trainer ships it."""

    trainer: str
    feature_dim: int
    initial_std: float


KNOWN_HEADS = (  # read off the trainers' own sources: head of the default recipe
    Head("fast-reid", 2048, 0.01),
    Head("reid-strong-baseline", 2048, 0.001),
    Head("TransReID", 768, 0.001),
    Head("CLIP-ReID", 768, 0.001),
    Head("SOLIDER", 1024, 0.001),
)

PUBLISHED_IDENTITIES = (  # training identities of the published splits, the most used first
    ("Market-1501", 751),  # Zheng et al. 2015
    ("DukeMTMC-reID", 702),  # Zheng et al. 2017
    ("MSMT17", 1041),  # Wei et al. 2018
    ("CUHK03, new protocol", 767),  # Zhong et al. 2017
    ("CUHK03, old protocol", 1367),  # Li et al. 2014
    ("VeRi-776", 576),  # Liu et al. 2016; some releases have 575, which no curve can tell apart
    ("VehicleID", 13_164),  # Liu et al. 2016
)


def cross_entropy_at_start(num_identities: int, feature_dim: int, initial_std: float) -> Start:
    """Return the cross-entropy of an untrained linear classifier N(0, initial_std²) on a batch-normalised feature.

    A batch-normalised feature has a squared length of about `feature_dim`, so the logits are N(0, s²) with
    s² = feature_dim · initial_std², and E[log-sum-exp] = ln I + s²/2 for many identities. Label smoothing does not change it.
    Flat there for epochs means that nothing has been learned.

    Args:
        num_identities: training identities I, at least 1.
        feature_dim: dimension of the classifier's input.
        initial_std: standard deviation of the classifier's initial weights.

    Returns:
        (mean, spread): spread is s/√I, reached when all images of an identity share one feature.

    >>> [round(value, 3) for value in cross_entropy_at_start(751, 2048, 0.01)]
    [6.724, 0.017]
    >>> round(cross_entropy_at_start(751, 2048, 0.001).mean, 3)
    6.622
    >>> round(cross_entropy_at_start(150, 128, 0.01).mean, 3)
    5.017
    """
    logit_std = initial_std * math.sqrt(feature_dim)
    return Start(math.log(num_identities) + logit_std**2 / 2, logit_std / math.sqrt(num_identities))


def default_linear_std(feature_dim: int) -> float:
    """Return the standard deviation of PyTorch's default `nn.Linear` weights, uniform on ±1/√feature_dim.

    >>> round(cross_entropy_at_start(751, 2048, default_linear_std(2048)).mean, 3)
    6.788
    """
    return 1 / math.sqrt(3 * feature_dim)


def uniform_cross_entropy(num_identities: int) -> float:
    """Return ln I, the cross-entropy of giving every identity the same probability.

    >>> round(uniform_cross_entropy(751), 3)
    6.621
    """
    return math.log(num_identities)


def gap_floor(num_identities: int, largest_gap: float, *, label_smoothing: float = 0.0) -> float:
    """Return the lowest cross-entropy when the right logit can exceed the others by `largest_gap` at most.

    With smoothing eps the loss at gap g is ln(1 + (I-1) e^-g) + eps (I-1)/I g, which is convex in g with its minimum
    where the right identity has probability 1 - eps + eps/I.

    >>> round(gap_floor(751, float("inf"), label_smoothing=0.1), 3)
    0.986
    """
    others = num_identities - 1
    if others < 1:
        return 0.0
    cost_of_gap = label_smoothing * others / num_identities
    gap = min(largest_gap, _best_gap(num_identities, label_smoothing))
    if math.isinf(gap):
        return 0.0
    return math.log1p(others * math.exp(-gap)) + cost_of_gap * gap


def label_smoothing_floor(num_identities: int, label_smoothing: float) -> float:
    """Return the cross-entropy of a perfect classifier under label smoothing: there it is finished, not stuck.

    It is the entropy of the smoothed label, -p ln p - (I-1)(eps/I) ln(eps/I) with p = 1 - eps + eps/I (Szegedy 2016, eq. 2).

    >>> round(label_smoothing_floor(751, 0.1), 3), round(label_smoothing_floor(751, 0.3), 2)
    (0.986, 2.59)
    >>> label_smoothing_floor(751, 0.0)
    0.0
    """
    return gap_floor(num_identities, math.inf, label_smoothing=label_smoothing)


def cross_entropy_of_accuracy(num_identities: int, accuracy: float, *, label_smoothing: float = 0.0) -> float:
    """Return the cross-entropy of a classifier that is right so often, is as sure as that, and knows nothing beyond.

    It gives `accuracy` to its first guess and shares the rest evenly, which is the highest entropy at this accuracy; a classifier
    that knows more has less.

    >>> round(cross_entropy_of_accuracy(751, 0.9), 2), round(cross_entropy_of_accuracy(751, 1 / 751), 2)
    (0.99, 6.62)
    """
    sure = min(max(accuracy, 1 / num_identities), _SUREST)
    first, other = math.log(sure), math.log((1 - sure) / (num_identities - 1))
    sharp = -sure * first - (1 - sure) * other
    spread = -(first + (num_identities - 1) * other) / num_identities
    return (1 - label_smoothing) * sharp + label_smoothing * spread


def softmax_twice_floor(num_identities: int, *, label_smoothing: float = 0.0) -> float:
    """Return the lowest cross-entropy when softmax is applied before a loss that applies it again: logits lie in [0, 1].

    >>> round(softmax_twice_floor(751), 2)
    5.62
    """
    return gap_floor(num_identities, 1.0, label_smoothing=label_smoothing)


def cosine_floor(num_identities: int, scale: float = 1.0, *, label_smoothing: float = 0.0) -> float:
    """Return the lowest cross-entropy of cosine logits times `scale` (Wang 2017, NormFace, proposition 2).

    The best arrangement is a simplex: cosine 1 to the own prototype and -1/(I-1) to every other.

    >>> round(cosine_floor(751), 3), round(cosine_floor(751, 30.0), 6)
    (5.622, 0.0)
    """
    simplex_gap = scale * num_identities / max(num_identities - 1, 1)
    return gap_floor(num_identities, simplex_gap, label_smoothing=label_smoothing)


def triplet_when_collapsed(margin: float) -> float:
    """Return the triplet loss when all embeddings are one point; margin 0 means the soft margin.

    >>> triplet_when_collapsed(0.3), round(triplet_when_collapsed(0), 3)
    (0.3, 0.693)
    """
    return margin if margin > 0 else SOFT_MARGIN_COLLAPSE


def contrastive_chance(batch_size: int) -> float:
    """Return ln B, the contrastive (InfoNCE) loss of features that say nothing.

    >>> round(contrastive_chance(64), 3)
    4.159
    """
    return math.log(batch_size)


def _best_gap(num_identities: int, label_smoothing: float) -> float:
    if label_smoothing <= 0:
        return math.inf
    wrong = label_smoothing / num_identities
    return math.log((1 - label_smoothing + wrong) / wrong)
