"""How many seeds it would take to see a difference, from the parts of the variance that were found."""

from __future__ import annotations

import math
from statistics import NormalDist

from unplateau.selection.crossed import Uncertain

SEED_DEVIATION = 0.012
"""Standard deviation of the held-out mAP between seeds, where nothing is known yet: docs/protocol.md, 75 to 100 identities."""
_POWER = 0.8
_MOST_SEEDS = 50


def seeds_needed(apart: Uncertain, num_seeds: tuple[int, int]) -> int | None:
    """Return how many seeds of each recipe would show a difference as large as this one in four of five experiments, about.

    Args:
        apart: the difference and the parts of its variance.
        num_seeds: of the first and the second recipe, as they were when the parts were found.

    Returns:
        At least 2; None where more than `_MOST_SEEDS` would be needed, or no number of seeds would do on these identities.
    """
    if not apart.is_known or apart.value == 0:
        return None
    mean_count = 2 / (1 / num_seeds[0] + 1 / num_seeds[1])
    one_each = apart.seeds * mean_count
    for_one = apart.seeds_freedom / (sum(num_seeds) - 2)  # below 1 where one recipe is much noisier than the other
    for count in range(2, _MOST_SEEDS + 1):
        later = Uncertain(
            apart.value, apart.identities, apart.identities_freedom, one_each / count, max(1.0, for_one * 2 * (count - 1))
        )
        if later.half_width() + NormalDist().inv_cdf(_POWER) * later.deviation <= abs(apart.value):
            return count
    return None


def seeds_to_see(difference: float) -> int | None:
    """Return how many seeds of each would show this difference of mAP where seeds are as noisy as they usually are.

    >>> seeds_to_see(0.03), seeds_to_see(0.001)
    (4, None)
    """
    return seeds_needed(Uncertain(difference, 0.0, math.inf, SEED_DEVIATION**2, 2.0), (2, 2)) if difference else None
