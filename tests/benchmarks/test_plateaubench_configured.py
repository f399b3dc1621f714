"""Mistakes in the configuration itself: that each is a valid recipe, another one than the right one, and has its answers."""

import pytest

from benchmarks.plateaubench.faults_of_config import configured_plan
from benchmarks.plateaubench.recipe import recipe
from benchmarks.plateaubench.unseen import configured, configured_second, configured_third
from unplateau.config.delta import difference
from unplateau.diagnosis.causes import BY_CODE

KNOWN = configured_plan()
MISTAKES = (*configured.MISTAKES, *configured_second.MISTAKES, *configured_third.MISTAKES)


def test_every_mistake_has_a_name_of_its_own():
    names = [name for name, _, _ in MISTAKES] + [planned.name for planned in KNOWN]
    assert len(set(names)) == len(names)


def test_no_two_mistakes_change_the_recipe_alike():
    changes = [changes for _, _, changes in MISTAKES] + [planned.changes for planned in KNOWN]
    assert len({str(sorted(change.items())) for change in changes}) == len(changes)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake[0])
def test_a_mistake_is_a_valid_recipe_in_which_every_changed_key_differs(mistake):
    _, answers, changes = mistake
    assert set(difference(recipe({}), recipe(changes))) == set(changes)
    assert answers.split() and set(answers.split()) <= set(BY_CODE)
