"""Learning-rate range test (Smith 2017, section 3.3): the loss while the rate rises exponentially.

Cost: one B a rate, 100 to 200 B. Run it inside `leave_no_trace.untouched`. Smoothing as in Gugger 2018: an average with
decay, freed of its bias.
"""

import math
from collections.abc import Callable

from unplateau.runs.record import Measurement


def lr_range(
    step: Callable[[float], float], *, lowest: float = 1e-7, highest: float = 10.0, num_steps: int = 100, smoothing: float = 0.9
) -> tuple[Measurement, ...]:
    """Train one step at each rate, until the last or until the loss is no longer finite.

    Args:
        step: does one training step at the given rate and returns the loss before it.
        lowest, highest: ends of the sweep; rates are evenly spaced on a logarithmic scale.
        num_steps: rates tried, at least 2.
        smoothing: share of the old average that a new loss keeps, 0 to 1.

    Returns:
        lr_range_loss for each rate (smoothed; the rate is its group, as text), rate_of_steepest_descent, rate_of_lowest_loss,
        highest_finite_rate and lr_range_first_loss.
    """
    rates = [lowest * (highest / lowest) ** (i / (num_steps - 1)) for i in range(num_steps)]
    losses = _sweep(step, rates)
    smooth = _smoothed(losses, smoothing)
    curve = [
        Measurement("lr_range_loss", loss, "nats", i, f"{rate:.6g}")
        for i, (rate, loss) in enumerate(zip(rates, smooth, strict=False))
    ]
    unit = "learning rate"
    if len(smooth) < 2:
        nothing = "the loss was not finite from the first or second step"
        return (*curve, Measurement("rate_of_steepest_descent", None, unit, note=nothing))
    bottom = smooth.index(min(smooth))
    # beyond the lowest loss it can only fall back from where a too high rate has thrown it
    steepest = min(range(1, max(bottom, 1) + 1), key=lambda i: smooth[i] - smooth[i - 1])
    return (
        *curve,
        Measurement("lr_range_first_loss", losses[0], "nats"),
        Measurement("rate_of_steepest_descent", rates[steepest], unit),
        Measurement("rate_of_lowest_loss", rates[bottom], unit),
        Measurement("highest_finite_rate", rates[len(losses) - 1], unit),
    )


def _sweep(step: Callable[[float], float], rates: list[float]) -> list[float]:
    losses: list[float] = []
    for rate in rates:
        loss = step(rate)
        if not math.isfinite(loss):
            break
        losses.append(loss)
    return losses


def _smoothed(losses: list[float], smoothing: float) -> list[float]:
    average, smooth = 0.0, []
    for count, loss in enumerate(losses, start=1):
        average = smoothing * average + (1 - smoothing) * loss
        smooth.append(average / (1 - smoothing**count))
    return smooth
