import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unplateau.base.errors import ConfigError, DataError
from unplateau.data.samplers import SAMPLERS, BatchShape, Population, even_draws, plan_epoch

PK_SAMPLERS = ("NaiveIdentitySampler", "BalancedIdentitySampler")


@st.composite
def populations(draw):
    """Training sets of 2 to 12 identities with 1 to 9 images each, seen by up to 4 cameras or unknown ones."""
    counts = draw(st.lists(st.integers(1, 9), min_size=2, max_size=12))
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    cameras = draw(st.lists(st.integers(-1, 3), min_size=len(labels), max_size=len(labels)))
    return Population(labels, np.array(cameras))


def population_of(*counts: int, num_cameras: int = 3) -> Population:
    labels = np.repeat(np.arange(len(counts)), counts)
    return Population(labels, np.arange(len(labels)) % num_cameras)


def groups_of(plan: np.ndarray, num_instances: int) -> np.ndarray:
    return plan.reshape(-1, num_instances)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 20), st.integers(0, 15), st.integers(0, 5))
def test_even_draws_use_every_member_equally_often_and_never_twice_in_a_group_that_need_not(members, size, groups, seed):
    drawn = even_draws(members, size, groups, np.random.default_rng(seed))
    assert drawn.shape == (groups, size)
    if not groups:
        return
    counts = np.bincount(drawn.ravel(), minlength=members)
    assert counts.max() - counts.min() <= 1
    for group in drawn:
        in_group = np.bincount(group, minlength=members)
        assert in_group.max() - in_group.min() <= 1


@pytest.mark.parametrize("sampler", PK_SAMPLERS)
@settings(max_examples=60, deadline=None)
@given(population=populations(), num_instances=st.integers(1, 5), seed=st.integers(0, 3))
def test_a_pk_batch_holds_p_identities_with_k_images_each(sampler, population, num_instances, seed):
    num_identities = max(1, population.num_identities // 2)
    shape = BatchShape(num_identities * num_instances, num_instances)
    plan = plan_epoch(sampler, population, shape, seed=seed, epoch=1)
    assert plan.shape == (max(1, len(population.labels_N) // shape.num_images), shape.num_images)
    size_of = np.bincount(population.labels_N)
    for batch in plan:
        groups = groups_of(batch, num_instances)
        labels = population.labels_N[groups]
        assert (labels == labels[:, :1]).all()
        assert len(set(labels[:, 0])) == num_identities
        for group, label in zip(groups, labels[:, 0], strict=True):
            assert len(set(group)) == min(num_instances, size_of[label])  # repeated only where there are too few


@pytest.mark.parametrize("sampler", PK_SAMPLERS)
@settings(max_examples=40, deadline=None)
@given(population=populations(), seed=st.integers(0, 3))
def test_over_an_epoch_identities_are_visited_equally_often_and_so_are_the_images_of_one(sampler, population, seed):
    shape = BatchShape(4, 2)
    groups = groups_of(plan_epoch(sampler, population, shape, seed=seed, epoch=1), 2)
    visits = np.bincount(population.labels_N[groups[:, 0]], minlength=population.num_identities)
    assert visits.max() - visits.min() <= 1
    if sampler == "NaiveIdentitySampler":
        used = np.bincount(groups.ravel(), minlength=len(population.labels_N))
        for images in population.images_of_identities():
            assert used[images].max() - used[images].min() <= 1


@settings(max_examples=60, deadline=None)
@given(population=populations(), num_instances=st.integers(2, 5))
def test_balanced_sampling_takes_as_many_cameras_as_an_identity_has(population, num_instances):
    shape = BatchShape(2 * num_instances, num_instances)
    for group in groups_of(plan_epoch("BalancedIdentitySampler", population, shape, seed=0, epoch=1), num_instances):
        cameras = population.cameras_N[population.labels_N == population.labels_N[group[0]]]
        assert len(set(population.cameras_N[group])) == min(num_instances, len(set(cameras)))


def test_balanced_sampling_uses_all_images_of_a_camera_in_turn():
    population = Population(np.repeat([0, 1], 10), np.tile([0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 2))
    plan = plan_epoch("BalancedIdentitySampler", population, BatchShape(4, 2), seed=0, epoch=1)
    of_camera_0 = plan[population.cameras_N[plan] == 0]
    assert len(set(of_camera_0)) == len(of_camera_0)


def test_coverage_of_a_market_like_epoch():
    generator = np.random.default_rng(0)
    counts = generator.integers(4, 31, 751)
    population = population_of(*counts, num_cameras=6)
    for sampler, least in {"TrainingSampler": 0.99, "NaiveIdentitySampler": 0.75, "BalancedIdentitySampler": 0.7}.items():
        plan = plan_epoch(sampler, population, BatchShape(64, 4), seed=0, epoch=1)
        assert len(np.unique(plan)) / counts.sum() > least, sampler
        assert len(np.unique(population.labels_N[plan])) == 751, sampler


def test_plain_shuffling_uses_no_image_twice():
    plan = plan_epoch("TrainingSampler", population_of(5, 5, 7), BatchShape(5, 4), seed=0, epoch=1)
    assert plan.shape == (3, 5)
    assert len(set(plan.ravel())) == 15


def test_a_training_set_smaller_than_a_batch_still_makes_one_step():
    plan = plan_epoch("TrainingSampler", population_of(2, 1), BatchShape(8, 4), seed=0, epoch=1)
    assert plan.shape == (1, 8)
    assert set(plan.ravel()) == {0, 1, 2}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_epochs_and_seeds_differ_and_the_same_ones_agree(sampler):
    population, shape = population_of(6, 6, 6, 6, 6, 6), BatchShape(8, 4)
    plans = {key: plan_epoch(sampler, population, shape, seed=key[0], epoch=key[1]) for key in [(0, 1), (0, 2), (1, 1)]}
    assert np.array_equal(plans[0, 1], plan_epoch(sampler, population, shape, seed=0, epoch=1))
    assert not np.array_equal(plans[0, 1], plans[0, 2])
    assert not np.array_equal(plans[0, 1], plans[1, 1])


@pytest.mark.parametrize("sampler", PK_SAMPLERS)
@pytest.mark.parametrize("world_size", [2, 4])
def test_processes_share_the_batch_of_one_and_no_two_see_the_same_identity(sampler, world_size):
    population = population_of(*[7] * 11)
    whole = plan_epoch(sampler, population, BatchShape(32, 4), seed=3, epoch=2)
    parts = [plan_epoch(sampler, population, BatchShape(32, 4, rank, world_size), seed=3, epoch=2) for rank in range(world_size)]
    assert np.array_equal(np.concatenate(parts, axis=1), whole)
    for step in zip(*parts, strict=True):
        seen = [set(population.labels_N[part]) for part in step]
        assert sum(map(len, seen)) == len(set.union(*seen)) == 8


def test_a_batch_that_does_not_divide_names_the_numbers_and_the_choices():
    population = population_of(*[7] * 11)
    with pytest.raises(ConfigError, match=r"IMS_PER_BATCH is 18, .*NUM_INSTANCE 4. Use 16 or 20"):
        plan_epoch("NaiveIdentitySampler", population, BatchShape(18, 4), seed=0, epoch=1)
    with pytest.raises(ConfigError, match=r"NUM_INSTANCE 4 x 3 processes = 12. Use 12 or 24"):
        plan_epoch("NaiveIdentitySampler", population, BatchShape(16, 4, 0, 3), seed=0, epoch=1)
    with pytest.raises(ConfigError, match=r"of 3 processes. Use 15 or 18"):
        plan_epoch("TrainingSampler", population, BatchShape(16, 4, 0, 3), seed=0, epoch=1)


@pytest.mark.parametrize("sampler", PK_SAMPLERS)
def test_too_few_identities_name_the_numbers_and_a_fix(sampler):
    with pytest.raises(DataError, match=r"needs 16 identities a step; the training set has 3. Set .* to 12 or less"):
        plan_epoch(sampler, population_of(5, 5, 5), BatchShape(64, 4), seed=0, epoch=1)


def test_an_empty_training_set_is_refused():
    nothing = Population(np.array([], dtype=np.int64), np.array([], dtype=np.int64))
    with pytest.raises(DataError, match="no image"):
        plan_epoch("TrainingSampler", nothing, BatchShape(4, 4), seed=0, epoch=1)
