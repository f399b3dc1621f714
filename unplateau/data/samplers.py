"""Which images make up each step of an epoch: plain shuffling and PK sampling (P identities, K images of each).

A plan is a pure function of the labels, the cameras, the shape of a batch, the seed, the epoch and the rank: nothing is
carried over, so a resumed epoch is the uninterrupted one. Reads no image. PK sampling: Hermans, Beyer & Leibe 2017, sec. 2.

Legend: N images of the training set, I identities, S steps of an epoch, B images a process sees in a step.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from unplateau.base.errors import ConfigError, DataError
from unplateau.base.randomness import stream_seed
from unplateau.config.schema import Config


@dataclass(frozen=True)
class BatchShape:
    """How many images a step takes, and which part of it is this process's.

    Attributes:
        num_images: images a step over all processes, `SOLVER.IMS_PER_BATCH`.
        num_instances: K, images of each identity, `DATALOADER.NUM_INSTANCE`; plain shuffling ignores it.
        rank: this process, from 0.
        world_size: number of processes.
    """

    num_images: int
    num_instances: int
    rank: int = 0
    world_size: int = 1

    @classmethod
    def from_config(cls, config: Config, *, rank: int = 0, world_size: int = 1) -> "BatchShape":
        """Return the shape the configuration asks for."""
        return cls(config.SOLVER.IMS_PER_BATCH, config.DATALOADER.NUM_INSTANCE, rank, world_size)

    @property
    def num_identities(self) -> int:
        """P, identities a step over all processes."""
        return self.num_images // self.num_instances

    def steps(self, num_images: int) -> int:
        """Return S for a training set of `num_images`: every sampler takes floor(N / IMS_PER_BATCH) steps, at least one.

        >>> BatchShape(64, 4).steps(12936), BatchShape(64, 4).steps(30)
        (202, 1)
        """
        return max(1, num_images // self.num_images)


@dataclass(frozen=True)
class Population:
    """What the samplers know of the training images.

    Attributes:
        labels_N: int64, the identity of each image, 0..I-1, every one of them present.
        cameras_N: int64, the camera of each image, -1 = unknown.
    """

    labels_N: np.ndarray
    cameras_N: np.ndarray

    @property
    def num_identities(self) -> int:
        return int(self.labels_N.max()) + 1

    def images_of_identities(self) -> list[np.ndarray]:
        """Return, for each identity, the indices of its images."""
        order_N = np.argsort(self.labels_N, kind="stable")
        return np.split(order_N, np.cumsum(np.bincount(self.labels_N))[:-1])


def plan_epoch(sampler: str, population: Population, shape: BatchShape, *, seed: int, epoch: int) -> np.ndarray:
    """Return the images of every step of one epoch for one process.

    Args:
        sampler: a key of `SAMPLERS`, the value of `DATALOADER.SAMPLER_TRAIN`.
        population: labels and cameras of the training images.
        shape: the batch; `shape.rank` chooses the part. In a PK step no two processes see the same identity.
        seed: the run's seed.
        epoch: from 1.

    Returns:
        indices_SB, int64, into the training images; PK batches hold the K images of an identity side by side.

    Raises:
        ConfigError: the batch cannot be divided among identities and processes.
        DataError: a step needs more identities than there are.
    """
    check(sampler, population, shape)
    generator = np.random.default_rng(stream_seed(seed, "sampler", epoch))
    plan_SB = SAMPLERS[sampler](population, shape, generator)
    return np.ascontiguousarray(np.split(plan_SB, shape.world_size, axis=1)[shape.rank])


def check(sampler: str, population: Population, shape: BatchShape) -> None:
    """Raise if `sampler` cannot make batches of this shape. See `plan_epoch`."""
    if not len(population.labels_N):
        raise DataError("The training set has no image. Check DATASETS.NAMES and the folder of the data set.")
    unit = shape.world_size * (1 if sampler == "TrainingSampler" else shape.num_instances)
    if shape.num_images % unit:
        raise ConfigError([_not_divisible(sampler, shape, unit)])
    if sampler != "TrainingSampler" and shape.num_identities > population.num_identities:
        raise DataError(_too_few_identities(population, shape, unit))


def even_draws(num_members: int, group_size: int, num_groups: int, generator: np.random.Generator) -> np.ndarray:
    """Draw groups from 0..num_members-1 that use every member equally often, as dealing from shuffled decks does.

    A group repeats no member unless it is larger than the whole; then each member is in it equally often, give or take
    one. Over all groups, too, the number of times two members are used differs by at most one.

    Args:
        num_members: at least 1.
        group_size: members of a group.
        num_groups: groups to draw.
        generator: where the randomness comes from.

    Returns:
        groups, int64, num_groups x group_size.

    >>> np.bincount(even_draws(5, 2, 5, np.random.default_rng(0)).ravel()).tolist()
    [2, 2, 2, 2, 2]
    """
    copies, rest = divmod(group_size, num_members)
    whole = np.tile(np.arange(num_members), (num_groups, copies))
    if not rest:
        return whole
    dealt: list[np.ndarray] = [np.empty(0, dtype=np.int64)]
    for start in range(0, num_groups * rest, num_members):
        deck = generator.permutation(num_members)
        num_begun = start % rest  # of the group that the last deck began and could not finish
        dealt.append(_without_repeats(deck, dealt[-1][-num_begun:], rest - num_begun) if num_begun else deck)
    groups = np.concatenate(dealt)[: num_groups * rest].reshape(num_groups, rest)
    return np.concatenate([whole, groups], axis=1)


def _without_repeats(deck: np.ndarray, begun: np.ndarray, gap: int) -> np.ndarray:
    """Reorder a deck so that its first `gap` members, which finish a group, are none of those that began it."""
    position = np.flatnonzero(~np.isin(deck, begun))[:gap]
    return np.concatenate([deck[position], np.delete(deck, position)])


def _plain(population: Population, shape: BatchShape, generator: np.random.Generator) -> np.ndarray:
    num_images = len(population.labels_N)
    return even_draws(num_images, shape.num_images, shape.steps(num_images), generator)


_ChooseImages = Callable[[np.ndarray, int, int, np.random.Generator], np.ndarray]


def _identity_plan(
    population: Population, shape: BatchShape, generator: np.random.Generator, choose: _ChooseImages
) -> np.ndarray:
    """Go through the identities in shuffled rounds; `choose` gives the K images of each visit (cameras, K, visits)."""
    steps, num_instances = shape.steps(len(population.labels_N)), shape.num_instances
    identities_SP = even_draws(population.num_identities, shape.num_identities, steps, generator)
    visits_I = np.bincount(identities_SP.ravel(), minlength=population.num_identities)
    by_identity = np.split(np.argsort(identities_SP.ravel(), kind="stable"), np.cumsum(visits_I)[:-1])
    images_VK = np.empty((identities_SP.size, num_instances), dtype=np.int64)
    for visits, images in zip(by_identity, population.images_of_identities(), strict=True):
        images_VK[visits] = images[choose(population.cameras_N[images], num_instances, len(visits), generator)]
    return images_VK.reshape(steps, shape.num_images)


def _naive_identity(population: Population, shape: BatchShape, generator: np.random.Generator) -> np.ndarray:
    return _identity_plan(population, shape, generator, _any_images)


def _balanced_identity(population: Population, shape: BatchShape, generator: np.random.Generator) -> np.ndarray:
    return _identity_plan(population, shape, generator, _images_of_many_cameras)


def _any_images(cameras: np.ndarray, num_instances: int, num_visits: int, generator: np.random.Generator) -> np.ndarray:
    return even_draws(len(cameras), num_instances, num_visits, generator)


def _images_of_many_cameras(
    cameras: np.ndarray, num_instances: int, num_visits: int, generator: np.random.Generator
) -> np.ndarray:
    """Take one image of each camera in turn, the least used first, until there are K; an identity too small is repeated."""
    copies, rest = divmod(num_instances, len(cameras))
    codes = np.unique(cameras, return_inverse=True)[1]
    used = np.zeros(len(cameras))
    groups = np.tile(np.arange(len(cameras)), (num_visits, copies + 1))[:, :num_instances]
    for group in groups if rest else ():
        turn = _turns(codes, used + generator.random(len(cameras)))
        camera_order = generator.permutation(codes.max() + 1)[codes]
        chosen = np.lexsort((camera_order, turn))[:rest]
        used[chosen] += 1
        group[num_instances - rest :] = chosen
    return groups


def _turns(codes: np.ndarray, priority: np.ndarray) -> np.ndarray:
    """Return each image's place (0 first) among the images of its own camera, lowest priority value first."""
    order = np.lexsort((priority, codes))
    starts = np.concatenate([[0], np.cumsum(np.bincount(codes))[:-1]])
    turns = np.empty(len(codes), dtype=np.int64)
    turns[order] = np.arange(len(codes)) - starts[codes[order]]
    return turns


def _not_divisible(sampler: str, shape: BatchShape, unit: int) -> str:
    lower = shape.num_images // unit * unit
    choices = f"{lower} or {lower + unit}" if lower else f"{unit}"
    factors = [] if sampler == "TrainingSampler" else [f"DATALOADER.NUM_INSTANCE {shape.num_instances}"]
    if shape.world_size > 1:
        factors.append(f"{shape.world_size} processes")
    product = f"{' x '.join(factors)} = {unit}" if len(factors) > 1 else factors[0]
    return f"SOLVER.IMS_PER_BATCH is {shape.num_images}, which is not a multiple of {product}. Use {choices}."


def _too_few_identities(population: Population, shape: BatchShape, unit: int) -> str:
    largest = population.num_identities * shape.num_instances // unit * unit
    fix = f"Set SOLVER.IMS_PER_BATCH to {largest} or less, or" if largest else "Use fewer processes, or"
    return (
        f"SOLVER.IMS_PER_BATCH {shape.num_images} with DATALOADER.NUM_INSTANCE {shape.num_instances} needs "
        f"{shape.num_identities} identities a step; the training set has {population.num_identities}. "
        f"{fix} raise NUM_INSTANCE, or train on more identities."
    )


SAMPLERS: Mapping[str, Callable[[Population, BatchShape, np.random.Generator], np.ndarray]] = MappingProxyType(
    {
        "TrainingSampler": _plain,
        "NaiveIdentitySampler": _naive_identity,
        "BalancedIdentitySampler": _balanced_identity,
    }
)
