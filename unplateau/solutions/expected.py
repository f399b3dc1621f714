"""What was seen in the stalled run and hoped for of the solutions, as asked: unweighted loss terms at some epochs.

They are shown beside what happened and prove nothing: a trainer that works beats them in its first epoch.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Losses:
    """Unweighted terms of one epoch, and their sum."""

    cross_entropy: float
    triplet: float
    total: float


STALLED = {10: Losses(6.71, 2.83, 9.54), 20: Losses(6.72, 2.81, 9.53), 30: Losses(6.73, 2.82, 9.55)}
HOPED_FOR = {
    "solution_1_higher_lr": {10: Losses(6.45, 2.75, 9.20), 20: Losses(5.92, 2.68, 8.60), 30: Losses(5.45, 2.55, 8.00)},
    "solution_2_cosine_annealing": {10: Losses(6.35, 2.72, 9.07), 20: Losses(5.78, 2.60, 8.38), 30: Losses(5.20, 2.45, 7.65)},
}
AFTER_ANY_SOLUTION = "after any solution: CE 5.5-6.0, triplet 2.4-2.6, total 8.5-9.0"
