"""The training identities are learned by heart.

What it is
    The loss goes on falling, or is at its floor, while mAP on other people falls from its best.

Why it happens
    Little data or few people, weak augmentation, a run that is too long for it.

How it was seen
    Common on sets of a few hundred people; a difference of .25 between mAP on training and on unseen identities is large.

What to do
    Stronger augmentation (random erasing, colour), label smoothing, a shorter run, more people. Not a higher rate.

Source
    SageMaker's Overfit rule compares losses; we compare mAP on unseen people, which is what is wanted.
"""

from __future__ import annotations

import numpy as np

from unplateau.curves.noise import noise_of_differences
from unplateau.diagnosis.case import Case
from unplateau.diagnosis.landmarks_of import floor, has_learned
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "overfitting"
_FEWEST_EVALUATIONS = 8
_NOISES = 3.0
_LEAST_FALL = 0.05  # of the best mAP; re-runs of one configuration differ by several per cent
_AT_FLOOR = 0.3  # nats above the floor


def judge(case: Case) -> Verdict:
    """Fire where mAP fell from its best by more than its noise while the loss did not rise."""
    score, loss = case.curve("mAP"), case.curve("cross_entropy") or case.curve("total")
    if score is None or loss is None or len(score.y) < _FEWEST_EVALUATIONS:
        return None
    width = max(3, len(score.y) // 6)
    smooth = np.convolve(score.y, np.ones(width) / width, mode="valid")
    best, now = float(smooth.max()), float(smooth[-1])
    noise = noise_of_differences(score.y)
    low = floor(case)
    learning = loss.is_falling(0.02 * loss.first) or (low is not None and loss.latest < low + _AT_FLOOR)
    if not (learning and has_learned(case)) or best - now < max(_NOISES * noise, _LEAST_FALL * best):
        return None
    place = float(score.x[int(smooth.argmax()) + width // 2])
    return Finding(
        code=CODE,
        title="Overfitting: mAP falls while the loss goes on falling",
        severity="generalisation",
        confidence=0.7,
        evidence=(
            Evidence(
                f"mAP {now:.1%}, was {best:.1%} around {score.unit} {place:.0f} (noise {noise:.1%})", now, best, score.where()
            ),
            Evidence(f"{loss.name} {loss.latest:.2f}", loss.latest, low, loss.where()),
        ),
        causes=("overfitting", "too-few-identities"),
        refuted_by="mAP that recovers after the next drop of the learning rate",
        next_test="mAP on held-out images of training identities minus mAP on unseen identities",
        remedies=("regularise", "more_identities"),
    )
