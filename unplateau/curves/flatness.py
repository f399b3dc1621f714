"""Is this curve flat? All of: (a) its robust slope cannot bring a gain that matters in the time left at this learning rate,
(b) judged by its own measured noise, (c) extrapolation gives a later gain a small chance, (d) no warm-up runs and no
scheduled drop is ahead.

Why each: single outliers and the best-ever value mislead (pytorch #30873, tensorflow/addons #2498), and healthy step-schedule
runs are flat before every milestone. What to do about a flat curve: `diagnosis`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from unplateau.curves.change_points import last_piece
from unplateau.curves.noise import Noise
from unplateau.curves.slope import Slope, robust_slope
from unplateau.curves.smoothing import FloatArray, bin_means, without_spikes

Verdict = Literal["flat", "improving", "undecided", "worsening", "in-warm-up", "before-drop", "too-short"]

FEWEST_POINTS = 6  # below it a slope's interval says nothing
_SMALL_CHANCE = 0.2  # of a later gain that matters; above it the curve is not called flat
_MAX_POINTS = 400
_TIME_CONSTANTS = np.geomspace(0.05, 6.0, 20)  # of the exponential approaches tried, in units of the curve's own length
_GAIN_OF_SPAN = 0.02  # default gain that matters: this share of all that the curve has moved, or four times its noise


@dataclass(frozen=True)
class Ahead:
    """What the schedule still holds."""

    remaining: float
    """Units of x left at this learning rate."""
    in_warm_up: bool = False
    drop_ahead: bool = False
    """A scheduled drop of the learning rate is still to come."""


@dataclass(frozen=True)
class Flatness:
    """Whether a curve is flat, and the numbers this rests on. Gains are in the direction that is better, in the curve's unit."""

    verdict: Verdict
    slope: Slope
    """Of the last straight piece; in the curve's own direction."""
    largest_gain: float
    """Upper 95 % bound of the slope times what is left."""
    chance_of_gain: float
    """Probability, from extrapolation, that a gain that matters still comes at this learning rate."""
    gain_that_matters: float
    first_x: float
    """Where the last straight piece begins."""
    reasons: tuple[str, ...] = ()

    @property
    def stationary(self) -> bool:
        """Whether the curve itself is flat, whatever the schedule holds: (a) to (c) without (d)."""
        return self.largest_gain < self.gain_that_matters and self.chance_of_gain < _SMALL_CHANCE


def judge_flatness(
    x: ArrayLike, y: ArrayLike, *, ahead: Ahead, gain_that_matters: float | None = None, lower_is_better: bool = True
) -> Flatness:
    """Say whether the curve is flat, improving or worsening; "undecided" where a gain that matters cannot be excluded.

    Args:
        x: shape (n,), epochs or steps, rising.
        y: shape (n,), a loss (or a score with `lower_is_better=False`), finite.
        ahead: what the schedule still holds, in units of x.
        gain_that_matters: smallest improvement worth waiting for; by default the larger of 2 % of the curve's range and twice its
            noise.

    >>> judge_flatness(range(27), [6.72] * 27, ahead=Ahead(remaining=60)).verdict
    'flat'
    >>> judge_flatness(range(27), [6.7 - 0.1 * n for n in range(27)], ahead=Ahead(remaining=60)).verdict
    'improving'
    >>> judge_flatness(range(27), [6.72] * 27, ahead=Ahead(remaining=3, drop_ahead=True)).verdict
    'before-drop'
    """
    places, values = bin_means(x, y, _MAX_POINTS)
    losses = without_spikes(values if lower_is_better else -values)
    begin = _recent(losses)
    slope = robust_slope(places[begin:], losses[begin:])
    matters = gain_that_matters if gain_that_matters is not None else _default_gain(losses, slope.noise)
    gain = max(0.0, -slope.low * ahead.remaining) if math.isfinite(slope.low) else math.inf
    chance = chance_of_gain(places, losses, remaining=ahead.remaining, gain=matters)
    verdict, reasons = _verdict(slope, gain, chance, matters, ahead)
    first_x = float(places[begin]) if len(places) else math.nan
    return Flatness(verdict, slope if lower_is_better else _mirrored(slope), gain, chance, matters, first_x, reasons)


def chance_of_gain(x: FloatArray, losses: FloatArray, *, remaining: float, gain: float) -> float:
    """Return the probability that the loss falls by at least `gain` within `remaining`, by extrapolation.

    Exponential approaches with many time constants are fitted by least squares, weighted by their likelihood under the measured
    noise, and each predicts the further gain with its own uncertainty (Bayesian model averaging with a flat prior).
    """
    if len(losses) < FEWEST_POINTS or remaining <= 0:
        return math.nan if remaining > 0 else 0.0
    span = float(x[-1] - x[0])
    fits = [_fit_exponential(x - x[0], losses, tau * span, remaining) for tau in _TIME_CONSTANTS]
    residual_squares = np.array([fit[0] for fit in fits])
    best = float(residual_squares.min())
    variance = max(best / (len(losses) - 3), 1e-18)
    inflation = robust_slope(x, losses).noise.inflation if len(losses) < 30 else 1.5
    weights = np.exp(-(residual_squares - best) / (2 * variance * inflation))
    chances = [_normal_tail((gain - mean) / max(math.sqrt(variance * inflation) * unit_std, 1e-12)) for _, mean, unit_std in fits]
    return float(np.average(chances, weights=weights))


def _recent(losses: FloatArray) -> int:
    """Index at which the last straight piece begins, moved back where that piece alone is too short to judge."""
    return max(0, min(last_piece(losses), len(losses) - FEWEST_POINTS))


def _default_gain(losses: FloatArray, noise: Noise) -> float:
    if len(losses) == 0:
        return 0.0
    return max(_GAIN_OF_SPAN * float(np.ptp(losses)), 2 * noise.std, 1e-9 * float(np.abs(losses).max()))


def _verdict(slope: Slope, gain: float, chance: float, matters: float, ahead: Ahead) -> tuple[Verdict, tuple[str, ...]]:
    if slope.num_points < FEWEST_POINTS:
        return "too-short", (f"{slope.num_points} points; at least {FEWEST_POINTS} are needed",)
    if ahead.in_warm_up:
        return "in-warm-up", ("the learning rate is still warming up",)
    if slope.low > 0 and slope.low * ahead.remaining > matters:
        return "worsening", (f"worsens by {slope.value:.3g} per unit, at least {slope.low:.3g}",)
    if slope.high < 0 and -slope.value * ahead.remaining >= matters:
        return "improving", (f"improves by {-slope.value:.3g} per unit, at least {-slope.high:.3g}",)
    if gain >= matters or chance >= _SMALL_CHANCE:
        return "undecided", (f"a gain of {matters:.3g} is still possible (chance {chance:.0%}, at most {gain:.3g} by the slope)",)
    if ahead.drop_ahead:
        return "before-drop", ("flat, and a scheduled drop of the learning rate is still ahead",)
    return "flat", (f"at most {gain:.3g} can still come at this learning rate; {matters:.3g} would matter",)


def _mirrored(slope: Slope) -> Slope:
    return slope._replace(value=-slope.value, low=-slope.high, high=-slope.low, level=-slope.level)


def _fit_exponential(x: FloatArray, losses: FloatArray, tau: float, remaining: float) -> tuple[float, float, float]:
    """Return (residual sum of squares, predicted gain, its standard deviation for unit noise) of a + b exp(-x / tau)."""
    decay = np.exp(-x / tau)
    centred = decay - decay.mean()
    power = float(centred @ centred)
    amplitude = float(centred @ losses) / power if power > 0 else 0.0
    residuals = losses - losses.mean() - amplitude * centred
    reach = math.exp(-float(x[-1]) / tau) * (1 - math.exp(-remaining / tau))
    unit_std = reach / math.sqrt(power) if power > 0 else 0.0
    return float(residuals @ residuals), amplitude * reach, unit_std


def _normal_tail(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))
