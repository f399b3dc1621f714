"""What a random ranking scores, exactly. A measured mAP says little until it stands beside this."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def chance_average_precision(num_positives: ArrayLike, num_ranked: ArrayLike) -> NDArray[np.float64]:
    """Return the expected average precision of a random order, for each query.

    A place k holds a right answer with probability R/N, and then (k-1)(R-1)/(N-1) of the others are expected ahead of
    it; summing precision at the right answers over all places gives (H_N + (R-1)/(N-1) (N - H_N)) / N, with H_N the
    N-th harmonic number (as in Bestgen 2015, "Exact expected average precision of the random baseline").

    Args:
        num_positives: R, 1 to N.
        num_ranked: N, images in the ranking.

    >>> chance_average_precision([1, 2, 5], [1, 2, 5]).tolist()
    [1.0, 1.0, 1.0]
    >>> float(chance_average_precision(1, 2)[0])
    0.75
    """
    positives, ranked = np.atleast_1d(num_positives).astype(np.float64), np.atleast_1d(num_ranked)
    harmonic = np.cumsum(1 / np.arange(1, ranked.max(initial=1) + 1))[ranked - 1]
    others = (positives - 1) / np.maximum(ranked - 1, 1)
    return np.asarray((harmonic + others * (ranked - harmonic)) / ranked)
