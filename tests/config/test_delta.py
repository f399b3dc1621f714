"""Configurations as tables, and to YAML and back."""

from unittest.mock import ANY

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from unplateau.base.errors import ConfigError
from unplateau.config import delta
from unplateau.config.load import load
from unplateau.config.schema import Config
from unplateau.config.tree import leaves

CHANGES = {
    "SOLVER.BASE_LR": st.floats(1e-9, 1),
    "SOLVER.STEPS": st.lists(st.integers(1, 500), unique=True).map(lambda steps: tuple(sorted(steps))),
    "SOLVER.WEIGHT_DECAY": st.floats(0, 1),
    "OUTPUT_DIR": st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20),
    "DATASETS.NAMES": st.lists(st.sampled_from(["Market1501", "on", "1e3", "folder:C:\\a b", "123"]), min_size=1).map(tuple),
    "DATALOADER.CACHE": st.sampled_from(["auto", "on", "off"]),
    "MODEL.LOSSES.CE.EPSILON": st.floats(0, 0.9),
    "SOLVER.AMP.ENABLED": st.booleans(),
    "SEED": st.integers(0, 2**31 - 1),
}


@given(st.fixed_dictionaries({}, optional=CHANGES))
def test_what_is_written_loads_back_equal(tmp_path_factory, values):
    config = delta.with_values(Config(), values)
    path = tmp_path_factory.mktemp("yaml") / "run.yml"
    path.write_text(delta.to_yaml(config), encoding="utf-8")
    assert load(path).config == config
    path.write_text(delta.to_delta_yaml(values, header=["a\nb"]), encoding="utf-8")
    assert load(path).config == config


def test_the_whole_yaml_says_every_key_in_plain_yaml():
    plain = yaml.safe_load(delta.to_yaml(Config()))
    assert plain["SOLVER"]["ETA_MIN_LR"] == 1e-7  # a number for other readers too
    assert plain["SOLVER"]["STEPS"] == [30, 55]
    assert delta.from_plain(plain) == Config()
    assert "STEPS: [30, 55]" in delta.to_yaml(Config())


def test_flatten_has_every_key_once():
    assert list(delta.flatten(Config())) == list(leaves())


def test_the_difference_names_both_values():
    changed = delta.with_values(Config(), {"SOLVER.BASE_LR": 7e-4, "SOLVER.ETA_MIN": 1e-6})
    assert delta.difference(Config(), changed) == {"SOLVER.BASE_LR": (3e-4, 7e-4), "SOLVER.ETA_MIN_LR": (1e-7, 1e-6)}


def test_plain_data_may_be_nested_or_dotted():
    assert delta.from_plain({"SOLVER": {"BASE_LR": 0.1}}) == delta.from_plain({"SOLVER.BASE_LR": 0.1})


@pytest.mark.parametrize("values", [{"SOLVER.LR": 1}, {"SOLVER.BASE_LR": "x"}, {"SOLVER.STEPS": (3, 1)}, {"SEED": -1}])
def test_values_that_cannot_be_are_refused(values):
    with pytest.raises(ConfigError, match="values given: "):
        delta.with_values(Config(), values)


def test_an_identity_depends_on_what_changes_and_nothing_else():
    first = delta.identity({"A": (1, 2), "B": 0.1})
    assert first == delta.identity({"B": 0.1, "A": [1, 2]}) == ANY
    assert first != delta.identity({"A": (1, 2), "B": 0.2})
    assert len(first) == 10


def test_a_delta_file_inherits_and_explains_itself(tmp_path):
    (tmp_path / "base.yml").write_text("SEED: 4\n")
    text = delta.to_delta_yaml({"SOLVER.BASE_LR": 7e-4}, base="base.yml", header=["Hypothesis: too slow."])
    (tmp_path / "run.yml").write_text(text)
    assert text.startswith("# Hypothesis: too slow.\n\n_BASE_: base.yml\n\nSOLVER:\n  BASE_LR: 0.0007\n")
    config = load(tmp_path / "run.yml").config
    assert (config.SEED, config.SOLVER.BASE_LR) == (4, 7e-4)
