"""Warnings that are known to mean something, found in a log's text or in a person's own words."""

from __future__ import annotations

import re

_PATTERNS: tuple[tuple[str, str], ...] = (
    ("no-inf-checks", r"no inf checks were recorded"),
    ("scheduler-before-optimizer", r"lr_scheduler\.step\(\)`? before `?optimizer\.step\(\)"),
    ("no-gradient", r"does not require grad and does not have a grad_fn|none of the inputs have requires_grad"),
    ("label-out-of-range", r"device-side assert|target \d+ is out of bounds|t >= 0 && t < n_classes|cur_target >= 0"),
    ("query-not-in-gallery", r"query identit(y|ies) do(es)? not appear in gallery"),
    ("weights-not-loaded", r"(some model parameters or buffers are not found in the checkpoint|no pretrained (weights|model)"
                           r"|randomly init\w+ (the )?backbone|cannot be loaded|size mismatch for)"),
    ("out-of-memory", r"out of memory"),
    ("not-a-number", r"\b(loss|total_loss)\b\W{0,4}(is |became |=)?\s*(nan|inf)\b|FloatingPointError|non-finite loss"),
    ("mixed-precision-turned-off", r"\bamp\b[^.\n]{0,40}\b(off|disabled|removed|turned)\b"
                                   r"|(turned|switched) off[^.\n]{0,20}\bamp\b|(disabled|without) (amp|mixed precision)"),
)  # fmt: skip
_COMPILED = tuple((code, re.compile(pattern, re.IGNORECASE)) for code, pattern in _PATTERNS)
_ANY = re.compile("|".join(f"(?:{pattern})" for _, pattern in _PATTERNS), re.IGNORECASE)

SYMPTOM_CODES = tuple(code for code, _ in _PATTERNS)


def symptoms_in(text: str) -> tuple[str, ...]:
    """Return the codes of the known symptoms that a line, or a person's description, speaks of.

    >>> symptoms_in("AssertionError: No inf checks were recorded for this optimizer. I turned AMP off.")
    ('no-inf-checks', 'mixed-precision-turned-off')
    >>> symptoms_in("epoch 3 done")
    ()
    """
    if not _ANY.search(text):
        return ()
    return tuple(code for code, pattern in _COMPILED if pattern.search(text))
