"""Student's t distribution as far as intervals need it: tail and quantile, to six digits, so that no SciPy is needed.

The tail is the incomplete beta function by its continued fraction (Press et al. 2007, Numerical Recipes, section 6.4). Degrees of
freedom need not be whole, and may be as few as 1, where a normal approximation is far off.
"""

from __future__ import annotations

import math
from statistics import NormalDist

_TINY = 1e-300
_PRECISION = 1e-12
_MOST_STEPS = 500


def t_two_sided(value: float, degrees_of_freedom: float) -> float:
    """Return the probability that Student's t is farther from zero than `value`.

    >>> round(t_two_sided(2.228, 10), 3)
    0.05
    """
    n = degrees_of_freedom
    return _incomplete_beta(n / (n + value * value), n / 2, 0.5)


def t_quantile(probability: float, degrees_of_freedom: float) -> float:
    """Return the quantile of Student's t.

    Args:
        probability: between 0 and 1, both excluded.
        degrees_of_freedom: at least 1; need not be whole.

    >>> round(t_quantile(0.975, 10), 3)
    2.228
    >>> round(t_quantile(0.975, 1), 2)
    12.71
    """
    if probability == 0.5:
        return 0.0
    if probability < 0.5:
        return -t_quantile(1 - probability, degrees_of_freedom)
    return t_beyond(2 * (1 - probability), degrees_of_freedom)


def t_beyond(share: float, degrees_of_freedom: float) -> float:
    """Return the value that Student's t is farther from zero than with probability `share`, between 0 and 1.

    Newton's method on the logarithms, where the tail is concave: from the second step on it closes in from one side.

    >>> round(t_beyond(0.05, 10), 3)
    2.228
    """
    value = max(_first_guess(share, degrees_of_freedom), 1e-3)
    for _ in range(_MOST_STEPS):
        tail = max(t_two_sided(value, degrees_of_freedom), _TINY)
        step = (math.log(tail) - math.log(share)) * tail / (2 * _density(value, degrees_of_freedom) * value)
        value *= math.exp(min(step, 50.0))
        if abs(step) < 1e-9:
            break
    return value


def _first_guess(share: float, n: float) -> float:
    """The normal quantile, with the first terms of Hill's (1970) expansion where they help."""
    z = -NormalDist().inv_cdf(share / 2)
    if n < 3 or z > 4:
        return z
    return z + (z**3 + z) / 4 / n + (5 * z**5 + 16 * z**3 + 3 * z) / 96 / n**2


def _density(value: float, n: float) -> float:
    log_scale = math.lgamma((n + 1) / 2) - math.lgamma(n / 2) - 0.5 * math.log(n * math.pi)
    return math.exp(log_scale - (n + 1) / 2 * math.log1p(value * value / n))


def _incomplete_beta(x: float, a: float, b: float) -> float:
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1) / (a + b + 2):
        return math.exp(scale) * _continued_fraction(x, a, b) / a
    return 1 - math.exp(scale) * _continued_fraction(1 - x, b, a) / b


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Lentz's method; the denominators are kept away from zero."""
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MOST_STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _away(1 + term * d)
            c = _away(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return value


def _away(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
