"""How long a launcher still takes: epochs to go times the usual epoch, and nothing is claimed where nobody can know."""

import pytest

from unplateau.report.group_ahead import Ahead, Awaited, ahead_facts, ahead_section, seconds_left, seconds_of

DONE, NOW, NEXT = Awaited("a", "finished", 4), Awaited("b", "training", 4), Awaited("c", "waiting", 4)
TAKEN = {"a": [10.0, 10.0, 10.0, 90.0], "b": [20.0], "c": []}


def test_a_run_takes_its_own_usual_epoch_and_one_without_any_that_of_all() -> None:
    assert seconds_of(DONE, TAKEN) == 0.0
    assert seconds_of(NOW, TAKEN) == 3 * 20.0
    assert seconds_of(NEXT, TAKEN) == 4 * 10.0, "the median is not moved by one slow epoch"
    assert seconds_of(NEXT, {}) is None


@pytest.mark.parametrize(("later", "wanted"), [(0, 100.0), (5, 150.0), (None, None)])
def test_all_of_them_take_the_sum_and_what_comes_later(later: int | None, wanted: float | None) -> None:
    assert seconds_left(Ahead((DONE, NOW, NEXT), later), TAKEN) == wanted


def test_before_the_first_epoch_nobody_knows() -> None:
    ahead = Ahead((NOW, NEXT))
    assert seconds_left(ahead, {}) is None
    assert [fact.value for fact in ahead_facts(ahead, {})] == ["not known yet"]


def test_a_run_that_trained_longer_than_was_planned_takes_no_negative_time() -> None:
    assert seconds_of(Awaited("a", "training", 2), TAKEN) == 0.0


def test_many_that_train_at_once_are_counted() -> None:
    runs = tuple(Awaited(name, "training", 9) for name in "abcd")
    (fact,) = ahead_facts(Ahead(runs, None, "4 trials begun"), {})
    assert (fact.value, fact.note) == ("4", "a, epoch 0 of 9, b, epoch 0 of 9 and 2 more")


def test_without_a_launcher_there_is_nothing_to_say() -> None:
    assert ahead_facts(None, {}) == () and ahead_section(None, {}).blocks == ()
