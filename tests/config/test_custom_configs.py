"""The recipes that come with the program: all load, and the five solutions change what they say and nothing else."""

from pathlib import Path

import pytest

from unplateau.config import delta
from unplateau.config.load import load

FOLDER = Path(__file__).parents[2] / "custom_configs"
SOLUTIONS = {
    "solution_1_higher_lr": {"SOLVER.BASE_LR": 0.0007},
    "solution_2_cosine_annealing": {"SOLVER.SCHED": "CosineAnnealingLR"},
    "solution_3_heavy_triplet": {"MODEL.LOSSES.CE.SCALE": 0.3, "MODEL.LOSSES.TRI.SCALE": 2.0},
    "solution_4_aggressive_lr_drop": {"SOLVER.BASE_LR": 0.001, "SOLVER.STEPS": (20, 50)},
    "solution_5_smaller_batch_higher_lr": {"SOLVER.IMS_PER_BATCH": 8, "SOLVER.BASE_LR": 0.001},
}


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.yml")), ids=lambda path: path.stem)
def test_every_file_loads_without_a_note(path):
    assert load(path).notes == ()


@pytest.mark.parametrize("name", SOLUTIONS)
def test_a_solution_changes_what_was_asked_and_nothing_else(name):
    stalled = load(FOLDER / "stalled_run.yml").config
    changed = delta.difference(stalled, load(FOLDER / "plateau_solutions" / f"{name}.yml").config)
    assert {key: new for key, (_, new) in changed.items()} == SOLUTIONS[name]


@pytest.mark.parametrize("name", SOLUTIONS)
def test_a_solution_says_what_it_is(name):
    text = (FOLDER / "plateau_solutions" / f"{name}.yml").read_text(encoding="utf-8")
    for word in ("Hypothesis:", "Change:", "Why:", "Hoped for:", "Caveat:"):
        assert f"# {word}" in text


def test_there_are_five_solutions():
    assert sorted(path.stem for path in (FOLDER / "plateau_solutions").glob("*.yml")) == sorted(SOLUTIONS)


def test_the_fifth_says_what_theory_says():
    text = (FOLDER / "plateau_solutions" / "solution_5_smaller_batch_higher_lr.yml").read_text(encoding="utf-8")
    assert "negatives get easier, not harder" in text


def test_the_stalled_run_is_the_askers():
    config = load(FOLDER / "stalled_run.yml").config
    assert (config.SOLVER.IMS_PER_BATCH, config.SOLVER.BASE_LR, config.SOLVER.MAX_EPOCH) == (16, 0.00035, 90)
    assert (config.SOLVER.SCHED, config.SOLVER.STEPS) == ("MultiStepLR", (40, 70))
    assert (config.MODEL.LOSSES.CE.SCALE, config.MODEL.LOSSES.TRI.SCALE) == (1.0, 1.0)
    assert (config.MODEL.BACKBONE.NAME, config.MODEL.BACKBONE.DEPTH) == ("build_resnet_backbone", "50x")
    assert config.DATALOADER.NUM_WORKERS == 0
    assert not config.SOLVER.AMP.ENABLED


def test_the_base_recipe_is_the_published_one():
    config = load(FOLDER / "Base-bagtricks.yml").config
    assert config.MODEL.HEADS.WITH_BNNECK
    assert config.MODEL.LOSSES.CE.EPSILON == 0.1
    assert (config.MODEL.LOSSES.TRI.MARGIN, config.MODEL.LOSSES.TRI.HARD_MINING) == (0.3, True)
    assert config.INPUT.REA.ENABLED
    assert config.INPUT.FLIP.ENABLED
    assert config.INPUT.PADDING.ENABLED
    assert (config.SOLVER.MAX_EPOCH, config.SOLVER.BASE_LR, config.SOLVER.STEPS) == (120, 3.5e-4, (40, 90))
    assert (config.SOLVER.WARMUP_ITERS, config.SOLVER.WARMUP_FACTOR) == (2000, 0.1)
    assert config.SOLVER.AMP.ENABLED
    assert config.TEST.EVAL_PERIOD == 1
