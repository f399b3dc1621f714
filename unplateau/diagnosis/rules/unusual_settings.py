"""A setting is far from what any published recipe uses, and the training has not learned well.

What it is
    Settings that stand in the configuration are compared with the ranges of published recipes, one by one. A training that learns
    all the same is left alone, and of one that has only begun it is a note.

Why it happens
    A value copied from another data set, optimiser or trainer: a rate of SGD with Adam, iterations of a longer run, milestones
    of more epochs, an augmentation for larger images or for self-supervised learning, a weight of 1 where 0.0005 is meant.

How it was seen
    Most questions about a low mAP come with a configuration; in many of the answered ones a single value is off by a factor.

What to do
    Set the value that recipes use, and change nothing else in that run.

Source
    `usual_settings`: Luo et al. 2019, fast-reid's Base-bagtricks, TransReID. Ranges ours: about ten times around those.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.landmarks_of import floor, has_learned_well
from unplateau.diagnosis.usual_settings import USUAL, Usual
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.foreign_logs.training_log import LogFacts
from unplateau.runs.record import Evidence, Finding

CODE = "settings-unusual"
_ITS_TIME = 0.25  # of the epochs planned; before that nothing has learned well
_NOTE, _WHOLE = 0.4, 100
_MILD = ("schedule-never-steps",)  # a short run of a long recipe goes on learning without its drops
_GOOD, _FALLEN = 0.7, 0.4  # mAP; of the first loss
_FAR = 5.0  # times beyond the range: nobody means that


def judge(case: Case) -> Verdict:
    """Fire where a setting is outside of what recipes use."""
    settings, worst = case.facts.settings, _out_of_range(case.facts)
    if not settings or not worst or _works(case):
        return None
    confidence = 0.8 if worst[0][0].factor(worst[0][1]) >= _FAR else 0.7
    causes = tuple(dict.fromkeys(cause for usual, value in worst for cause in usual.causes(value)))
    matters = _had_its_time(case) and causes != _MILD
    return Finding(
        code=CODE,
        title=f"{worst[0][0].key} is far from what recipes use",
        severity="optimisation" if matters else "info",
        confidence=confidence if matters else _NOTE,
        evidence=tuple(_line(usual, value, settings.get(usual.key)) for usual, value in worst),
        causes=causes,
        refuted_by="the same run with the usual value that is no better",
        next_test="one run with the usual value, and nothing else changed",
        remedies=("usual_settings",),
        settings={key: value for usual, _ in reversed(worst) for key, value in usual.instead(settings, case.facts).items()},
    )


def unusual(facts: LogFacts) -> tuple[str, ...]:
    """Return a sentence for each setting that is far from what recipes use, the furthest first; for before a training."""
    settings = facts.settings or {}
    return tuple(_line(usual, value, settings.get(usual.key)).statement for usual, value in _out_of_range(facts))


def _out_of_range(facts: LogFacts) -> list[tuple[Usual, float]]:
    found: dict[str, tuple[Usual, float]] = {}
    for usual in USUAL if facts.settings else ():
        value = usual.value(facts.settings or {}, facts)
        if usual.key not in found and value is not None and usual.causes(value):
            found[usual.key] = (usual, value)
    return sorted(found.values(), key=lambda pair: -pair[0].factor(pair[1]))


def _works(case: Case) -> bool:
    """Whether the training does well all the same, by its mAP, or by how far its cross-entropy fell."""
    score, loss = case.curve("mAP"), case.curve("cross_entropy")
    if has_learned_well(case) or (score is not None and score.latest > _GOOD):
        return True
    return floor(case) is None and loss is not None and loss.latest < _FALLEN * loss.first


def _had_its_time(case: Case) -> bool:
    """Whether a loss was seen for long enough to have fallen."""
    loss, planned, last = case.curve("cross_entropy") or case.curve("total"), case.facts.max_epochs, case.last_epoch
    return loss is not None and planned is not None and last is not None and last >= _ITS_TIME * planned


def _line(usual: Usual, value: float, set_to: object) -> Evidence:
    limit, word = (usual.least, "at least") if value < usual.least else (usual.most, "at most")
    what = f": {value:.0f} {usual.unit}" if value >= _WHOLE else f": {value:.3g} {usual.unit}"
    text = f"{usual.key} is {_short(set_to)}{what if usual.unit else ''}; usual is {word} {limit:g}"
    return Evidence(text, value, limit, "configuration")


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(list(value) if isinstance(value, tuple) else value)
