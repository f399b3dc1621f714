"""Estimates, differences, durations and configuration values in words; points are hundredths of mAP."""

from __future__ import annotations

import math

from unplateau.selection.statistics import Difference, Estimate


def shown(value: object) -> str:
    """Return a configuration value as people write it.

    >>> shown((20, 50)), shown(0.1)
    ('[20, 50]', '0.1')
    """
    return f"[{', '.join(map(str, value))}]" if isinstance(value, (tuple, list)) else str(value)


def points(value: float) -> str:
    """Return a share as points.

    >>> points(0.0123)
    '1.2 points'
    """
    return f"{100 * value:.1f} points"


def interval_words(estimate: Estimate) -> str:
    """Return a share with its interval, in percent."""
    if math.isinf(estimate.high):
        return f"{estimate.value:.2%} (too little is known for an interval)"
    return f"{estimate.value:.2%} (95 % interval {estimate.low:.2%} to {estimate.high:.2%})"


def difference_words(difference: Difference, *, signed: bool = True) -> str:
    """Return a difference in points with its interval and the corrected p-value."""
    estimate = difference.estimate
    value = f"{100 * estimate.value:+.1f}" if signed else f"{100 * estimate.value:.1f}"
    if math.isinf(estimate.high):
        return f"{value} points (too little is known for an interval)"
    return (
        f"{value} points (95 % interval {100 * estimate.low:+.1f} to {100 * estimate.high:+.1f}, "
        f"p {_p_words(difference.p_adjusted)} after Holm)"
    )


def _p_words(p_value: float) -> str:
    return "< 0.001" if p_value < 0.001 else f"= {p_value:.3f}"


def share_words(value: float, estimate: Estimate | None) -> str:
    """Return a share in percent, with its interval where there is one.

    >>> share_words(0.4213, Estimate(0.4213, 0.38, 0.461))
    '42.1 % (95 % interval 38.0 to 46.1 %)'
    """
    if estimate is None or math.isinf(estimate.high):
        return f"{100 * value:.1f} %"
    return f"{100 * value:.1f} % (95 % interval {100 * estimate.low:.1f} to {100 * estimate.high:.1f} %)"


def duration_words(seconds: float) -> str:
    """Return a duration in at most two units.

    >>> duration_words(7325), duration_words(67.4), duration_words(2.26)
    ('2 h 02 min', '1 min 07 s', '2.3 s')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
    return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60:02d} min"
