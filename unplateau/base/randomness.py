"""The one place where random streams come from: the run's seed, what the stream is for, and where in the run it is used.

Nothing random carries state from one epoch to the next, so a run resumed at an epoch's start draws exactly what the
uninterrupted run would have drawn, and no generator has to be saved.
"""

import hashlib

_BITS = 63  # torch.Generator.manual_seed and numpy both take this many


def stream_seed(seed: int, purpose: str, *position: int) -> int:
    """Return a seed for one stream of random numbers, independent of every other (purpose, position).

    Args:
        seed: the run's seed, `SEED`.
        purpose: what is drawn, such as "sampler" or "augmentation".
        position: where in the run, such as (epoch, rank).

    >>> stream_seed(0, "sampler", 1) == stream_seed(0, "sampler", 1)
    True
    >>> stream_seed(0, "sampler", 1) == stream_seed(0, "sampler", 2)
    False
    """
    text = "/".join([str(seed), purpose, *map(str, position)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> (64 - _BITS)
