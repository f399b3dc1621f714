"""Only the total loss is known, and it does not move.

What it is
    Logs of reid-strong-baseline, TransReID, CLIP-ReID and SOLIDER hold the weighted sum only. With the classifier's accuracy at
    1/I and a flat total from the first epoch on, nothing is learned; the parts cannot be told apart. What can be said: the total
    minus the start of the cross-entropy is what the triplet loss would be.

Why it happens
    See weights-not-updated and collapsed-embeddings; labels that cannot be learned look the same here.

How it was seen
    The format is that of reid-strong-baseline's Loss: column.

What to do
    Two checkpoints; or log cross-entropy and triplet apart for one epoch.

Source
    Landmarks (`curves.landmarks`).
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case, Curve
from unplateau.diagnosis.landmarks_of import chance_accuracy, collapsed_triplet, head_starts
from unplateau.diagnosis.rules.weights_not_updated import still_causes
from unplateau.diagnosis.schedule_view import in_warm_up, is_rate_off
from unplateau.diagnosis.verdict import Abstained, Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "nothing-learned"
_FEWEST_POINTS = 4
_AT_CHANCE = 5.0  # times 1/I
_DRIFT = 0.01  # of the total; a learning net's falls by several per cent an epoch


def judge(case: Case) -> Verdict:
    """Fire where the total is flat from the start and the classifier's accuracy is at chance."""
    total = case.curve("total")
    if total is None or case.curve("cross_entropy") is not None or len(total.y) < _FEWEST_POINTS:
        return None
    if case.facts.num_identities is None:
        return Abstained(
            "only the total loss is known; without the number of identities nothing can be said", ("--num-identities",)
        )
    if in_warm_up(case) or is_rate_off(case) or case.has_moved or not total.is_stationary(_DRIFT * total.level):
        return None
    accuracy, chance = case.curve("accuracy"), chance_accuracy(case) or 0.0
    start = min(candidate.start.mean for candidate in head_starts(case))
    if total.level < start - 0.05 or (accuracy is not None and accuracy.latest > _AT_CHANCE * chance):
        return None
    implied = total.level - start
    evidence = [_total_evidence(case, total, implied)]
    if accuracy is not None:
        evidence.append(
            Evidence(f"accuracy {accuracy.latest:.2%}, chance is {chance:.2%}", accuracy.latest, chance, accuracy.where())
        )
    return _finding(case, evidence, implied, sure=accuracy is not None)


def _total_evidence(case: Case, total: Curve, implied: float) -> Evidence:
    return Evidence(
        f"total loss {total.y.min():.3f}-{total.y.max():.3f}, flat; minus a cross-entropy at its start that leaves "
        f"a triplet loss of {implied:.2f} (collapse: {collapsed_triplet(case):.3g})",
        total.level, total.level - implied + collapsed_triplet(case), total.where(),
    )  # fmt: skip


def _finding(case: Case, evidence: list[Evidence], implied: float, *, sure: bool) -> Finding:
    collapsed = abs(implied - collapsed_triplet(case)) <= 0.1 * collapsed_triplet(case)
    still = still_causes(case)
    causes = ("triplet-collapse", *still) if collapsed else (*still, "labels-shuffled", "learning-rate-too-high")
    return Finding(
        code=CODE,
        title="Nothing is learned: the total loss is flat from the start and the classifier is at chance",
        severity="pipeline",
        confidence=0.7 if sure else 0.5,
        evidence=tuple(evidence),
        causes=causes,
        refuted_by="two checkpoints of this run whose weights differ (then: labels, collapse or rate)",
        next_test="solve_plateau.py --checkpoints A B; and log cross-entropy and triplet loss apart for one epoch",
        remedies=("fix_optimizer", "unfreeze", "add_cross_entropy", "relabel"),
    )
