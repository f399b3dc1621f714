"""The measurement is wrong, not the model.

What it is
    The losses say that people are told apart, and mAP says that nothing is found; or mAP does not change in any digit while the
    losses fall; or it is near 1 from the first evaluation on.

Why it happens
    Other preprocessing in evaluation than in training, train mode (batch statistics), old weights or a stale moving average,
    camera ids all alike (the camera rule then removes every match), identities of query and gallery numbered apart.
    Near 1 from the start: matches of the same camera count, or only strictly better scores are counted, so that ties win.

How it was seen
    deep-person-reid#348, #497, #207; fast-reid#173; TransReID#62: "query identities do not appear in gallery": one camera id
    everywhere, or a wrong split. SOLIDER#16: the checkpoint did not load.

What to do
    Score the pretrained backbone without training: 1 to 3 % on Market-1501 is right. Then the training images against
    themselves: near 100 % is right.

Source
    Field notes on the evaluation self-check.
"""

from __future__ import annotations

import numpy as np

from unplateau.diagnosis.case import Case, Curve
from unplateau.diagnosis.landmarks_of import head_starts, uniform
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "evaluation-broken"
_CHANCE_MAP = 0.03  # un-finetuned features reach 1 to 3 % on Market-1501
_LEARNED_SHARE = 0.5  # of ln I
_LEARNED_ACCURACY = 0.5
_FEWEST_EVALUATIONS = 3
_TOO_GOOD = 0.95
_SAME_EMBEDDINGS = 0.05  # relative
_NEAR_CHANCE = 1.3  # times the chance of the same queries and gallery
_EASY_CHANCE = 0.05  # above it the task is so small that untrained features may solve it
_EASY_IDENTITIES = 100
_REMEDIES = ("repair_evaluation", "repair_camera_ids")


def judge(case: Case) -> Verdict:
    """Compare what the losses say with what mAP says."""
    score = case.curve("mAP")
    if score is None:
        return _by_symptom(case)
    return _at_chance(case, score) or _never_changes(case, score) or _too_good(case, score) or _by_symptom(case)


def _at_chance(case: Case, score: Curve) -> Finding | None:
    known = case.facts.chance_map
    chance = _CHANCE_MAP if known is None else max(_CHANCE_MAP / 3, _NEAR_CHANCE * known)
    learned = _learned(case)
    if learned is None or score.y.max() > chance or _is_known_to_work(case):
        return None  # noise that is learned by heart looks the same
    return _finding(
        "Training learns, the evaluation finds nothing", 0.85 if score.y.max() == 0 else 0.6,
        (learned, Evidence(f"mAP at most {score.y.max():.2%}", float(score.y.max()), chance, score.where())),
        ("camera-ids-wrong", "evaluation-preprocessing") if score.y.max() == 0 else (
            "evaluation-preprocessing", "stale-weights-evaluated", "camera-ids-wrong", "evaluated-in-train-mode",
            "batch-norm-in-eval", "labels-shuffled",
        ),
    )  # fmt: skip


def _is_known_to_work(case: Case) -> bool:
    """Whether the evaluation ranks the trained weights' own embeddings, as a probe has seen."""
    apart = case.measured("embedding_difference")
    return (
        bool(apart)
        and max(apart.values()) < _SAME_EMBEDDINGS
        and case.measured("batch_difference").get("", 1.0) < _SAME_EMBEDDINGS
    )


def _never_changes(case: Case, score: Curve) -> Finding | None:
    learned = _learned(case)
    if learned is None or len(score.y) < _FEWEST_EVALUATIONS or float(np.ptp(score.y)) > 0:
        return None
    text = f"mAP is {score.y[0]:.4%} in all {len(score.y)} evaluations, to the last digit"
    return _finding(
        "mAP does not change in any digit while the losses fall: old weights are evaluated", 0.9,
        (learned, Evidence(text, float(score.y[0]), None, score.where())),
        ("stale-weights-evaluated",) if _backbone_moves(case) else ("stale-weights-evaluated", "backbone-frozen"),
    )  # fmt: skip


def _backbone_moves(case: Case) -> bool:
    moved = [*case.measured("tensors_moved").items(), *case.measured("checkpoint_motion").items()]
    return any(value > 0 for group, value in moved if "backbone" in group)


def _too_good(case: Case, score: Curve) -> Finding | None:
    loss, ln_i = case.curve("cross_entropy"), uniform(case)
    if (case.facts.num_identities or 0) < _EASY_IDENTITIES or (case.facts.chance_map or 0.0) > _EASY_CHANCE:
        return None
    if loss is None or ln_i is None or score.y[0] < _TOO_GOOD or loss.first < 0.9 * ln_i:
        return None
    return _finding(
        "mAP is near 1 before anything is learned", 0.85,
        (Evidence(f"mAP {score.y[0]:.1%} with a cross-entropy of {loss.first:.2f}", float(score.y[0]), 0.03, score.where()),),
        ("same-camera-not-filtered", "camera-ids-wrong"),
    )  # fmt: skip


def _by_symptom(case: Case) -> Finding | None:
    if "query-not-in-gallery" not in case.symptoms:
        return None
    evidence = Evidence("queries without a match in the gallery: one camera id everywhere, or a wrong split", source="symptom")
    return _finding("Queries have no match in the gallery", 0.85, (evidence,), ("camera-ids-wrong",))


def _learned(case: Case) -> Evidence | None:
    loss, accuracy, ln_i = case.curve("cross_entropy"), case.curve("accuracy"), uniform(case)
    top = head_starts(case)[0].start.mean if head_starts(case) else ln_i
    if loss is not None and top is not None and loss.latest < _LEARNED_SHARE * top:
        return Evidence(f"cross-entropy fell to {loss.latest:.2f}", loss.latest, top, loss.where())
    if accuracy is not None and accuracy.latest > _LEARNED_ACCURACY:
        return Evidence(
            f"the classifier is right for {accuracy.latest:.0%} of the images", accuracy.latest, None, accuracy.where()
        )
    return None


def _finding(title: str, confidence: float, evidence: tuple[Evidence, ...], causes: tuple[str, ...]) -> Finding:
    return Finding(
        code=CODE,
        title=title,
        severity="pipeline",
        confidence=confidence,
        evidence=evidence,
        causes=causes,
        refuted_by="an independent evaluation of the same checkpoint that agrees",
        next_test="rank the training images against themselves: mAP near 1 is right; shuffled features: near chance",
        remedies=_REMEDIES,
    )
