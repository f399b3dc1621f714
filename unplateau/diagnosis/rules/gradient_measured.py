"""What reaches the optimiser is not the gradient of the losses, or moves nothing.

What it is
    The gradient that the optimiser steps with is compared with the gradient of the losses on the same batch, and the step with
    the learning rate. Nothing should stand between the first two; the third follows from the optimiser: Adam changes a weight by
    about the rate, whatever the gradient's scale.

Why it happens
    Shrunk by orders of magnitude: clipping to a tiny norm, a loss scale that is never taken out. Adam would make steps of usual
    size from it, but weight decay, which Adam and SGD add to the gradient, is then all that is left to follow. Larger, and in
    another direction: zero_grad is missing, so that gradients of earlier batches add up. Right, and yet hardly a step: an epsilon
    of Adam that is larger than the gradients, which turns it into plain gradient descent at a tiny rate.

How it was seen
    Clipping at norm 1 hurts nobody, at 1e-6 nothing moves. A missing zero_grad looks like a rate that is too high: fast-reid#700
    deleted zero_grad to get rid of a message, and the training never converged.

What to do
    Print the norm of the gradient right after backward and right before optimizer.step(). Clip at 1 to 5; Adam's epsilon is 1e-8.

Source
    Kingma and Ba 2015, section 2.1. Thresholds ours: healthy recipes deliver 1.00 of the gradient and step by 0.05 to 1 rates.
"""

from __future__ import annotations

import math

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

_SOURCE = "probe delivered_gradient"
_SHRUNK = 0.01
_PILED_UP, _ANOTHER_DIRECTION = 1.5, 0.9
_OF_NO_SIZE = 1e-7  # an element; ten of Adam's epsilons, and far below what weight decay adds to the gradient
_TINY_STEP = 0.02  # rates; Adam at convergence makes steps of a tenth
_LARGE_EPSILON = 1e-3
_ONE_LENGTH = 1e-3  # relative spread over batches
_EXPLAINS = 0.8
_LEAST_SCALE, _EXACT_POWER = 6, 1e-3  # binary digits
_AT_START = "initial weights"
_NEXT = "print the norm of the gradient right after backward and right before optimizer.step()"


def judge_clipped(case: Case) -> Verdict:
    """Fire where the gradient arrives shrunk to nothing and the steps are tiny for it."""
    when = next((when for when in ("", _AT_START) if _is_shrunk(case, when)), None)
    if when is None:
        return None
    share, step = case.measured("gradient_delivered")[when], case.measured("step_over_rate").get(when)
    spread = case.measured("gradient_arrived_spread").get(when)
    where = f" at its {when}" if when else ""
    evidence = [Evidence(f"{share:.2g} of the gradient's length reaches the optimiser{where}", share, 1.0, _SOURCE)]
    if step is not None:
        evidence.append(Evidence(f"a step of Adam is {step:.2g} rates long", step, 0.3, _SOURCE))
    is_clipped = spread is None or spread < _ONE_LENGTH
    if spread is not None and is_clipped:
        evidence.append(Evidence("it has the same length in every batch, as clipping leaves it", spread, 0.0, _SOURCE))
    return Finding(
        code="gradient-clipped-away",
        title="The gradient is shrunk to nothing before the step",
        severity="pipeline",
        confidence=0.95 if is_clipped else 0.7,  # a loss that is divided shrinks it as well
        evidence=tuple(evidence),
        causes=("gradient-clipped-away",) if is_clipped else _of_a_factor(share),
        refuted_by="a gradient of the usual length right before optimizer.step()",
        next_test=_NEXT,
        remedies=("loosen_clipping",) if is_clipped else ("repair_step", "loosen_clipping", "fix_mixed_precision"),
    )


def _is_shrunk(case: Case, when: str) -> bool:
    share, step = case.measured("gradient_delivered").get(when), case.measured("step_over_rate").get(when)
    size, weights = case.measured("gradient_rms").get(when, 1.0), case.measured("weight_rms").get(when, 0.0)
    # Adam makes steps of the usual size from any gradient, and they follow it unless weight decay adds more
    is_drowned = size <= max(_OF_NO_SIZE, case.measured("highest_decay").get("", 0.0) * weights)
    return share is not None and 0 < share < _SHRUNK and not (step is not None and step > _TINY_STEP and not is_drowned)


def _of_a_factor(share: float) -> tuple[str, ...]:
    """A power of two is a gradient scaler's; another factor, or none, is nobody's."""
    power = math.log2(share)
    is_scaler = power < -_LEAST_SCALE and abs(power - round(power)) < _EXACT_POWER
    return ("scaler-always-skips", "epsilon-too-large") if is_scaler else ("gradient-clipped-away", "epsilon-too-large")


def judge_accumulated(case: Case) -> Verdict:
    """Fire where more than the batch's gradient arrives, and in another direction."""
    share, cosine = case.measured("gradient_delivered").get(""), case.measured("gradient_delivered_cosine").get("")
    old = case.measured("left_over_explains").get("")
    if share is None or cosine is None or share < _PILED_UP or cosine > _ANOTHER_DIRECTION:
        return None
    if old is not None and old < _EXPLAINS:
        return None  # something else than old gradients is added: `step_measured`
    text = f"the optimiser steps with {share:.3g} times the batch's gradient, at a cosine of {cosine:.2f} to it"
    return Finding(
        code="gradients-accumulate",
        title="Gradients of earlier batches add up",
        severity="pipeline",
        confidence=0.7 if old is None else 0.95,
        evidence=(Evidence(text, share, 1.0, _SOURCE), *_old(old)),
        causes=("gradients-accumulate",),
        refuted_by="accumulation over several batches that is meant, and cleared after each update",
        next_test=_NEXT,
        remedies=("fix_optimizer",),
    )


def _old(cosine: float | None) -> tuple[Evidence, ...]:
    if cosine is None:
        return ()
    text = f"what is added is the gradient that lay there before, at a cosine of {cosine:.2f}"
    return (Evidence(text, cosine, 1.0, _SOURCE),)


def judge_epsilon(case: Case) -> Verdict:
    """Fire where the gradient arrives, an epsilon stands above it and steps are tiny."""
    share, step = case.measured("gradient_delivered").get("", 0.0), case.measured("step_over_rate").get("")
    epsilon, size = case.measured("highest_epsilon").get("", 0.0), case.measured("gradient_rms").get("", 0.0)
    if step is None or step > 5 * _TINY_STEP or share < _SHRUNK or epsilon < max(_LARGE_EPSILON, size):
        return None
    evidence = [
        Evidence(f"Adam's epsilon is {epsilon:.2g}, an element of the gradient {size:.2g}", epsilon, 1e-8, _SOURCE),
        Evidence(f"a step is {step:.2g} rates long", step, 0.3, _SOURCE),
    ]
    return Finding(
        code="steps-too-small",
        title="Adam's epsilon swallows the gradients",
        severity="pipeline",
        confidence=0.95,
        evidence=tuple(evidence),
        causes=("epsilon-too-large",),
        refuted_by="steps of usual size with the usual epsilon of 1e-8 that bring nothing",
        next_test="one epoch with Adam's epsilon at 1e-8",
        remedies=("repair_settings",),
    )
