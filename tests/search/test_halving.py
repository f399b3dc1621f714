"""The best of each rung go on, at most one in `keep`; budgets hold; the base and the best are trained to the end."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unplateau.search.halving import Budget, Rungs, Step, make_rungs, next_step, scores
from unplateau.search.trial import (
    BASE,
    FAILED,
    FINISHED,
    PAUSED,
    RUNNING,
    SUGGESTED,
    WAITING,
    Standing,
    Trial,
)


def trial(number: int, origin: str = SUGGESTED) -> Trial:
    return Trial(number, f"trial_{number:03d}", origin, {})


def standing(number: int, curve: list[float], state: str = PAUSED, origin: str = SUGGESTED) -> Standing:
    return Standing(trial(number, origin), state, tuple(enumerate(curve, 1)), len(curve))


class World:
    """Carries steps out on known curves: several workers, each of which trains one epoch a tick."""

    def __init__(self, curves: list[list[float]], rungs: Rungs, budget: Budget, workers: int = 1) -> None:
        self.curves, self.rungs, self.budget, self.workers = curves, rungs, budget, workers
        self.trials: list[Standing] = []
        self.targets: dict[int, int] = {}
        self.steps: list[Step] = []

    def run(self) -> "World":
        while True:
            while len(self.targets) < self.workers and (step := self.ask()) is not None:
                self.begin(step)
            if not self.targets:
                return self
            self.tick()

    def ask(self) -> Step | None:
        return next_step(self.trials, self.rungs, self.budget, can_suggest=len(self.trials) < len(self.curves))

    def begin(self, step: Step) -> None:
        self.steps.append(step)
        number = step.number
        if number is None:
            number = len(self.trials)
            self.trials.append(Standing(trial(number, BASE if number == 0 else SUGGESTED), RUNNING))
        assert number not in self.targets, "a trial runs once at a time"
        self.targets[number] = step.until
        self.trials[number] = replace(self.trials[number], state=RUNNING)

    def tick(self) -> None:
        for number, until in list(self.targets.items()):
            epochs = self.trials[number].epochs + 1
            curve = tuple(enumerate(self.curves[number][:epochs], 1))
            state = RUNNING if epochs < until else FINISHED if epochs == self.rungs.last else PAUSED
            self.trials[number] = replace(self.trials[number], epochs=epochs, curve=curve, state=state)
            if state != RUNNING:
                del self.targets[number]

    @property
    def epochs(self) -> int:
        return sum(one.epochs for one in self.trials)


def curves_of(seed: int, number: int, epochs: int = 9) -> list[list[float]]:
    rng = np.random.default_rng(seed)
    return [
        list(np.clip(rng.uniform(0.2, 0.8) * np.linspace(0.3, 1, epochs) + rng.normal(0, 0.02, epochs), 0, 1))
        for _ in range(number)
    ]


def test_rungs_are_counted_back_from_a_whole_training() -> None:
    assert make_rungs(90, keep=2, first=20).ends == (22, 45, 90)
    assert make_rungs(3).ends == (1, 3)
    assert make_rungs(1).ends == (1,)
    assert make_rungs(90, first=90).ends == (90,)
    assert make_rungs(90).next_end(0) == 10 and make_rungs(90).next_end(10) == 30 and make_rungs(90).next_end(44) == 90


def test_without_rungs_every_trial_is_trained_to_the_end() -> None:
    world = World(curves_of(0, 5), make_rungs(9, first=9), Budget(max_trials=5)).run()
    assert world.steps == [Step(None, 9)] * 5


def test_a_third_of_each_rung_goes_on_and_it_is_the_best_third() -> None:
    rungs = make_rungs(9)
    world = World(curves_of(1, 18), rungs, Budget(max_trials=18)).run()
    for end in (1, 3):
        reached = [one for one in world.trials if one.epochs >= end and one.trial.origin != BASE]
        allowed = len(reached) // 3
        best = sorted(reached, key=lambda one: -(one.best_by(end) or 0))[:allowed]
        beyond = [one for one in reached if one.epochs > end]
        assert {one.number for one in best} <= {one.number for one in world.trials if one.epochs > end}
        assert len(beyond) <= allowed + 3  # asynchronous: some went on before better ones came
    assert world.epochs < 18 * 9 / 2


def test_the_base_is_trained_to_the_end_however_bad_it_is() -> None:
    curves = curves_of(2, 12)
    curves[0] = [0.0] * 9
    world = World(curves, make_rungs(9), Budget(max_trials=12)).run()
    assert world.trials[0].epochs == 9


@pytest.mark.parametrize("number", [2, 3, 7, 30])
def test_the_best_trial_beside_the_base_is_trained_to_the_end_so_that_the_two_can_be_compared(number: int) -> None:
    for seed in range(20):
        world = World(curves_of(seed, number), make_rungs(9), Budget(max_trials=number)).run()
        finished = [one.number for one in world.trials if one.epochs == 9]
        assert finished[0] == 0 and len(finished) >= 2


def test_the_base_takes_nobody_s_place() -> None:
    base = standing(0, [0.9], origin=BASE)
    others = [standing(number, [0.1 * number]) for number in range(1, 4)]
    trials = [replace(base, curve=tuple(enumerate([0.9] * 9, 1)), epochs=9, state=FINISHED), *others]
    assert next_step(trials, make_rungs(9), Budget(max_trials=4)) == Step(3, 3)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 1000), st.integers(1, 30), st.integers(1, 120), st.integers(1, 4), st.sampled_from([(9, 3), (8, 2), (6, 3)])
)
def test_budgets_hold_and_nothing_is_left_half_done(
    seed: int, number: int, epochs: int, workers: int, shape: tuple[int, int]
) -> None:
    rungs = make_rungs(shape[0], keep=shape[1])
    world = World(curves_of(seed, 40, shape[0]), rungs, Budget(max_trials=number, epochs=epochs), workers).run()
    assert len(world.trials) <= number
    assert world.epochs <= epochs
    assert all(one.epochs in (0, *rungs.ends) for one in world.trials)
    assert all(one.state in (PAUSED, FINISHED) for one in world.trials)
    finished = [one.number for one in world.trials if one.epochs == rungs.last]
    if epochs >= rungs.last:
        assert 0 in finished, "the base was trained to the end"
    if epochs >= 2 * rungs.last and number > 1:
        assert len(finished) >= 2, "and another one"


def test_what_was_broken_off_goes_on_first() -> None:
    trials = [standing(0, [0.5]), standing(1, [0.6, 0.7], WAITING), standing(2, [], WAITING)]
    assert next_step(trials, make_rungs(9), Budget(max_trials=9)) == Step(1, 3)


def test_a_trial_that_ended_early_counts_in_the_rungs_it_did_not_reach_and_is_not_continued() -> None:
    early = standing(0, [0.9, 0.9], FINISHED)
    others = [standing(number, [0.1 * number] * 3) for number in range(1, 4)]
    step = next_step([early, *others, standing(4, [0.95] * 3)], make_rungs(9), Budget(max_trials=5))
    assert step == Step(4, 9)  # 5 // 3 = 1 may go on, and it is the best


def test_failed_trials_count_as_the_worst() -> None:
    trials = [standing(0, [], FAILED), standing(1, [], FAILED), standing(2, [0.1])]
    assert next_step(trials, make_rungs(9), Budget(max_trials=3)) == Step(2, 3)


def test_a_sampler_learns_from_the_highest_rung_with_enough_trials() -> None:
    rungs = make_rungs(9)
    trials = [standing(0, [0.1] * 9, FINISHED), standing(1, [0.2, 0.3, 0.3]), standing(2, [0.4]), standing(3, [], FAILED)]
    assert [(one.number, score) for one, score in scores(trials, rungs, enough=2)] == [(0, 0.1), (1, 0.3), (3, 0.0)]
    assert [one.number for one, _ in scores(trials, rungs, enough=1)] == [0, 3]
    assert len(scores(trials, rungs, enough=3)) == 4
    assert len(scores(trials, rungs, enough=99)) == 4


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_more_workers_try_the_same_trials(workers: int) -> None:
    world = World(curves_of(5, 12), make_rungs(9), Budget(max_trials=12), workers).run()
    assert [one.number for one in world.trials] == list(range(12))
