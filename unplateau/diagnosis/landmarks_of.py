"""The landmarks that hold for one training: what is known of its head and losses, put into the closed forms."""

from __future__ import annotations

from dataclasses import dataclass

from unplateau.curves.landmarks import (
    KNOWN_HEADS,
    PUBLISHED_IDENTITIES,
    Start,
    cross_entropy_at_start,
    default_linear_std,
    label_smoothing_floor,
    triplet_when_collapsed,
    uniform_cross_entropy,
)
from unplateau.diagnosis.case import Case, Curve
from unplateau.runs.foreign_logs.training_log import LogFacts

_ROUNDING = 0.005  # nats; logs are written to three digits
_SPREADS = 3.0
_LEARNED_MAP = 0.1  # well above un-finetuned features (1-3 % on Market-1501)
_LEARNED_FALL = 0.15  # of the start
_LEARNED_WELL = 0.25  # of the way from floor to start
_USUAL_MARGIN = 0.3  # of every re-ID recipe; assumed only where the margin is not known


@dataclass(frozen=True)
class HeadStart:
    """Where the cross-entropy of a head begins, and how sure it is that this is the training's head."""

    start: Start
    head: str
    is_known: bool
    """Whether feature dimension and initial weights were given or read, and not guessed from published heads."""

    @property
    def tolerance(self) -> float:
        """How far an epoch's mean may lie from the expectation over initialisations."""
        return _SPREADS * self.start.spread + _ROUNDING


def head_starts(case: Case) -> tuple[HeadStart, ...]:
    """Return the possible starts of the cross-entropy: the head's own where it is known, else those of published heads."""
    return () if case.facts.num_identities is None else _starts(case.facts.num_identities, case.facts)


def matching_start(case: Case, curve: Curve) -> HeadStart | None:
    """Return the start at which the curve's level lies, the nearest of several; None where it lies at none."""
    near = [start for start in head_starts(case) if abs(curve.level - start.start.mean) <= start.tolerance]
    return min(near, key=lambda start: abs(curve.level - start.start.mean), default=None)


def guessed_starts(case: Case, curve: Curve) -> tuple[tuple[str, int, HeadStart], ...]:
    """Return (data set, identities, start) for published data sets at whose start the curve lies, the likeliest first.

    For a log that does not say how many identities it is of; empty where it does. Likelier: within one spread, then a head as its
    trainer ships it, then the data set that is used more.
    """
    facts = case.facts
    if facts.num_identities is not None:
        return ()
    found: list[tuple[str, int, HeadStart]] = []
    for name, identities in PUBLISHED_IDENTITIES:
        near = [start for start in _starts(identities, facts) if abs(curve.level - start.start.mean) <= start.tolerance]
        if near:
            found.append((name, identities, min(near, key=lambda start: abs(curve.level - start.start.mean))))
    shipped = {head.trainer for head in KNOWN_HEADS}

    def likeliness(guess: tuple[str, int, HeadStart]) -> tuple[bool, bool]:
        start = guess[2]
        is_near = abs(curve.level - start.start.mean) <= start.start.spread + _ROUNDING
        return not is_near, not start.is_known and start.head.split(":")[0] not in shipped

    return tuple(sorted(found, key=likeliness))


def uniform(case: Case) -> float | None:
    """Return ln I, or None where the number of identities is not known."""
    return None if case.facts.num_identities is None else uniform_cross_entropy(case.facts.num_identities)


def floor(case: Case) -> float | None:
    """Return the lowest cross-entropy that label smoothing allows, or None where the number of identities is not known."""
    if case.facts.num_identities is None:
        return None
    return label_smoothing_floor(case.facts.num_identities, case.facts.label_smoothing or 0.0)


def collapsed_triplet(case: Case) -> float:
    """Return the triplet loss of collapsed embeddings; the usual margin 0.3 is assumed where none is known."""
    margin = case.facts.margin
    return triplet_when_collapsed(_USUAL_MARGIN if margin is None else margin)


def chance_accuracy(case: Case) -> float | None:
    """Return 1/I."""
    return None if not case.facts.num_identities else 1 / case.facts.num_identities


def has_learned(case: Case) -> bool:
    """Return whether the training has learned anything: mAP above that of untrained features, or the loss well below its start.

    A total loss counts only when it is below the start of the cross-entropy alone, for a collapsing triplet loss falls too.
    """
    score, loss, starts = case.curve("mAP"), case.curve("cross_entropy") or case.curve("total"), head_starts(case)
    if score is not None and score.latest > _LEARNED_MAP:
        return True
    if loss is None or loss.latest >= (1 - _LEARNED_FALL) * max(loss.first, float(loss.y[0])):
        return False
    return not starts or loss.latest < (1 - _LEARNED_FALL) * max(start.start.mean for start in starts)


def _starts(num_identities: int, facts: LogFacts) -> tuple[HeadStart, ...]:
    if facts.feature_dim is not None and facts.initial_std is not None:
        head = f"{facts.feature_dim}-d feature, classifier N(0, {facts.initial_std:g}²)"
        return (HeadStart(cross_entropy_at_start(num_identities, facts.feature_dim, facts.initial_std), head, True),)
    return _published(num_identities, facts.feature_dim, facts.initial_std)


def _published(num_identities: int, feature_dim: int | None, initial_std: float | None) -> tuple[HeadStart, ...]:
    candidates = [(head.trainer, head.feature_dim, head.initial_std) for head in KNOWN_HEADS]
    candidates += [("fast-reid with 512-d features", 512, 0.01), ("fast-reid on a ViT", 768, 0.01)]
    candidates += [("PyTorch's default nn.Linear", dim, default_linear_std(dim)) for dim in (feature_dim or 2048,)]
    return tuple(
        HeadStart(
            cross_entropy_at_start(num_identities, dim, std), f"{name}: {dim}-d feature, classifier N(0, {std:.3g}²)", False
        )
        for name, dim, std in candidates
        if feature_dim in (None, dim) and initial_std in (None, std)
    )


def has_learned_well(case: Case) -> bool:
    """Return whether the cross-entropy has come most of the way to its floor: whatever the settings are, they work."""
    loss, low, starts = case.curve("cross_entropy"), floor(case), head_starts(case)
    if loss is None or low is None or not starts:
        return False
    return loss.latest < low + _LEARNED_WELL * (starts[0].start.mean - low)
