"""What the configured sampler draws from the list of training images, beside what the training draws.

Measures only. N images, S steps, B images of a step.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from unplateau.base.errors import ConfigError, DataError
from unplateau.data.samplers import SAMPLERS, BatchShape, Population, plan_epoch
from unplateau.diagnosis.case import AS_CONFIGURED
from unplateau.probes.sampling import drawn_elsewhere, sampling
from unplateau.runs.record import Measurement
from unplateau.workflows.probing.bench import Bench
from unplateau.workflows.probing.planned import Measurements


def meant_rows(bench: Bench, *, seed: int) -> Tensor | None:
    """Return which items of the list the configured sampler draws for an epoch, (S, B); None where it cannot be asked.

    Args:
        bench: the training; its list of items may be empty.
        seed: added to the run's.
    """
    config, items = bench.parts.config, bench.train_items
    if not items or config.DATALOADER.SAMPLER_TRAIN not in SAMPLERS:
        return None
    labels_N = np.unique([item.person_id for item in items], return_inverse=True)[1].astype(np.int64)
    population = Population(labels_N, np.array([item.camera_id for item in items]))
    shape = BatchShape.from_config(config, rank=bench.parts.ranks.rank, world_size=bench.parts.ranks.world_size)
    try:
        plan_SB = plan_epoch(config.DATALOADER.SAMPLER_TRAIN, population, shape, seed=config.SEED + seed, epoch=1)
    except (ConfigError, DataError):
        return None  # the list has too few people for such batches
    return torch.from_numpy(plan_SB)


def sampling_as_configured(bench: Bench) -> Measurements:
    """Batches, people and cameras as the configured sampler draws them, and how far from that the training draws."""
    rows, again = (meant_rows(bench, seed=seed) for seed in (0, 1))
    if rows is None or again is None:
        return ()
    count = len(bench.first_batches)
    people_N, cameras_N = (torch.tensor([getattr(i, of) for i in bench.train_items]) for of in ("person_id", "camera_id"))
    meant = sampling(list(people_N[rows[:count]]), list(people_N[again[:count]]), num_identities=bench.num_identities)
    apart: list[Measurement] = []
    for of, ids_N, name in (("people", people_N, "person_ids_B"), ("cameras", cameras_N, "camera_ids_B")):
        drawn_N = torch.cat([getattr(batch, name).cpu() for batch in bench.first_batches])
        apart += drawn_elsewhere(drawn_N, ids_N[rows[:count]].flatten(), ids_N[again[:count]].flatten(), of=of)
    return (*(replace(m, group=AS_CONFIGURED) for m in meant if m.name in _COMPARED), *apart)


_COMPARED = ("images_in_batch", "identities_in_batch_mean", "batch_with_positive", "identities_seen")
