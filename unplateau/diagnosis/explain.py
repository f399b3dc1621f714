"""A page for every finding and every cause: `unplateau explain CODE`. A finding's page is the docstring of its rule's module."""

from __future__ import annotations

import difflib
import inspect
from types import ModuleType

from unplateau.base.errors import UsageError
from unplateau.diagnosis.causes import BY_CODE, CAUSES
from unplateau.diagnosis.rules import not_a_plateau, unknown
from unplateau.diagnosis.rules.table import RULES

_PREFLIGHT = {
    "learning-rate-zero": "The learning rate that reaches the optimiser is 0, so no step changes anything.",
    "blank-inputs": "The images of a batch are blank after the transforms: decoding or normalisation is broken.",
    "inputs-not-normalised": "Channel means and standard deviations after the transforms are not near 0 and 1. "
    "Pixel means are on the 0-255 scale here, on 0-1 in other trainers.",
    "no-negatives": "All images of a batch show one person: a metric loss finds nothing to push away.",
    "initial-loss-off": "The first cross-entropy is not ln I + |f|² sigma²/2: head, loss or labels are not what they seem.",
}

_OWN_WORDS = {
    "plateau": "A real plateau: the network has learned, and at this rate nothing more comes.",
    "still-improving": "Not a plateau: the curve still improves.",
    "undecided": "Too few points, or too much noise, to say.",
    "in-warm-up": "Not a plateau: the learning rate is still warming up.",
    "before-drop": "Not a plateau: flat before a scheduled drop of the learning rate, as healthy runs are.",
    "finished": "Not a plateau: the run is at its floor or at the end of its schedule.",
    "learning-rate-zero": "The learning rate that reaches the optimiser is 0.",
    "gradients-accumulate": "Gradients of old steps add up: zero_grad is missing.",
    "losses-in-conflict": "The gradients of two losses pull against each other.",
    "losses-unbalanced": "One loss has nearly all of the gradient, another is far from solved.",
    "labels-shifted": "Labels belong to the images beside them.",
    "labels-mixed": "Several people share one label.",
    "labels-have-twins": "One person has several labels.",
    "copied-images": "Many images are copies of each other.",
    "preparation-differs": "Evaluation images are prepared otherwise than training images.",
    "steps-too-small": "There is a gradient, and the steps made of it move next to nothing.",
    "losses-not-as-configured": "The losses that are trained are not those of the configuration.",
    "loss-cut-off": "A loss does not reach the backbone.",
    "labels-change": "Labels change from batch to batch, or from epoch to epoch.",
    "labels-of-cameras": "Every label is seen by one camera only.",
    "labels-split-in-batch": "Images of one person are drawn together, and carry different labels.",
    "weights-are-zero": "Many weights are exactly 0.",
    "margin-wrong": "The triplet margin does not fit the distances.",
    "steps-too-large": "Steps are far larger than the learning rate says.",
    "steps-undone": "Something takes the optimiser's steps back.",
    "step-not-as-meant": "The training step computes other losses than its model and losses give for the batch.",
    "gradient-not-of-losses": "What the optimiser steps with is not the gradient of the losses.",
    "gradient-not-of-model": "The model hands back another gradient than the slope of its outputs.",
    "total-not-of-losses": "What the training step minimises is not the weighted sum of its losses.",
    "updates-are-rare": "Most training steps end without an update.",
    "images-not-of-files": "Training images are not the pictures of their files.",
    "labels-not-of-files": "Training images carry the labels of other files.",
    "evaluation-not-repeated": "The evaluation, done again by plain means, gives something else.",
    "pictures-of-two-kinds": "Training, queries and gallery are told apart by how their pictures look.",
    "optimizer-not-as-configured": "The optimiser is not set as the configuration says.",
}
"""One line for each of the findings that share a page, where the vocabulary of causes has none."""


def finding_codes() -> tuple[str, ...]:
    """Return the codes of all findings, in the order of the rules."""
    codes = [rule.code for rule in RULES] + [*not_a_plateau.CODES, unknown.CODE, *_PREFLIGHT]
    return tuple(dict.fromkeys(codes))


def page(code: str) -> str:
    """Return the page of a finding or a cause.

    Raises:
        UsageError: there is no such code; the nearest are named.
    """
    module = _module(code)
    if module is not None:
        return f"{code}: {title(code)}\n\n{_shared(code)}{inspect.getdoc(module) or ''}\n"
    if code in _PREFLIGHT:
        return f"{code}\n\n{_PREFLIGHT[code]}\n\nSeen by preflight, before the first epoch is spent.\n"
    if code in BY_CODE:
        return _cause_page(code)
    known = [*finding_codes(), *BY_CODE]
    near = difflib.get_close_matches(code, known, n=3)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    raise UsageError(f"There is no finding or cause called {code!r}. {hint}`unplateau explain --list` shows all.")


def vocabulary() -> str:
    """Return all findings and causes, one a line; causes of one cure stand together."""
    lines = ["Findings (what the evidence says):"]
    lines += [f"  {code:<26} {title(code)}" for code in finding_codes()]
    lines += ["", "Causes (what may be behind it), by their cure; causes of one cure count as one class:"]
    for cure in dict.fromkeys(cause.cure for cause in CAUSES):
        lines.append(f"  {cure}")
        lines += [f"    {cause.code:<26} {cause.meaning}" for cause in CAUSES if cause.cure == cure]
    return "\n".join(lines) + "\n"


def title(code: str) -> str:
    """Return what a code says, in one line."""
    module = _module(code)
    if code in _OWN_WORDS:
        return _OWN_WORDS[code]
    if code in BY_CODE and (module is None or _sharing(module) != (code,)):
        return f"{BY_CODE[code].meaning[0].upper()}{BY_CODE[code].meaning[1:]}."
    if code in _PREFLIGHT and (module is None or _sharing(module) != (code,)):
        return _PREFLIGHT[code].split(".")[0] + "."
    return (inspect.getdoc(module) or "").split("\n", 1)[0]


def _module(code: str) -> ModuleType | None:
    """The module whose docstring is the page."""
    if code in not_a_plateau.CODES:
        return not_a_plateau
    if code == unknown.CODE:
        return unknown
    return next((rule.module for rule in RULES if rule.code == code), None)


def _sharing(module: ModuleType) -> tuple[str, ...]:
    """The codes whose page a module is."""
    return tuple(code for code in finding_codes() if _module(code) is module)


def _shared(code: str) -> str:
    module = _module(code)
    others = [other for other in _sharing(module) if other != code] if module is not None else []
    return f"(One page with: {', '.join(others)}.)\n\n" if others else ""


def _cause_page(code: str) -> str:
    cause = BY_CODE[code]
    same = [other.code for other in CAUSES if other.cure == cause.cure and other.code != code]
    together = f"\nSame cure: {', '.join(same)}." if same else ""
    return f"{code} (a cause)\n\n{cause.meaning[0].upper()}{cause.meaning[1:]}.\nCure: {cause.cure}.{together}\n"
