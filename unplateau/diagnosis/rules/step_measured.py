"""The training step does something else with a batch than its model and losses say.

What it is
    A batch is put through model and losses, and then through the training step. Losses that the step reports, and the gradient
    that reaches the optimiser, must be the same: nothing should stand between them.

Why it happens
    A step that uses the labels of another batch, changes images or outputs on their way, leaves a loss out, zeroes or scribbles
    over gradients, or goes uphill.

How it was seen
    Steps are the part of a re-ID project that is rewritten most often: mixed precision, several optimisers, memory banks.

What to do
    Call model and losses by hand on one batch, and compare loss and gradient norm with those inside the step.

Source
    Field notes. Tolerances ours; with equal weights, batch and random draws only rounding should differ.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.rules import gradient_measured
from unplateau.diagnosis.rules.loss_weights import BELOW_DECAY
from unplateau.diagnosis.rules.model_measured import unused_modules
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

_SOURCE = "probe delivered_gradient"
_APART = 2e-4  # with the same weights, batch and draws only rounding differs
_GONE, _SAME_FACTOR = 1e-6, 1e-3  # of a loss
_EXPLAINED = 0.02  # of the distance that is to be explained
_TOTAL_APART, _TRACE = 0.02, 1e-6
_MOST_ABSENT, _DEAD = 0.5, 0.5
_AT_START = "initial weights"
_WITHHELD = 0.02  # of the gradient's square
_ANOTHER_DIRECTION, _PILED_UP, _ALONG = 0.9, 0.8, 0.9
_KEPT = 0.5  # of the way the optimiser went
_DELIVERED, _OF_NO_SIZE = 0.5, 1e-7
_FIRST_OF_ADAM = 1.2  # rates
_SETTLED, _LARGE = 100.0, 0.5  # the first steps of Adam, and those of one that is made anew, are 0.7 rates long
_SMALLEST, _LARGEST = 0.008, 3.0  # rates; healthy runs of our benchmark step by 0.018 to 0.21
_NEXT = "call model and losses by hand on one batch, and compare loss and gradient with those inside the training step"
_LABELS = ("labels-off-by-one", "labels-shuffled")
_ANY_MISTAKE = (*_LABELS, "augmentation-too-strong", "loss-weights-unbalanced", "batch-too-small")
_MEANS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "pieces": (("batch-too-small", "batch-norm-in-eval"), ("larger_batch", "restore_batch_norm")),
    "evaluation mode": (("batch-norm-in-eval",), ("restore_batch_norm",)),
    "embeddings": (("wrong-head",), ("repair_step", "repair_head")),
    "exchanged": (("wrong-head",), ("repair_step", "repair_head")),
    "logits of features": (("wrong-head",), ("repair_step", "repair_head")),
    "half of the batch": (("batch-too-small",), ("repair_step", "larger_batch")),
    "first batch again": (("too-few-identities", "not-shuffled", "overfitting"), ("repair_step", "repair_sampling")),
}
"""What an explanation says: causes and remedies; of labels or images of others in every other case."""


def judge_losses(case: Case) -> Verdict:
    """Fire where the step reports other losses than model and losses give for its batch."""
    readings = [_Reading.of(case, when) for when in ("", "_at_start")]
    off, best = next((one for one in readings if one.explained), readings[0])
    if not off:
        return None
    known = _meaning(off, best)
    evidence = [
        Evidence(f"the step says {ratio:.3g} times the {name} of its batch", ratio, 1.0, _SOURCE) for name, ratio in off.items()
    ]
    if known is not None:
        evidence.append(Evidence(f"explained by {known.what}", source=_SOURCE))
    return Finding(
        code="step-not-as-meant",
        title="The training step computes other losses than model and losses give for its batch",
        severity="pipeline",
        confidence=0.65 if known is None else 0.9,
        evidence=tuple(evidence),
        causes=(*_of_one_loss(case, off), *_ANY_MISTAKE) if known is None else known.causes,
        refuted_by="a step that is meant to change its batch, such as mixup",
        next_test=_NEXT,
        remedies=("repair_step",) if known is None else known.remedies,
    )


def _of_one_loss(case: Case, off: dict[str, float]) -> tuple[str, ...]:
    """Where others are as they should be, the batch is, too: it is how this loss is computed."""
    return ("wrong-loss",) if len(off) < len(case.measured("stated_over_expected")) else ()


class _Meaning(NamedTuple):
    """What explains the losses that a step reports."""

    what: str
    causes: tuple[str, ...]
    remedies: tuple[str, ...]


def _meaning(off: dict[str, float], best: str) -> _Meaning | None:
    if best:
        return _Meaning(best, *next((means for part, means in _MEANS.items() if part in best), (_LABELS, ("relabel",))))
    if (factor := _common_factor(off)) is None:
        return None
    rate = "learning-rate-too-high" if factor > 1 else "learning-rate-too-low"
    what = f"a factor of {factor:.4g} on every loss, as of sums where means are meant"
    return _Meaning(what, (rate, "loss-weights-unbalanced"), ("repair_step",))


def _common_factor(off: dict[str, float]) -> float | None:
    """The factor on all of several losses, where it is one."""
    factors = list(off.values())
    is_one = len(factors) > 1 and min(factors) > _GONE and max(factors) - min(factors) < _SAME_FACTOR * max(factors)
    return factors[0] if is_one and abs(factors[0] - 1) > _TOTAL_APART else None


class _Reading(NamedTuple):
    """What the step said once, and what explains it."""

    off: dict[str, float]
    explained: str

    @classmethod
    def of(cls, case: Case, when: str) -> _Reading:
        """A training that has gone wrong may have losses that anything explains, or nothing: so its start is asked too."""
        said = case.measured("stated_over_expected" + when)
        off = {name: ratio for name, ratio in said.items() if abs(ratio - 1) > _APART}
        errors = case.measured("stated_unexplained" + when)
        best = min(errors, key=lambda what: errors[what], default="")
        if off and max(off.values()) < _GONE:
            return cls(off, "")  # a loss of 0 is explained by whatever leaves nothing to compute
        return cls(off, best if best and errors[best] < _EXPLAINED else "")


def judge_total(case: Case) -> Verdict:
    """Fire where what the step minimises is not the weighted sum of its losses."""
    readings = case.measured("total_over_parts")  # now, and with the weights the training began with
    when = max(readings, key=lambda when: abs(math.log(max(readings[when], _TRACE))), default="")
    ratio = readings.get(when, 1.0)
    if abs(ratio - 1) < _TOTAL_APART:
        return None
    text = f"the step minimises {ratio:.3g} times the weighted sum of its losses" + (f", with its {when}" if when else "")
    more = ratio > 1
    drowned = ("weight-decay-too-strong",) if ratio < BELOW_DECAY else ()
    if not more and case.measured("setting_trained").get("is_adam") == 0:
        drowned = (*drowned, "learning-rate-too-low")  # without Adam a factor on the total is one on the rate
    return Finding(
        code="total-not-of-losses",
        title="Something else than the configured losses is " + ("added to the total" if more else "in the total"),
        severity="pipeline",
        confidence=0.72,  # its weight is seen, not what the term says
        evidence=(Evidence(text, ratio, 1.0, _SOURCE),),
        causes=("loss-weights-unbalanced", *(() if more else ("detached-branch", "cross-entropy-missing")), *drowned),
        refuted_by="a term beside the configured losses that is meant",
        next_test="print the total and each of its terms, with weights, in the training step",
        remedies=("repair_losses", "rebalance_losses"),
    )


def judge_withheld(case: Case) -> Verdict:
    """Fire where tensors that the losses have a gradient for get exactly none."""
    share = case.measured("gradient_withheld").get("")
    delivered = case.measured("gradient_delivered").get("", 0.0)
    if share is None or share < _WITHHELD or delivered == 0:
        return None
    text = f"tensors with {share:.0%} of the gradient's square get exactly 0 at the optimiser"
    return _direction(
        "Some weights are kept from their gradient", 0.85, text, share, ("no-gradient", "layers-frozen", "detached-branch")
    )


def judge_nothing_arrives(case: Case) -> Verdict:
    """Fire where the losses have a gradient and the optimiser is given 0 for all of it."""
    readings = case.measured("gradient_delivered")
    if not readings or any(value > 0 for value in readings.values()):
        return None
    return _direction(
        "Nothing of the losses' gradient reaches the optimiser", 0.85, "every tensor gets exactly 0 at the optimiser", 0.0,
        ("no-gradient", "detached-branch", "gradient-clipped-away"),
    )  # fmt: skip


def judge_absent(case: Case) -> Verdict:
    """Fire where most weights had no gradient from the first step on, and not because their units were dead."""
    share = case.measured("gradient_absent").get(_AT_START)
    dead = max((value for group, value in case.measured("dead_units").items() if group.startswith(_AT_START)), default=0.0)
    dead = max(dead, *case.measured("output_zeros").values(), 0.0)
    if share is None or share < _MOST_ABSENT or dead > _DEAD or unused_modules(case):
        return None
    text = f"{share:.0%} of the weights have a gradient of exactly 0 with the weights the training began with"
    return _direction("The losses have no gradient for most weights", 0.8, text, share, ("detached-branch", "no-gradient"))


def judge_undone(case: Case) -> Verdict:
    """Fire where weights after a training step are not where the optimiser left them."""
    kept = case.measured("step_kept").get("")
    if kept is None or kept > _KEPT:
        return None
    text = f"{kept:.1%} of the way that the optimiser moved the weights is left at the end of the training step"
    return Finding(
        code="steps-undone",
        title="Something writes to the weights after the optimiser's step",
        severity="pipeline",
        confidence=0.6,
        evidence=(Evidence(text, kept, 1.0, _SOURCE),),
        causes=("stale-optimizer", "learning-rate-too-low"),
        refuted_by="weights that are equal right after optimizer.step() and at the end of the training step",
        next_test="print one weight right after optimizer.step() and at the end of the training step",
        remedies=("repair_step", "fix_optimizer"),
    )


def judge_small(case: Case) -> Verdict:
    """Fire where Adam is given its gradient and steps by next to nothing, and its epsilon does not say why."""
    step = _step_of_delivered(case)
    if step is None or step == 0 or step > _SMALLEST or isinstance(gradient_measured.judge_epsilon(case), Finding):
        return None
    return _size("steps-too-small", "smaller", step, ("learning-rate-too-low", "epsilon-too-large"), "higher_learning_rate")


def judge_large(case: Case) -> Verdict:
    """Fire where Adam steps far beyond its rate."""
    step = _step_of_delivered(case)
    age = case.measured("updates_over_steps").get("", 1.0)
    has_settled = age * case.measured("steps_trained").get("", 0.0) >= _SETTLED
    first = case.measured("step_over_rate").get(_AT_START, 0.0)
    if first > _FIRST_OF_ADAM and case.facts.optimizer in ("Adam", "AdamW"):
        causes = ("learning-rate-too-high", "no-warm-up", "gradients-accumulate")
        return _size("steps-too-large", "larger", first, causes, "lower_learning_rate")  # a first step is one rate long
    if step is None or step < (_LARGE if has_settled else _LARGEST):
        return None
    causes = ("learning-rate-too-high", "gradients-accumulate", "stale-optimizer")
    return _size("steps-too-large", "larger", step, causes, "lower_learning_rate")


def _step_of_delivered(case: Case) -> float | None:
    """The length of a step in rates, where a gradient of some size arrives."""
    share, size = case.measured("gradient_delivered").get("", 0.0), case.measured("gradient_rms").get("", 0.0)
    return None if share < _DELIVERED or size < _OF_NO_SIZE else case.measured("step_over_rate").get("")


def _size(code: str, word: str, step: float, causes: tuple[str, ...], remedy: str) -> Finding:
    return Finding(
        code=code,
        title=f"Steps are far {word} than the learning rate says",
        severity="pipeline",
        confidence=0.65,
        evidence=(Evidence(f"a step is {step:.2g} rates long; 0.1 to 1 is usual", step, 0.3, _SOURCE),),
        causes=causes,
        refuted_by="an update of an element that is about the learning rate",
        next_test="print the change of one weight in a step beside the learning rate",
        remedies=("repair_settings", remedy),
    )


def judge_direction(case: Case) -> Verdict:
    """Fire where what arrives points elsewhere than the losses' gradient, and no old gradient explains it."""
    cosine, old = case.measured("gradient_delivered_cosine").get(""), case.measured("left_over_explains").get("", 0.0)
    if cosine is None or cosine > _ANOTHER_DIRECTION or old > _PILED_UP or judge_withheld(case) is not None:
        return None
    text = f"the cosine between the losses' gradient and what the optimiser steps with is {cosine:.2f}"
    if (found := _penalty(case, text, cosine)) is not None:
        return found
    causes = ("gradients-accumulate", "no-gradient", "detached-branch", "gradient-clipped-away")
    return _direction("The optimiser is given something else than the losses' gradient", 0.6, text, cosine, causes)


def _penalty(case: Case, text: str, cosine: float) -> Finding | None:
    """A term on the weights themselves, which no loss shows: it points along them, or along their signs."""
    along = case.measured("gradient_added_along")
    best = max(along, key=lambda group: along[group], default="")
    if not best or along[best] < _ALONG:
        return None
    title, causes = "A penalty on the weights is added to their gradient", ("weight-decay-too-strong", "loss-weights-unbalanced")
    where = "weights" if best == "weights" else "signs of the weights"
    added = f"what is added points along the {where}, at a cosine of {along[best]:.2f}"
    found = _direction(title, 0.85, text, cosine, causes)
    return replace(
        found,
        evidence=(*found.evidence, Evidence(added, along[best], None, _SOURCE)),
        remedies=("lower_weight_decay", "repair_step"),
        refuted_by="no term on the weights between backward and optimizer.step()",
        next_test="print a weight's gradient right after backward and right before optimizer.step(), beside the weight",
    )


def _direction(title: str, confidence: float, text: str, value: float, causes: tuple[str, ...]) -> Finding:
    return Finding(
        code="gradient-not-of-losses",
        title=title,
        severity="pipeline",
        confidence=confidence,
        evidence=(Evidence(text, value, 1.0, _SOURCE),),
        causes=causes,
        refuted_by="a gradient right before optimizer.step() that equals the losses' gradient",
        next_test=_NEXT,
        remedies=("restore_gradient", "fix_optimizer"),
    )
