"""The held-out problem: disjoint, solvable, random by seed, and refused with a reason where identities are few."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unplateau.evaluation import Embedded, retrieve
from unplateau.evaluation.protocols import HeldOut, NotHeldOut, hold_out


def images(num_identities: int, seed: int = 0, lowest_camera: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    persons = np.repeat(np.arange(num_identities), rng.integers(1, 12, num_identities))
    return rng.permutation(persons) + 1, rng.integers(lowest_camera, 4, len(persons))


def held_out(persons: np.ndarray, cameras: np.ndarray, **options: float) -> HeldOut:
    division = hold_out(persons, cameras, **options)  # type: ignore[arg-type]
    assert isinstance(division, HeldOut)
    return division


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), num_identities=st.integers(90, 300), lowest_camera=st.sampled_from((-1, 0)))
def test_every_image_has_one_use_and_every_query_a_match(seed: int, num_identities: int, lowest_camera: int) -> None:
    persons, cameras = images(num_identities, seed, lowest_camera)
    division = held_out(persons, cameras, seed=seed)
    parts = (division.train_rows, division.query_rows, division.gallery_rows)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(persons)))
    assert not np.isin(persons[division.train_rows], division.person_ids).any()
    assert set(persons[division.query_rows]) == set(division.person_ids)
    features = np.random.default_rng(seed).standard_normal((len(persons), 4))
    everything = Embedded(features, persons, cameras)
    result = retrieve(everything.rows(division.query_rows), everything.rows(division.gallery_rows))
    assert result.metrics.num_queries == len(division.query_rows)


def test_there_is_one_query_for_each_identity_and_camera() -> None:
    persons, cameras = np.repeat(np.arange(100), 6), np.tile([0, 0, 1, 1, 2, 2], 100)
    division = held_out(persons, cameras)
    pairs = list(zip(persons[division.query_rows], cameras[division.query_rows], strict=True))
    assert len(pairs) == len(set(pairs)) == 3 * 20


def test_where_cameras_are_unknown_there_is_one_query_for_each_identity() -> None:
    persons = np.repeat(np.arange(100), 4)
    division = held_out(persons, np.full(400, -1))
    assert sorted(persons[division.query_rows]) == division.person_ids.tolist()
    assert len(division.gallery_rows) == 3 * 20


@pytest.mark.parametrize(
    ("cameras_of_each", "query_cameras"),
    (((0, 1), {0}), ((0, 1, 2), {0, 1}), ((0, 1, 1, 1), {0}), ((0, 0, 0, 1), {1}), ((0, 0, 1, 1), {0, 1}), ((-1, 0), {0})),
)
def test_a_query_without_a_match_elsewhere_becomes_gallery(cameras_of_each: tuple[int, ...], query_cameras: set[int]) -> None:
    persons, cameras = np.repeat(np.arange(60), len(cameras_of_each)), np.tile(cameras_of_each, 60)
    division = held_out(persons, cameras)
    assert set(cameras[division.query_rows]) == query_cameras
    assert len(division.query_rows) == 20 * len(query_cameras)


@pytest.mark.parametrize(("num_identities", "expected"), ((60, 20), (200, 20), (300, 30), (751, 75)))
def test_a_tenth_but_at_least_twenty_identities_are_held_out(num_identities: int, expected: int) -> None:
    division = held_out(np.repeat(np.arange(num_identities), 2), np.tile([0, 1], num_identities))
    assert len(division.person_ids) == expected


def test_the_choice_is_fixed_by_the_seed() -> None:
    persons, cameras = images(200)
    one, same, other = (held_out(persons, cameras, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.query_rows, same.query_rows)
    assert one.person_ids.tolist() != other.person_ids.tolist()


def test_identities_seen_by_one_camera_are_not_chosen() -> None:
    persons = np.repeat(np.arange(100), 2)
    cameras = np.where(persons < 75, 0, np.tile([0, 1], 100))
    assert held_out(persons, cameras).person_ids.min() >= 75


def test_few_identities_are_refused_with_the_reason() -> None:
    refusals = (
        (hold_out(np.repeat(np.arange(59), 2), np.tile([0, 1], 59)), "59 identities"),
        (hold_out(np.repeat(np.arange(90), 2), np.zeros(180, int)), "two cameras"),
        (hold_out(np.repeat(np.arange(90), 2), np.tile([0, 1], 90), share=0), "share 0"),
        (hold_out(np.arange(0), np.arange(0)), "0 identities"),
    )
    for division, reason in refusals:
        assert isinstance(division, NotHeldOut)
        assert reason in division.reason


def test_junk_is_no_identity() -> None:
    persons, cameras = np.repeat(np.arange(-1, 59), 2), np.tile([0, 1], 60)
    assert isinstance(hold_out(persons, cameras), NotHeldOut)
