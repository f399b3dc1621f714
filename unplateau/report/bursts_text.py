"""The table of bursts: paired differences of each solution from the control, with intervals, in the new order."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from unplateau.solutions.bursts import BurstResult, Interval

_WIDTH = 116


def bursts_text(results: Sequence[BurstResult]) -> str:
    """Return the results as text, the most promising first."""
    tried = [result for result in results if result.was_tried]
    lines = ["BURSTS: each solution against the unchanged control, from the same checkpoint, on as many images (95 % intervals)."]
    if tried and tried[0].map_before is not None:
        before, control = tried[0].map_before, tried[0].control_map_after
        lines.append(f"  held-out mAP before {before:.2%}, control after its burst {control:.2%}")
    for place, result in enumerate(results, 1):
        lines += _one(place, result)
    lines.append(
        _filled(
            "A burst shows what happens at once: a lowered rate gains early, a raised one may pay later. It ranks, it proves "
            "nothing."
        )
    )
    return "\n".join(lines)


def _one(place: int, result: BurstResult) -> list[str]:
    head = f"{place}. {result.name}: {result.verdict}"
    if result.map_gain is not None:
        head += f", mAP {_words(result.map_gain, 100, 2)} points (p {result.p_adjusted:.3f} after Holm)"
    lines = [_filled(head)]
    for term in result.terms:
        level, slope = _words(term.level, 1, 3), _words(term.slope, 1, 3)
        lines.append(_filled(f"{term.name}: level {level}, slope {slope} in 1000 images", "       "))
    if result.note:
        lines.append(_filled(result.note, "       "))
    return lines


def _words(interval: Interval, scale: float, digits: int) -> str:
    value, low, high = (f"{scale * number:+.{digits}f}" for number in (interval.value, interval.low, interval.high))
    return f"{value} ({low} to {high})"


def _filled(text: str, indent: str = "  ") -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=indent, subsequent_indent=f"{indent}   ", break_on_hyphens=False)
