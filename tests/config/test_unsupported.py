"""Keys of fast-reid that we know and lack."""

import pytest

from unplateau.config.delta import to_delta_yaml
from unplateau.config.tree import leaves
from unplateau.config.unsupported import UNSUPPORTED

from .fastreid_defaults import FASTREID_DEFAULTS


def test_every_key_of_fast_reid_is_either_supported_or_explained():
    assert set(FASTREID_DEFAULTS) <= set(leaves()) | set(UNSUPPORTED)
    assert set(UNSUPPORTED) <= set(FASTREID_DEFAULTS)
    assert not set(UNSUPPORTED) & set(leaves())


def test_fast_reids_own_values_are_never_active(load_text):
    for key in UNSUPPORTED:
        loaded = load_text(to_delta_yaml({key: FASTREID_DEFAULTS[key]}))
        assert any("values that do nothing" in note for note in loaded.notes)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("INPUT.AUTOAUG.ENABLED", "True"), ("MODEL.BACKBONE.WITH_NL", "yes"), ("MODEL.BACKBONE.WITH_SE", "True"),
        ("KD.MODEL_CONFIG", "['a.yml']"), ("DATALOADER.SET_WEIGHT", "[1, 2]"), ("TEST.AQE.ENABLED", "on"),
        ("TEST.ROC.ENABLED", "True"), ("TEST.PRECISE_BN.ENABLED", "True"), ("INPUT.CROP.ENABLED", "True"),
    ],
)  # fmt: skip
def test_an_active_key_is_refused_with_the_reason(problems_of, key, value):
    (problem,) = problems_of("", key, value)
    assert problem.startswith(f"command line: {key} is ")
    assert UNSUPPORTED[key].reason in problem


def test_a_whole_dump_of_fast_reid_loads_with_notes_only(load_text):
    loaded = load_text(to_delta_yaml(FASTREID_DEFAULTS | {"MODEL.HEADS.NUM_CLASSES": 751}))
    assert loaded.config.MODEL.HEADS.NUM_CLASSES == 0
    assert loaded.config.TEST.EVAL_PERIOD == 20
    assert any(note.startswith("Read as a configuration of fast-reid") for note in loaded.notes)
    assert any(note.startswith("Not supported") and "KD" in note and "MODEL.BACKBONE.WITH_NL" in note for note in loaded.notes)


def test_a_whole_group_that_is_switched_on_is_refused(problems_of, load_text):
    assert "query expansion is not supported" in problems_of("TEST: {AQE: True}")[0]
    assert load_text("KD:").notes[0].startswith("Not supported")
