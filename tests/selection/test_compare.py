"""Pairs: equal ones never win, permutations against the whole enumeration, what each number speaks of."""

import itertools

import numpy as np
import pytest

from tests.selection.making import Made, recipe
from unplateau.selection.compare import compare, drawn_signs, exchange_seeds, flip_signs
from unplateau.selection.statistics import CHECKPOINT, RECIPE

IDENTITIES = 40
PERSONS_Q = np.repeat(np.arange(IDENTITIES), 3)


def _recipes(rng: np.random.Generator, seeds: int, gains: dict[str, float]) -> dict[str, np.ndarray]:
    difficulty_I = rng.normal(0, 0.15, IDENTITIES)
    return {name: gain + recipe(rng, difficulty_I, PERSONS_Q, seeds, Made()) for name, gain in gains.items()}


def test_a_run_compared_with_itself_differs_by_nothing() -> None:
    values_Q = np.random.default_rng(1).random(len(PERSONS_Q))
    (difference,) = compare({"a": values_Q, "b": values_Q.copy()}, PERSONS_Q, [("a", "b")])
    assert (difference.estimate.value, difference.estimate.low, difference.estimate.high) == (0, 0, 0)
    assert (difference.p_value, difference.p_permutation, difference.share_better) == (1.0, 1.0, 0.5)
    assert not difference.is_sure


def test_one_seed_each_speaks_of_checkpoints_and_several_of_recipes() -> None:
    rng = np.random.default_rng(2)
    one, five = (_recipes(rng, seeds, {"a": 0.1, "b": 0.0}) for seeds in (1, 5))
    (checkpoint,), (of_recipe,) = (compare(values, PERSONS_Q, [("a", "b")]) for values in (one, five))
    assert (checkpoint.level, checkpoint.num_seeds, checkpoint.seeds_needed) == (CHECKPOINT, (1, 1), None)
    assert (of_recipe.level, of_recipe.num_seeds) == (RECIPE, (5, 5))
    assert of_recipe.seeds_needed is not None and of_recipe.is_sure
    assert of_recipe.share_better == 1.0 and of_recipe.effect_size is not None and of_recipe.effect_size > 2


def test_what_one_is_better_by_the_other_is_worse_by() -> None:
    values = _recipes(np.random.default_rng(3), 3, {"a": 0.02, "b": 0.0})
    there, back = compare(values, PERSONS_Q, [("a", "b"), ("b", "a")])
    assert there.estimate.value == pytest.approx(-back.estimate.value)
    assert there.estimate.low == pytest.approx(-back.estimate.high)
    assert there.p_value == pytest.approx(back.p_value) and there.p_permutation == back.p_permutation
    assert there.effect_size == pytest.approx(-(back.effect_size or 0))


def test_p_values_are_corrected_for_their_number() -> None:
    values = _recipes(np.random.default_rng(4), 3, {"a": 0.03, "b": 0.0, "c": 0.0})
    first, second = compare(values, PERSONS_Q, [("a", "b"), ("a", "c")])
    assert min(first.p_adjusted, second.p_adjusted) == pytest.approx(2 * min(first.p_value, second.p_value))


@pytest.mark.parametrize(("first", "second"), [(2, 2), (3, 3), (3, 4), (5, 5)])
def test_exchanging_seeds_is_the_whole_enumeration(first: int, second: int) -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(0.5, 0.1, first), rng.normal(0.4, 0.1, second)
    seen, pooled, beyond, total = abs(a.mean() - b.mean()), [*a, *b], 0, 0
    for chosen in itertools.combinations(range(first + second), first):
        rest = [pooled[i] for i in range(first + second) if i not in chosen]
        beyond += abs(np.mean([pooled[i] for i in chosen]) - np.mean(rest)) >= seen - 1e-12
        total += 1
    assert exchange_seeds(a, b) == pytest.approx(beyond / total)


def test_where_there_are_too_many_exchanges_they_are_drawn() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.normal(0.0, 1, 12), rng.normal(0.9, 1, 12)
    from scipy.stats import permutation_test

    exact = permutation_test((a, b), lambda x, y: abs(x.mean() - y.mean()), n_resamples=20000, alternative="greater", rng=rng)
    assert exchange_seeds(a, b) == pytest.approx(exact.pvalue, abs=0.015)


def test_flipping_signs_is_close_to_the_whole_enumeration() -> None:
    contributions_I = np.random.default_rng(7).normal(0.4, 1, 10)
    sums = [abs(np.dot(signs, contributions_I)) for signs in itertools.product((-1, 1), repeat=10)]
    exact = np.mean(np.array(sums) >= abs(contributions_I.sum()) - 1e-12)
    assert flip_signs(contributions_I, drawn_signs(10)) == pytest.approx(exact, abs=0.03)


def test_with_too_few_identities_nothing_is_sure() -> None:
    persons_Q = np.array([1, 1, 2, 2])
    (difference,) = compare({"a": np.full(4, 0.9), "b": np.full(4, 0.1)}, persons_Q, [("a", "b")])
    assert difference.estimate.value == pytest.approx(0.8)
    assert np.isinf(difference.estimate.high) and not difference.is_sure
