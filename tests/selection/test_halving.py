"""The rounds are what a plain loop over the curves does, wherever they are broken off, and no run changes its own schedule."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unplateau.base.errors import UsageError
from unplateau.selection.halving import DEFAULT_PLAN, PLANS, Contender, Cut, Plan, epochs_ahead, read_plan, standings

PLANS_TRIED: list[Plan] = [*PLANS.values(), (Cut(0.3, 0.5),), (Cut(0.1, 0.9), Cut(0.4, 0.5), Cut(0.7, 0.1))]
_numbers = st.integers(0, 10_000)


def _curves(seed: int, num_runs: int, epochs: int) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    return {f"run{k}": np.cumsum(rng.normal(0.01, 0.02, epochs)).tolist() for k in range(num_runs)}


def _run(name: str, curve: list[float], trained: int, *, every: int = 1) -> Contender:
    maps = {epoch: score for epoch, score in enumerate(curve[:trained], 1) if epoch % every == 0}
    return Contender(name, len(curve), trained, maps, is_over=trained == len(curve), validates_every=every)


def _played(plan: Plan, curves: dict[str, list[float]], trained: dict[str, int]) -> dict[str, int]:
    """Do what is asked, one run at a time, until nothing is."""
    trained = dict(trained)
    while to_train := standings(plan, [_run(name, curve, trained[name]) for name, curve in curves.items()]).to_train:
        name, goal = to_train[0]
        assert goal > trained[name]
        trained[name] = goal
    return trained


def _played_plainly(plan: Plan, curves: dict[str, list[float]]) -> dict[str, int]:
    """The oracle: all to the cut, sort, cut off the tail, again."""
    trained, alive = {}, list(curves)
    for cut in plan:
        for name in alive:
            trained[name] = math.ceil(cut.after * len(curves[name]) - 1e-9)
        alive.sort(key=lambda name: max(curves[name][: trained[name]]), reverse=True)
        del alive[max(1, math.ceil(cut.keep * len(curves) - 1e-9)) :]
    return trained | {name: len(curves[name]) for name in alive}


@given(seed=_numbers, num_runs=st.integers(1, 8), epochs=st.integers(3, 30), plan=st.sampled_from(PLANS_TRIED))
def test_the_rounds_are_those_of_a_plain_loop(seed: int, num_runs: int, epochs: int, plan: Plan) -> None:
    curves = _curves(seed, num_runs, epochs)
    assert _played(plan, curves, dict.fromkeys(curves, 0)) == _played_plainly(plan, curves)


@given(seed=_numbers, plan=st.sampled_from(PLANS_TRIED), data=st.data())
def test_broken_off_anywhere_they_end_where_they_would_have(seed: int, plan: Plan, data: st.DataObject) -> None:
    curves = _curves(seed, 5, 12)
    whole = _played_plainly(plan, curves)
    trained = dict.fromkeys(curves, 0)
    for _ in range(data.draw(st.integers(0, 12))):
        to_train = standings(plan, [_run(name, curve, trained[name]) for name, curve in curves.items()]).to_train
        if not to_train:
            break
        name, goal = to_train[data.draw(st.integers(0, len(to_train) - 1))]
        trained[name] = data.draw(st.integers(trained[name] + 1, goal))  # killed before the slice's end, or not
    assert _played(plan, curves, trained) == whole


@given(seed=_numbers, plan=st.sampled_from(PLANS_TRIED), order=st.permutations(range(5)))
def test_the_order_of_the_runs_does_not_matter(seed: int, plan: Plan, order: list[int]) -> None:
    curves = _curves(seed, 5, 12)
    names = list(curves)
    shuffled = {names[place]: curves[names[place]] for place in order}
    assert _played(plan, shuffled, dict.fromkeys(names, 0)) == _played(plan, curves, dict.fromkeys(names, 0))


def test_each_run_is_cut_at_the_share_of_its_own_epochs() -> None:
    long, short = _run("long", [0.1] * 90, 0), _run("short", [0.1] * 30, 0)
    assert standings((Cut(0.5, 0.5),), [long, short]).to_train == (("long", 45), ("short", 15))


def test_a_slice_ends_on_an_epoch_that_is_validated_anyway() -> None:
    assert _run("run", [0.1] * 90, 0, every=4).goal(0.5) == 48
    assert _run("run", [0.1] * 90, 0, every=80).goal(0.99) == 90


def test_what_a_run_scored_after_the_cut_does_not_save_it() -> None:
    late, steady = _run("late", [0.1, 0.1, 0.9, 0.9], 4), _run("steady", [0.2, 0.2, 0.2, 0.2], 4)
    assert standings((Cut(0.5, 0.5),), [late, steady]).dropped == {"late": 2}


def test_a_run_that_ended_early_is_compared_by_what_it_has() -> None:
    patient = replace(_run("patient", [0.3] * 3 + [0.0] * 7, 3), is_over=True)
    others = [_run("good", [0.4] * 10, 0), _run("bad", [0.2] * 10, 0)]
    assert standings((Cut(0.5, 2 / 3),), [patient, *others]).to_train == (("good", 5), ("bad", 5))
    trained = [_run("good", [0.4] * 10, 5), _run("bad", [0.2] * 10, 5)]
    now = standings((Cut(0.5, 2 / 3),), [patient, *trained])
    assert now.dropped == {"bad": 5} and now.to_train == (("good", 10),)


def test_a_run_that_never_trained_takes_no_place_and_does_not_count() -> None:
    failed = [Contender(f"failed{k}", 10, 0, {}, is_over=True) for k in range(4)]
    runs = [*failed, _run("good", [0.4] * 10, 5), _run("bad", [0.2] * 10, 5)]
    now = standings((Cut(0.5, 0.5),), runs)
    assert [run.name for run in now.rounds[0].kept] == ["good"]
    assert set(now.dropped) == {"bad", *(run.name for run in failed)}


def test_of_equals_the_one_listed_first_is_kept() -> None:
    now = standings((Cut(0.5, 0.5),), [_run(name, [0.3] * 4, 2) for name in ("control", "twin")])
    assert now.dropped == {"twin": 2}


@given(seed=_numbers, num_runs=st.integers(1, 7), plan=st.sampled_from(PLANS_TRIED))
def test_the_epochs_ahead_are_those_that_are_then_trained(seed: int, num_runs: int, plan: Plan) -> None:
    curves = _curves(seed, num_runs, 20)
    runs = [_run(name, curve, 0) for name, curve in curves.items()]
    now = sum(goal for _, goal in standings(plan, runs).to_train)
    assert now + epochs_ahead(plan, runs) == sum(_played_plainly(plan, curves).values())


def test_a_plan_is_read_by_name_or_as_cuts() -> None:
    assert read_plan(DEFAULT_PLAN) == PLANS[DEFAULT_PLAN]
    assert read_plan("0.5:0.5,0.8:0.25") == (Cut(0.5, 0.5), Cut(0.8, 0.25))


@pytest.mark.parametrize(
    "text", ["", "most", "0.5", "0.5:0.5:0.5", "0.8:0.5,0.5:0.5", "0.5:0.5,0.5:0.2", "1:0.5", "0.5:0", "0.5:nan"]
)
def test_a_plan_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected one of careful, half, third"):
        read_plan(text)
