"""The evaluation fails its own check.

What it is
    Features dealt out at random must rank by chance; an image must have the same feature alone and in a batch; a plain evaluator
    must agree with the fast one; the weights that are scored must be those that are trained; people of the gallery must be found
    in the gallery no better than queries are.

Why it happens
    Labels leak into the score; batch normalisation or dropout is active while evaluating; rows of features and of labels are
    mixed up; an old copy of the model is scored; identities of query and gallery are numbered apart.

How it was seen
    deep-person-reid#348, #497, #207; fast-reid#173; TransReID#62; our own planted faults.

What to do
    Call model.eval() before extraction; build features and labels in one loop; compare with a plain evaluator.

Source
    Field notes on the evaluation self-check. Chance: Bestgen 2015, exact.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.rules.motion_measured import has_hidden_layers
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "evaluation-broken"
_ERRORS = 6.0
_SLACK = 0.02  # mAP
_BATCH_DIFFERENCE = 0.05  # bf16 kernels of different sizes differ by up to 1 %; batch statistics by tens of per cent
_EVALUATOR_BIAS = 0.02  # mAP; an image that is counted wrongly moves it by tenths
_RANKS = 2.0  # times chance: below it features do not rank anything
_OTHER_WEIGHTS = 0.3  # a moving average of the weights differs by some per cent
_TIMES_CHANCE, _BETTER = 3.0, 3.0
_OTHER_SCORE = 0.05  # mAP
_CAMERAS_EACH = 4.0  # times the people; a small validation set may have more cameras than people
_SOURCE = "probe evaluation_self_check"


def judge(case: Case) -> Verdict:
    """Fire where the evaluation contradicts itself."""
    evidence, causes = [], []
    score, chance = case.measured("map_of_shuffled_features").get(""), case.measured("map_by_chance").get("")
    error = case.measured("map_of_shuffled_features_error").get("", 0.0)
    if score is not None and chance is not None and score > chance + _ERRORS * error + _SLACK:
        evidence.append(Evidence(f"features dealt out at random score mAP {score:.1%}", score, chance, _SOURCE))
        causes += ["same-camera-not-filtered", "camera-ids-wrong"]
    difference = case.measured("batch_difference").get("")
    if difference is not None and difference > _BATCH_DIFFERENCE:
        evidence.append(
            Evidence(f"an image alone has another feature than in a batch ({difference:.0%})", difference, 0.0, _SOURCE)
        )
        causes.append("evaluated-in-train-mode")
    apart = case.measured("evaluator_bias").get("")
    if apart is not None and abs(apart) > _EVALUATOR_BIAS and not _is_at_chance(case):
        evidence.append(Evidence(f"a plain evaluator gives another mAP, by {apart:+.3f}", apart, 0.0, _SOURCE))
        causes.append("evaluation-preprocessing")
    if (told := _other_score(case)) is not None:
        evidence.append(told)
        causes.append("evaluation-preprocessing")
    evidence, causes = [*evidence, *_other_weights(case)], causes + ["stale-weights-evaluated"] * len(_other_weights(case))
    evidence, causes = [*evidence, *_other_ids(case)], causes + ["evaluation-preprocessing"] * len(_other_ids(case))
    people, cameras = (case.measured(f"evaluation_{name}").get("", 0.0) for name in ("people", "cameras"))
    if cameras > _CAMERAS_EACH * people:
        evidence.append(Evidence(f"{people:.0f} people in {cameras:.0f} cameras: ids were exchanged", cameras, people, _SOURCE))
        causes += ["camera-ids-wrong", "evaluation-preprocessing"]
    if not evidence:
        return None
    return Finding(
        code=CODE,
        title="The evaluation fails its own check",
        severity="pipeline",
        confidence=0.7 if has_hidden_layers(case) else 0.95,
        evidence=tuple(evidence),
        causes=tuple(dict.fromkeys(causes)),
        refuted_by="an independent evaluation of the same checkpoint that agrees",
        next_test="one image embedded alone and in a batch, in evaluation mode",
        remedies=("repair_evaluation", "repair_camera_ids"),
    )


def _is_at_chance(case: Case) -> bool:
    """Collapsed features are all alike: their ranking is one large tie, which two evaluators may break differently."""
    score, chance = case.measured("map_of_queries").get(""), case.measured("map_by_chance").get("")
    return score is not None and chance is not None and score < _RANKS * chance


def _other_weights(case: Case) -> list[Evidence]:
    """The scored model gives other embeddings, and batch statistics do not explain it."""
    apart = max(case.measured("embedding_difference").values(), default=0.0)
    alone = case.measured("batch_difference").get("", 0.0)
    if apart < _OTHER_WEIGHTS or alone > _BATCH_DIFFERENCE:
        return []
    text = f"the scored model's embeddings differ by {apart:.0%} from those of the trained weights on the same images"
    return [Evidence(text, apart, 0.0, _SOURCE)]


def _other_score(case: Case) -> Evidence | None:
    """The mAP that was logged for these weights is not the mAP of the embeddings they give."""
    curve, epoch, measured = case.curve("mAP"), case.measured("epoch_of_weights").get(""), case.measured("map_of_queries").get("")
    if curve is None or epoch is None or measured is None or curve.unit != "epoch" or float(curve.x[-1]) != epoch:
        return None
    logged = float(curve.y[-1])
    if abs(logged - measured) < _OTHER_SCORE:
        return None
    text = f"the mAP logged for these weights is {logged:.1%}, their embeddings give {measured:.1%}"
    return Evidence(text, logged, measured, _SOURCE)


def _other_ids(case: Case) -> list[Evidence]:
    itself, queries = case.measured("map_of_gallery_in_itself").get(""), case.measured("map_of_queries").get("")
    chance = case.measured("map_by_chance").get("", 1.0)
    if itself is None or queries is None or itself < _TIMES_CHANCE * chance or queries * _BETTER > itself:
        return []
    text = f"people of the gallery are found in the gallery with mAP {itself:.1%}, queries with {queries:.1%}"
    return [Evidence(text, itself, queries, _SOURCE)]
