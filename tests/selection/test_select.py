"""The winner is the highest held-out mAP; whether that is sure depends on the identities, and equal runs never win."""

import numpy as np
import pytest

from unplateau.selection.select import AHEAD, CLEAR, NONE_TRAINED, NOT_ENOUGH, TIE, select
from unplateau.selection.statistics import CHECKPOINT, RECIPE, ValidationCurve

IDENTITIES, EPOCHS = 40, 5
PERSONS_Q = np.repeat(np.arange(IDENTITIES), 3)
_DIFFICULTY_Q = np.random.default_rng(0).normal(0.5, 0.15, IDENTITIES)[PERSONS_Q]


def _curve(name: str, rng: np.random.Generator, *, gain: float = 0.0, noise: float = 0.05) -> ValidationCurve:
    """A run on shared queries: how well it does on a person is partly its own."""
    own_I = rng.normal(0.0, noise, IDENTITIES)
    rise_E = np.linspace(-0.1, 0.0, EPOCHS)
    jitter_EQ = rng.normal(0.0, noise, (EPOCHS, len(PERSONS_Q)))
    return ValidationCurve(
        name, np.arange(1, EPOCHS + 1), _DIFFICULTY_Q + gain + own_I[PERSONS_Q] + rise_E[:, None] + jitter_EQ, PERSONS_Q
    )


def test_a_run_that_is_better_on_nearly_every_person_is_a_clear_winner() -> None:
    rng = np.random.default_rng(1)
    runs = [_curve("control", rng), _curve("good", rng, gain=0.1), _curve("bad", rng, gain=-0.1)]
    selection = select(runs, control="control")
    assert selection.verdict == CLEAR
    assert [run.name for run in selection.ranked] == ["good", "control", "bad"]
    good, control, bad = selection.ranked
    assert good.behind_winner is None and control.over_control is None
    assert good.over_control is not None and good.over_control.is_sure and good.over_control.estimate.low > 0
    assert bad.over_control is not None and bad.over_control.is_sure and bad.over_control.estimate.high < 0
    assert selection.undecided == ()
    assert (selection.num_identities, selection.num_queries) == (IDENTITIES, len(PERSONS_Q))


def test_a_run_that_was_dropped_cannot_lose_against_a_clear_winner_because_it_might_have_come_nearer() -> None:
    rng = np.random.default_rng(1)
    runs = [_curve("control", rng), _curve("good", rng, gain=0.1), _curve("bad", rng, gain=-0.1)]
    assert select(runs, control="control", dropped={"bad": 2}).verdict == AHEAD
    assert select(runs, control="control", dropped={"good": 2}).verdict == CLEAR, (
        "a winner that was dropped is ahead of whole runs"
    )


def test_the_same_run_twice_is_a_tie() -> None:
    one = _curve("control", np.random.default_rng(2))
    twin = ValidationCurve("twin", one.epochs_E, one.average_precision_EQ, one.person_ids_Q)
    selection = select([one, twin], control="control")
    assert selection.verdict == TIE
    assert [run.name for run in selection.undecided] == ["twin"]


def test_a_small_difference_between_noisy_runs_is_not_enough_evidence() -> None:
    rng = np.random.default_rng(3)
    selection = select([_curve("control", rng, noise=0.2), _curve("other", rng, gain=0.01, noise=0.2)], control="control")
    assert selection.verdict == NOT_ENOUGH


@pytest.mark.slow
def test_of_equal_recipes_one_becomes_a_clear_winner_in_at_most_five_percent() -> None:
    rng = np.random.default_rng(4)
    wins = [select([_curve(f"run{k}", rng, noise=0.1) for k in range(4)], control="run0").verdict == CLEAR for _ in range(120)]
    assert np.mean(wins) <= 0.05


@pytest.mark.slow
def test_of_equal_recipes_one_is_said_to_help_in_about_five_percent() -> None:
    rng, said = np.random.default_rng(5), 0
    for _ in range(120):
        selection = select([_curve(f"run{k}", rng, noise=0.1) for k in range(4)], control="run0")
        said += any(run.over_control is not None and run.over_control.is_sure for run in selection.ranked)
    assert said / 120 <= 0.09  # three standard errors above 5 % would be 11 %


@pytest.mark.parametrize("control", [None, "missing"])
def test_without_a_control_runs_are_still_compared_with_each_other(control: str | None) -> None:
    rng = np.random.default_rng(6)
    selection = select([_curve("a", rng), _curve("b", rng, gain=0.1)], control=control)
    assert selection.winner is not None and selection.winner.name == "b"
    assert all(run.over_control is None for run in selection.ranked)


def test_one_run_alone_wins_without_evidence() -> None:
    selection = select([_curve("only", np.random.default_rng(7))])
    assert selection.winner is not None and selection.winner.name == "only"
    assert selection.verdict == NOT_ENOUGH


def test_nothing_trained_has_no_winner() -> None:
    selection = select([], control="control")
    assert (selection.verdict, selection.winner) == (NONE_TRAINED, None)


def test_runs_on_other_queries_are_named_and_not_compared() -> None:
    rng = np.random.default_rng(8)
    other = ValidationCurve("other", np.array([1]), np.full((1, 6), 0.1), np.array([1, 1, 2, 2, 3, 3]))
    selection = select([_curve("a", rng), _curve("b", rng), other])
    assert selection.not_comparable == ("other",)
    assert selection.ranked[-1].name == "other" and selection.ranked[-1].behind_winner is None


def test_queries_without_a_match_are_left_out_for_all() -> None:
    one, two = _curve("a", np.random.default_rng(9)), _curve("b", np.random.default_rng(10), gain=0.1)
    two.average_precision_EQ[2, 5] = np.nan
    selection = select([one, two])
    assert selection.num_queries == len(PERSONS_Q) - 1
    assert all(np.isfinite(run.best_map.value) for run in selection.ranked)


def _seeds(recipe: str, rng: np.random.Generator, count: int, *, gain: float = 0.0) -> list[ValidationCurve]:
    return [_curve(f"{recipe}_seed{seed}", rng, gain=gain + rng.normal(0, 0.01)) for seed in range(count)]


def _recipes_of(curves: list[ValidationCurve]) -> dict[str, str]:
    return {curve.name: curve.name.partition("_seed")[0] for curve in curves}


def test_runs_of_one_recipe_are_compared_as_a_recipe() -> None:
    rng = np.random.default_rng(12)
    runs = [*_seeds("a", rng, 4), *_seeds("b", rng, 4, gain=0.08)]
    selection = select(runs, recipes=_recipes_of(runs))
    assert (selection.verdict, selection.level) == (CLEAR, RECIPE)
    b, a = selection.ranked
    assert (b.name, a.name) == ("b", "a") and a.behind_winner is not None and a.behind_winner.num_seeds == (4, 4)
    assert b.best_run == max(runs, key=lambda curve: curve.best_map).name
    assert b.mean is not None and b.mean.low < b.mean.value < b.mean.high and b.mean.value < b.best_map.value
    assert selection.named(b.best_run) is b


def test_one_seed_each_speaks_of_checkpoints_only() -> None:
    rng = np.random.default_rng(13)
    runs = [_curve("a", rng), *_seeds("b", rng, 3, gain=0.1)]
    assert select(runs, recipes=_recipes_of(runs)).level == CHECKPOINT


def test_seeds_of_a_single_recipe_have_nothing_to_be_better_than() -> None:
    runs = _seeds("a", np.random.default_rng(14), 6)
    selection = select(runs, recipes=_recipes_of(runs))
    assert (selection.verdict, selection.undecided, len(selection.ranked)) == (NOT_ENOUGH, (), 1)


def test_a_recipe_is_not_chosen_for_one_lucky_seed() -> None:
    rng = np.random.default_rng(15)
    lucky = [_curve(f"lucky_seed{k}", rng, gain=gain) for k, gain in enumerate((0.2, 0.0, 0.0))]
    runs = [*lucky, *_seeds("steady", rng, 3, gain=0.1)]
    assert select(runs, recipes=_recipes_of(runs)).ranked[0].name == "steady"


def test_only_candidates_are_compared_where_they_are_named() -> None:
    rng = np.random.default_rng(16)
    runs = [*_seeds("a", rng, 3), *_seeds("b", rng, 3, gain=0.1), _curve("c", rng, gain=0.3)]
    selection = select(runs, recipes=_recipes_of(runs), candidates=["a", "b"])
    assert [(one.name, one.is_candidate) for one in selection.ranked] == [("b", True), ("a", True), ("c", False)]
    assert selection.rivals == (selection.ranked[1],) and selection.level == RECIPE


def test_the_set_of_queries_most_runs_share_is_compared() -> None:
    rng = np.random.default_rng(17)
    easy = ValidationCurve("easy", np.array([1]), np.full((1, 6), 0.99), np.array([1, 1, 2, 2, 3, 3]))
    elsewhere = ValidationCurve("test", np.array([1]), np.full((1, len(PERSONS_Q)), 0.99), PERSONS_Q, asked="test")
    selection = select([easy, elsewhere, _curve("a", rng), _curve("b", rng)])
    assert selection.not_comparable == ("easy", "test") and selection.ranked[0].name in "ab"


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_of_equal_recipes_one_becomes_a_clear_winner_in_at_most_five_percent_with_seeds(seeds: int) -> None:
    rng, wins = np.random.default_rng(18), 0
    for _ in range(120):
        runs = [*_seeds("a", rng, seeds), *_seeds("b", rng, seeds)]
        wins += select(runs, recipes=_recipes_of(runs)).verdict == CLEAR
    assert wins / 120 <= 0.08  # 5 %, and a half more than a standard error


def test_the_order_of_runs_does_not_matter() -> None:
    rng = np.random.default_rng(11)
    runs = [_curve(name, rng, gain=gain) for name, gain in (("a", 0.0), ("b", 0.05), ("c", 0.02))]
    assert select(runs, control="a") == select(runs[::-1], control="a")
