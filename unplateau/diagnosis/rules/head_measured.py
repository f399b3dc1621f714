"""What the forward pass leaves of the signal: logits, embedding, dropout, dead units.

What it is
    Four things that bound what can be learned, measured on a batch: logits that are bare cosines; an
    embedding of a few dimensions; dropout that drops most units; units that are zero for every image.

Why it happens
    Cosine logits without their scale of 16 to 64; a reduction layer of the wrong width; the share to drop taken for the share
    to keep; a rate too high in the first steps or a bad initialisation, which push rectified units below zero for good.

How it was seen
    fast-reid's HEADS.SCALE is 1 by default. Keep and drop are exchanged between TensorFlow 1 and PyTorch.

What to do
    Set the scale to 30; 128 to 2048 embedding dimensions; dropout of at most a half; begin anew with warm-up where units are
    dead.

Source
    Wang 2017 (NormFace), proposition 2; Srivastava et al. 2014 (dropout 0.2 to 0.5); dead units: Stanford CS231n. Thresholds
    ours.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.rules.missing_cosine_scale import is_cosine
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

_SMALL_SCALE = 4.0  # below it the floor is above 1 nat for hundreds of identities
_FEWEST_DIMENSIONS = 16  # 2^16 people could be told apart by signs alone; published embeddings have 128 and more
_MOST_DROPPED = 0.7
_BEYOND, _TOLD_APART = 10.0, 1.0  # times the distance of two people; d'
_MOST_DEAD = 0.5
_ZERO_WEIGHTS = 0.2
_DROPPED = 0.005  # of the units, exactly 0 in one pass alone
_AT_START = "initial weights, "


def judge_logits(case: Case) -> Verdict:
    """Fire where logits are cosines with a scale that bounds the loss far above zero."""
    scale, largest = case.measured("classifier_scale").get(""), case.measured("logit_largest").get("")
    if scale is None or not 0 < scale < _SMALL_SCALE:
        return None
    text = f"every logit is the cosine of embedding and weight times {scale:.3g}; recipes use 16 to 64"
    return Finding(
        code="missing-cosine-scale",
        title="Cosine logits have no scale",
        severity="pipeline",
        confidence=0.95,
        evidence=(Evidence(text, largest, 30.0, "probe classifier_scale"),),
        causes=("missing-cosine-scale",),
        refuted_by="logits that are no cosines: their ratio differs from image to image",
        next_test="set the scale to 30 and look at the first epoch",
        remedies=("restore_cosine_scale",) if is_cosine(case) else ("repair_head",),
    )


def judge_margin(case: Case) -> Verdict:
    """Fire where the margin is far beyond every distance, though features tell people apart."""
    margin, distance, d_prime = case.facts.margin, case.measured("d_negative").get(""), case.measured("d_prime").get("", 0.0)
    if not margin or not case.facts.triplet_weight or not distance or d_prime < _TOLD_APART or margin < _BEYOND * distance:
        return None
    text = f"the margin is {margin:.3g}, people are {distance:.2g} apart"
    return Finding(
        code="margin-wrong",
        title="The triplet margin does not fit the distances",
        severity="optimisation",
        confidence=0.7,
        evidence=(Evidence(text, distance, margin, "probe triplets"),),
        causes=("margin-wrong", "triplet-collapse"),
        refuted_by="distances that grow to the margin within epochs",
        next_test="print mean distances of positives and negatives beside the margin",
        remedies=("restore_margin",),
    )


def judge_dimensions(case: Case) -> Verdict:
    """Fire on an embedding of a few dimensions."""
    size = case.measured("embedding_dim").get("")
    if size is None:
        return None
    if size >= _FEWEST_DIMENSIONS:
        return _judge_rank(case)
    text = f"the embedding has {size:.0f} dimensions"
    return Finding(
        code="embedding-too-small",
        title="The embedding has too few dimensions",
        severity="optimisation",
        confidence=0.9,
        evidence=(Evidence(text, size, 512.0, "probe losses_as_configured"),),
        causes=("embedding-too-small",),
        refuted_by="the same recipe with 256 dimensions that is no better",
        next_test="print the shape of the embeddings that are ranked",
        remedies=("repair_head",) if (case.facts.feature_dim or 0) >= _FEWEST_DIMENSIONS else ("larger_embedding",),
    )


def _judge_rank(case: Case) -> Finding | None:
    """An embedding that has many dimensions by its shape and few by its values, which nevertheless tell people apart."""
    rank, size, d_prime = (case.measured(name).get("") for name in ("feature_rank", "feature_dim", "d_prime"))
    if rank is None or size is None or d_prime is None or rank >= _FEWEST_DIMENSIONS or size < 2 * _FEWEST_DIMENSIONS:
        return None
    if d_prime < _TOLD_APART:
        return None
    text = f"the features have {size:.0f} dimensions, and vary in {rank:.0f} of them"
    return Finding(
        code="embedding-too-small",
        title="The features vary in too few dimensions",
        severity="optimisation",
        confidence=0.7,
        evidence=(Evidence(text, rank, size, "probe features"),),
        causes=("embedding-too-small", "dead-units"),
        refuted_by="features of many images whose singular values fall off slowly",
        next_test="print the shape of what goes into and comes out of the pooling",
        remedies=("repair_head", "reinitialise"),
    )


def judge_dropout(case: Case) -> Verdict:
    """Fire where two passes on one batch differ as much as dropping most units makes them."""
    share = case.measured("dropped_share").get("")
    if share is None or share < _MOST_DROPPED:
        return None
    noise, zeros = case.measured("forward_noise").get("", 0.0), case.measured("zeros_differ").get("")
    is_dropout = (zeros is None or zeros > _DROPPED) and not _is_noise(case)
    text = f"two passes on one batch differ by {noise:.2f} of their mean: as if {share:.0%} of the units were dropped"
    return Finding(
        code="dropout-too-strong",
        title="Dropout leaves too little signal",
        severity="pipeline",
        confidence=0.9 if is_dropout else 0.65,  # noise that is added differs as much, and leaves no zeros
        evidence=(Evidence(text, share, 0.5, "probe forward_noise"),),
        causes=("dropout-too-strong",) if is_dropout else ("dropout-too-strong", "augmentation-too-strong"),
        refuted_by="features that are the same in two passes in training mode",
        next_test="two passes on one batch in training mode with dropout at 0",
        remedies=("less_dropout",),
    )


def _is_noise(case: Case) -> bool:
    """Whether the first output that differs from the configured model's is random without being 0."""
    zeros = case.measured("output_zeros")
    return any(value > _DROPPED and zeros.get(where, 1.0) < _DROPPED for where, value in case.measured("output_random").items())


def judge_zero_weights(case: Case) -> Verdict:
    """Fire where a good part of the weights is exactly 0."""
    share = case.measured("zero_weights").get("")
    if share is None or share < _ZERO_WEIGHTS:
        return None
    text = f"{share:.0%} of the weights of convolutions and linear layers are exactly 0"
    return Finding(
        code="weights-are-zero",
        title="Many weights are exactly 0: pruned, masked or never set",
        severity="pipeline",
        confidence=0.8,
        evidence=(Evidence(text, share, 0.0, "probe dead_units"),),
        causes=("dead-units",),
        refuted_by="a network that is pruned on purpose",
        next_test="look for a mask, a pruning hook or an initialisation with zeros",
        remedies=("reinitialise",),
    )


def judge_dead(case: Case) -> Verdict:
    """Fire where most units of a layer are zero for every image."""
    dead = case.measured("dead_units")
    shares = {layer: share for layer, share in dead.items() if layer and not layer.startswith(_AT_START)}
    layer, share = max(shares.items(), key=lambda item: item[1], default=("", 0.0))
    if share <= _MOST_DEAD:
        return None
    began = dead.get(f"{_AT_START}{layer}")
    from_start = began is not None and began > _MOST_DEAD
    text = f"{share:.0%} of the units of {layer} are zero for every image"
    text += "" if began is None else f", {began:.0%} were with the initial weights"
    causes = ("dead-units", "learning-rate-too-high", "weight-decay-too-strong", "no-warm-up")
    return Finding(
        code="dead-units",
        title="Most units of a layer are dead",
        severity="optimisation",
        confidence=0.9 if from_start else 0.6,  # units that died while training died of something
        evidence=(Evidence(text, share, 0.0, "probe dead_units"),),
        causes=("dead-units",) if from_start else causes,
        refuted_by="units that are above zero on other images",
        next_test="the share of zeros after each rectifier at the first step and now",
        remedies=("reinitialise",),
    )
