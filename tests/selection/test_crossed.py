"""Intervals cover what they claim, for one seed and for several, and their parts are those of a plain analysis of variance."""

import numpy as np
import pytest

from tests.selection.making import Made, recipe
from unplateau.selection.crossed import Panel, Uncertain

IDENTITIES = 40
PERSONS_Q = np.repeat(np.arange(IDENTITIES), 3)


def _two(rng: np.random.Generator, seeds: tuple[int, int], made: Made = Made(), persons_Q: np.ndarray = PERSONS_Q):  # noqa: B008
    difficulty_I = rng.normal(0, made.identity, persons_Q.max() + 1)
    return tuple(recipe(rng, difficulty_I, persons_Q, count, made) for count in seeds)


def _plain_parts(first_SI: np.ndarray, second_SI: np.ndarray) -> tuple[float, float, float]:
    """Variances of the difference of means by loops: identities, seeds, both together; every identity has the same weight."""
    count = first_SI.shape[1]
    apart = [float(np.mean(first_SI[:, i]) - np.mean(second_SI[:, i])) for i in range(count)]
    identities = sum((value - sum(apart) / count) ** 2 for value in apart) / (count - 1) / count
    seeds, together = 0.0, 0.0
    for group_SI in (first_SI, second_SI):
        maps = [float(np.mean(row)) for row in group_SI]
        middle, k = sum(maps) / len(maps), len(maps)
        seeds += sum((value - middle) ** 2 for value in maps) / (k - 1) / k
        for s in range(k):
            for i in range(count):
                rest = group_SI[s, i] - maps[s] - float(np.mean(group_SI[:, i])) + middle
                together += rest**2 / ((k - 1) * (count - 1)) / (k * count)
    return identities, seeds, together


def test_the_parts_are_those_of_a_plain_analysis_of_variance() -> None:
    first_SQ, second_SQ = _two(np.random.default_rng(1), (3, 4))
    panel = Panel(PERSONS_Q)
    apart = panel.difference(first_SQ, second_SQ)
    identities, seeds, together = _plain_parts(panel.by_identity(first_SQ), panel.by_identity(second_SQ))
    assert apart.value == pytest.approx(first_SQ.mean() - second_SQ.mean())
    assert apart.seeds == pytest.approx(seeds)
    assert apart.identities == pytest.approx(max(identities - together, 0.0))
    assert apart.identities_freedom == pytest.approx(IDENTITIES - 1)
    assert 2 <= apart.seeds_freedom <= 5


def test_means_over_an_identitys_queries_are_the_plain_ones() -> None:
    rng = np.random.default_rng(2)
    persons_Q = rng.integers(0, 7, 50)
    values_SQ = rng.normal(size=(2, 50))
    means_SI = Panel(persons_Q).by_identity(values_SQ)
    for column, person in enumerate(np.unique(persons_Q)):
        assert means_SI[1, column] == pytest.approx(
            np.mean([v for v, p in zip(values_SQ[1], persons_Q, strict=True) if p == person])
        )


@pytest.mark.parametrize(
    ("seeds", "identities"), [((1, 1), 10), ((1, 1), 40), ((2, 2), 20), ((3, 3), 40), ((5, 2), 40), ((5, 5), 75)]
)
def test_the_interval_covers_the_truth_as_often_as_it_claims(seeds: tuple[int, int], identities: int) -> None:
    rng, covered, trials = np.random.default_rng(3), 0, 500
    persons_Q = np.repeat(np.arange(identities), rng.integers(1, 7, identities))
    panel, made = Panel(persons_Q), Made()
    for _ in range(trials):
        fixed = Made(seed=0.0) if seeds == (1, 1) else made  # one seed each: the checkpoints are taken as they are
        estimate = panel.difference(*_two(rng, seeds, fixed, persons_Q)).estimate()
        covered += estimate.includes_zero
    assert 0.93 <= covered / trials <= 0.995, covered / trials


def test_taking_seeds_as_if_they_were_more_identities_would_cover_too_little() -> None:
    rng, covered, trials = np.random.default_rng(4), 0, 300
    for _ in range(trials):
        first_SQ, second_SQ = _two(rng, (3, 3), Made(seed=0.02))
        apart_SQ = first_SQ - second_SQ
        nested = Panel(np.tile(PERSONS_Q, 3) + IDENTITIES * np.repeat(np.arange(3), len(PERSONS_Q)))
        covered += nested.mean(apart_SQ.reshape(1, -1)).estimate().includes_zero
    assert covered / trials < 0.88


def test_queries_asked_twice_and_orders_change_nothing() -> None:
    rng = np.random.default_rng(5)
    first_SQ, second_SQ = _two(rng, (3, 3))
    plain = Panel(PERSONS_Q).difference(first_SQ, second_SQ)
    order = rng.permutation(len(PERSONS_Q))
    shuffled = Panel(PERSONS_Q[order]).difference(first_SQ[::-1, order], second_SQ[:, order])
    twice = Panel(np.tile(PERSONS_Q, 2)).difference(np.tile(first_SQ, 2), np.tile(second_SQ, 2))
    for other in (shuffled, twice):
        assert other.half_width() == pytest.approx(plain.half_width())
        assert other.value == pytest.approx(plain.value)


def test_a_few_persons_with_most_of_the_queries_cost_degrees_of_freedom() -> None:
    persons_Q = np.concatenate([np.repeat([0, 1, 2], 50), np.arange(3, 40)])
    values_SQ = np.random.default_rng(6).normal(size=(1, len(persons_Q)))
    assert Panel(persons_Q).mean(values_SQ).identities_freedom < 4


@pytest.mark.parametrize("seeds", [(1, 1), (3, 3)])
def test_the_p_value_agrees_with_the_interval(seeds: tuple[int, int]) -> None:
    rng = np.random.default_rng(7)
    for shift in np.linspace(-0.1, 0.1, 21):
        first_SQ, second_SQ = _two(rng, seeds)
        apart = Panel(PERSONS_Q).difference(first_SQ + shift, second_SQ)
        assert apart.half_width(apart.p_value()) == pytest.approx(abs(apart.value), rel=2e-3)
        assert (apart.p_value() > 0.05) == apart.estimate().includes_zero


def test_of_one_seed_against_several_only_the_checkpoints_are_compared() -> None:
    first_SQ, second_SQ = _two(np.random.default_rng(8), (1, 3))
    apart = Panel(PERSONS_Q).difference(first_SQ, second_SQ)
    assert apart.seeds == 0
    assert apart.half_width() == pytest.approx(Panel(PERSONS_Q).mean(first_SQ - second_SQ.mean(axis=0)).half_width())


def test_where_only_the_map_is_known_seeds_alone_make_the_interval() -> None:
    only = np.zeros(1, dtype=int)
    apart = Panel(only).difference(np.array([[0.60], [0.62], [0.61]]), np.array([[0.50], [0.53], [0.53]]))
    assert apart.identities == 0 and apart.is_known
    assert apart.value == pytest.approx(0.09)
    assert apart.deviation == pytest.approx(np.sqrt(0.01**2 / 3 + 0.0003 / 3))
    assert not Panel(only).difference(np.array([[0.6]]), np.array([[0.5]])).is_known


@pytest.mark.parametrize("identities", [2, 5])
def test_with_too_few_identities_nothing_is_known(identities: int) -> None:
    persons_Q = np.repeat(np.arange(identities), 3)
    apart = Panel(persons_Q).difference(np.full((1, len(persons_Q)), 0.9), np.full((1, len(persons_Q)), 0.1))
    assert not apart.is_known and apart.p_value() == 1.0
    assert np.isinf(apart.estimate().high)


def test_no_variance_at_all_is_no_division_by_zero() -> None:
    twins = Panel(PERSONS_Q).difference(np.full((2, 120), 0.5), np.full((2, 120), 0.5))
    assert (twins.p_value(), twins.half_width()) == (1.0, 0.0)
    apart = Uncertain(0.1, 0.0, 10.0)
    assert apart.p_value() == 0.0
