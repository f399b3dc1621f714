"""Random streams depend on seed, purpose and position, and on nothing else."""

import itertools

from unplateau.base.randomness import stream_seed


def test_every_purpose_and_position_has_its_own_stream() -> None:
    positions = list(itertools.product(range(3), ("sampler", "augment"), range(9), range(3)))
    seeds = {stream_seed(seed, purpose, epoch, rank) for seed, purpose, epoch, rank in positions}
    assert len(seeds) == len(positions)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_same_position_gives_the_same_stream_in_every_version() -> None:
    assert stream_seed(0, "sampler", 1) == 8198810900731450103
