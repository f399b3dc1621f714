"""Student's t distribution as far as intervals need it: quantiles by Hill's (1970) expansion, so that no SciPy is needed."""

from __future__ import annotations

import math
from statistics import NormalDist


def t_quantile(probability: float, degrees_of_freedom: float) -> float:
    """Return the quantile of Student's t; within 0.1 % of the exact value from 3 degrees of freedom on.

    Args:
        probability: between 0 and 1.
        degrees_of_freedom: at least 1; 1 and 2 have closed forms.

    >>> round(t_quantile(0.975, 10), 3)
    2.228
    >>> round(t_quantile(0.975, 1), 2)
    12.71
    """
    if degrees_of_freedom <= 1:
        return math.tan(math.pi * (probability - 0.5))
    if degrees_of_freedom == 2:
        return (2 * probability - 1) / math.sqrt(2 * probability * (1 - probability))
    z, n = NormalDist().inv_cdf(probability), degrees_of_freedom
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + first / n + second / n**2 + third / n**3 + fourth / n**4
