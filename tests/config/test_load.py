"""Values, overrides, messages: what a user types and what comes of it."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from unplateau.base.errors import ConfigError
from unplateau.config.load import load
from unplateau.config.schema import Config


def test_nothing_given_is_the_defaults():
    loaded = load(None)
    assert loaded.config == Config()
    assert loaded.source == "defaults"
    assert loaded.notes == ()


def test_values_are_read_as_fast_reid_reads_them(load_text):
    config = load_text("""
SOLVER:
  BASE_LR: 1e-3
  STEPS: (20, 50)
  AMP: {ENABLED: on}
  WEIGHT_DECAY: .5
DATASETS:
  NAMES: ('Market1501')
  TESTS: ("Market1501", "MSMT17",)
DATALOADER: {CACHE: off}
""").config
    assert config.SOLVER.BASE_LR == 1e-3
    assert config.SOLVER.STEPS == (20, 50)
    assert config.SOLVER.AMP.ENABLED is True
    assert config.SOLVER.WEIGHT_DECAY == 0.5
    assert config.DATASETS.NAMES == ("Market1501",)
    assert config.DATASETS.TESTS == ("Market1501", "MSMT17")
    assert config.DATALOADER.CACHE == "off"


@pytest.mark.parametrize(
    ("words", "key", "expected"),
    [
        (["SOLVER.STEPS", "[20,50]"], "STEPS", (20, 50)),
        (["SOLVER.STEPS", "(20, 50)"], "STEPS", (20, 50)),
        (["SOLVER.STEPS", "[20,", "50]"], "STEPS", (20, 50)),
        (["SOLVER.STEPS", "40"], "STEPS", (40,)),
        (["SOLVER.BASE_LR", "1e-3"], "BASE_LR", 1e-3),
        (["SOLVER.NESTEROV", "True", "SOLVER.OPT", "SGD"], "NESTEROV", True),
        (["SOLVER.OPT", "'AdamW'"], "OPT", "AdamW"),
        (["SOLVER.ETA_MIN", "1e-6"], "ETA_MIN_LR", 1e-6),
        (["SOLVER.MAX_EPOCH", "90.0"], "MAX_EPOCH", 90),
    ],
)
def test_overrides_win_over_the_file(load_text, words, key, expected):
    assert getattr(load_text("SOLVER: {BASE_LR: 0.5, STEPS: [1]}", *words).config.SOLVER, key) == expected


def test_a_list_without_quotes_survives_the_shell(load_text):
    assert load_text("", "DATASETS.NAMES", "[Market1501,", "MSMT17]").config.DATASETS.NAMES == ("Market1501", "MSMT17")


def test_windows_paths_are_kept(load_text):
    config = load_text("DATASETS: {ROOT: 'C:\\data\\new'}", "OUTPUT_DIR", "D:\\läufe\\1").config
    assert config.DATASETS.ROOT == "C:\\data\\new"
    assert config.OUTPUT_DIR == "D:\\läufe\\1"


def test_all_problems_are_reported_at_once_with_their_lines(problems_of):
    found = problems_of("""_BASE_: nope.yml
SOLVER:
  LR: 1
  IMS_PER_BATCH: 18
  OPT: adam
DATALOADER: {SAMPLER_TRAIN: NaiveIdentitySampler}
INPUT: {FLIP: {PROB: 50}}
""", "SOLVER.GAMMA", "2")  # fmt: skip
    assert found[0].startswith("run.yml line 1: _BASE_ is nope.yml, which is not there.")
    assert found[1:] == [
        "run.yml line 3: SOLVER.LR is 1, expected a known key. Did you mean SOLVER.BASE_LR?",
        "run.yml line 4: SOLVER.IMS_PER_BATCH is 18, which is not a multiple of DATALOADER.NUM_INSTANCE 4. Use 16 or 20.",
        "run.yml line 5: SOLVER.OPT is adam, expected one of Adam, AdamW, SGD. Did you mean Adam?",
        "run.yml line 7: INPUT.FLIP.PROB is 50, expected a number of 0 or more and at most 1. Use 0.5 for 50 %.",
        "command line: SOLVER.GAMMA is 2, expected a number above 0 and at most 1. Use, for example, 0.1 (the default).",
    ]


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("SOLVER.LR", "SOLVER.BASE_LR"),
        ("SOLVER.EVAL_PERIOD", "TEST.EVAL_PERIOD"),
        ("solver.base_lr", "SOLVER.BASE_LR"),
        ("SOLVR.STEPS", "SOLVER.STEPS"),
        ("MODEL.WITH_BNNECK", "MODEL.HEADS.WITH_BNNECK"),
        ("IMS_PER_BATCH_TRAIN", None),
        ("SOLVER.MAX_EPOCHS", "SOLVER.MAX_EPOCH"),
    ],
)
def test_unknown_keys_are_answered_with_the_nearest(key, meant):
    with pytest.raises(ConfigError) as caught:
        load(None, [key, "1"])
    (problem,) = caught.value.problems
    assert problem.startswith(f"command line: {key} is 1, expected a known key.")
    assert meant is None or problem.endswith(f"Did you mean {meant}?")


@pytest.mark.parametrize("value", ["True", "many", "", "[1, 2]", ".nan", "1_0_", "9" * 5000])
def test_what_is_no_number_is_refused_as_a_number(value):
    with pytest.raises(ConfigError, match="SOLVER.IMS_PER_BATCH is .*expected a whole number of 2 or more"):
        load(None, ["SOLVER.IMS_PER_BATCH", value])


def test_an_odd_number_of_override_words_is_explained():
    with pytest.raises(ConfigError, match="not made of pairs, expected KEY VALUE. Write 'SEED 1' with a space"):
        load(None, ["SEED=1"])


def test_the_two_names_of_one_key_must_agree(problems_of, load_text):
    (problem,) = problems_of("SOLVER: {ETA_MIN_LR: 1e-6, ETA_MIN: 1e-7}")
    assert "they are one key" in problem
    assert load_text("SOLVER: {ETA_MIN: 1e-6}").config.SOLVER.ETA_MIN_LR == 1e-6


def test_a_base_may_use_the_other_name_of_a_key(write):
    write("SOLVER: {ETA_MIN_LR: 1e-6}", "base.yml")
    assert load(write("_BASE_: base.yml\nSOLVER: {ETA_MIN: 1e-5}")).config.SOLVER.ETA_MIN_LR == 1e-5
    assert load(write("_BASE_: base.yml"), ["SOLVER.ETA_MIN", "1e-4"]).config.SOLVER.ETA_MIN_LR == 1e-4


def test_a_group_with_a_plain_value_is_refused(problems_of):
    (problem,) = problems_of("SOLVER: 3")
    assert problem == "run.yml line 1: SOLVER is 3, expected a group of keys, one to a line and indented."


def test_an_empty_group_changes_nothing(load_text):
    assert load_text("SOLVER:\nMODEL: {}\n").config == Config()


def test_differences_from_fast_reid_are_noted_for_a_file_that_may_be_meant_for_it(load_text):
    notes = "\n".join(load_text("SOLVER: {STEPS: [40, 90]}").notes)
    assert "TEST.EVAL_PERIOD 1 (fast-reid: 20)" in notes
    assert "read as absolute epochs" in notes
    assert load_text("SOLVER: {STEPS: [40, 90], EARLY_STOP_PATIENCE: 5}").notes == ()


def test_the_configuration_never_imports_torch():
    code = "import sys, unplateau.config.load, unplateau.config.delta; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


def test_loading_is_quick():
    path = Path(__file__).parents[2] / "custom_configs" / "plateau_solutions" / "solution_1_higher_lr.yml"
    load(path)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        load(path)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.05
