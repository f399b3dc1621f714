"""The configured sampler is asked what it would have drawn from the list of training images."""

from dataclasses import replace

import pytest
import torch

from unplateau.data.items import Item
from unplateau.optim.schedules import Schedule
from unplateau.testing.tiny_problem import tiny_config, tiny_parts, tiny_problem
from unplateau.workflows.probing.bench import Bench
from unplateau.workflows.probing.meant_sampling import meant_rows, sampling_as_configured

PEOPLE = 16


@pytest.fixture
def bench() -> Bench:
    parts = tiny_parts(tiny_problem(num_identities=PEOPLE, images_each=8), tiny_config())
    items = tuple(Item(f"{person}_{n}.jpg", person, n % 2, "tiny") for person in range(PEOPLE) for n in range(8))
    return Bench(parts, Schedule.from_config(parts.config, 4), train_items=items)


def test_rows_are_batches_as_configured(bench: Bench) -> None:
    rows_SB = meant_rows(bench, seed=0)
    assert rows_SB is not None
    config = bench.parts.config
    assert rows_SB.shape[1] == config.SOLVER.IMS_PER_BATCH
    for rows_B in rows_SB:
        _, counts = torch.tensor([bench.train_items[row].person_id for row in rows_B.tolist()]).unique(return_counts=True)
        assert set(counts.tolist()) == {config.DATALOADER.NUM_INSTANCE}


def test_batches_people_and_cameras_stand_beside_those_of_the_training(bench: Bench) -> None:
    found = {(m.name, m.group): m.value for m in sampling_as_configured(bench)}
    assert found["batch_with_positive", "as configured"] == 1.0
    assert found["identities_seen", "as configured"] == 1.0
    assert 0 <= found["drawn_apart", "people"] <= 1 and 0 <= found["drawn_apart_by_chance", "people"] < 0.5


def test_without_a_list_or_with_too_few_people_in_it_nothing_is_compared(bench: Bench) -> None:
    assert sampling_as_configured(replace(bench, train_items=())) == ()
    assert meant_rows(replace(bench, train_items=bench.train_items[:8]), seed=0) is None
