"""What we say about fast-reid's defaults is true, and complete."""

from unplateau.config.differences import DIFFERENT_DEFAULTS, DIFFERENT_MEANINGS
from unplateau.config.tree import leaves

from .fastreid_defaults import FASTREID_DEFAULTS


def _equal(ours, theirs):
    if isinstance(theirs, (list, tuple)):
        return list(ours) == list(theirs)
    return ours == theirs


def test_the_table_of_defaults_is_exactly_what_differs():
    differing = {
        key for key, theirs in FASTREID_DEFAULTS.items() if key in leaves() and not _equal(leaves()[key].default, theirs)
    }
    assert {row.key for row in DIFFERENT_DEFAULTS} == differing
    for row in DIFFERENT_DEFAULTS:
        assert row.theirs == FASTREID_DEFAULTS[row.key]
        assert row.ours == leaves()[row.key].default


def test_different_meanings_are_about_keys_of_both():
    for row in DIFFERENT_MEANINGS:
        assert row.key in FASTREID_DEFAULTS
        assert row.key in leaves()


def test_keys_of_our_own_are_marked_and_no_others():
    for key, leaf in leaves().items():
        if key in FASTREID_DEFAULTS:
            assert not leaf.is_ours, key
        else:
            assert leaf.is_ours or key.endswith(".ENABLED"), key


def test_every_key_is_documented():
    assert all(len(leaf.meaning) > 5 for leaf in leaves().values())
