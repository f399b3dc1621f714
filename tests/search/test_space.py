"""A point of the space becomes a change of configuration and back; the default space takes the base and the five solutions in."""

from pathlib import Path

import pytest

from unplateau.base.errors import ConfigError
from unplateau.config.delta import from_plain, with_values
from unplateau.config.load import load
from unplateau.config.schema import Config
from unplateau.search.default_space import default_space
from unplateau.search.space import Choice, Number, Space
from unplateau.search.space_file import read_space
from unplateau.search.suggest import suggest
from unplateau.solutions.asked_for import ASKED_FOR

STALLED = Path("custom_configs") / "stalled_run.yml"
RECIPES = sorted(Path("custom_configs").rglob("*.yml"))


@pytest.mark.parametrize("path", RECIPES, ids=str)
def test_every_recipe_is_a_point_of_its_own_default_space(path: Path) -> None:
    config = load(path).config
    space = default_space(config)
    point = space.point_of(config)
    assert point is not None
    assert space.point_of(with_values(config, space.changes(point))) == point


@pytest.mark.parametrize("asked", ASKED_FOR, ids=lambda asked: asked.name)
def test_every_solution_is_a_point_of_the_default_space(asked) -> None:
    config = load(STALLED).config
    assert default_space(config).point_of(with_values(config, asked.change(config))) is not None


@pytest.mark.parametrize("path", RECIPES, ids=str)
def test_every_suggested_point_of_the_default_space_is_a_sound_configuration(path: Path) -> None:
    config = load(path).config
    space = default_space(config)
    for draw in range(30):
        point = suggest(space, (), sampler="random", draw=draw)
        changed = with_values(config, space.changes(point))
        assert space.point_of(changed) == point


def test_the_default_space_holds_what_decides_in_re_id() -> None:
    names = {part.name for part in default_space(load(STALLED).config).parameters}
    assert {
        "SOLVER.BASE_LR", "schedule", "batch", "MODEL.LOSSES.TRI.SCALE", "MODEL.LOSSES.CE.SCALE", "MODEL.LOSSES.TRI.MARGIN",
        "MODEL.LOSSES.CE.EPSILON", "SOLVER.WEIGHT_DECAY", "SOLVER.WARMUP_ITERS", "INPUT.REA.PROB", "MODEL.HEADS.POOL_LAYER",
    } <= names  # fmt: skip


def test_the_default_space_leaves_out_what_the_base_does_not_use() -> None:
    plain = from_plain({"MODEL.LOSSES.NAME": ["CrossEntropyLoss"], "MODEL.HEADS.POOL_LAYER": "Identity"})
    names = {part.name for part in default_space(plain).parameters}
    assert "MODEL.LOSSES.TRI.MARGIN" not in names and "MODEL.HEADS.POOL_LAYER" not in names and "batch" not in names
    assert "SOLVER.IMS_PER_BATCH" in names


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 90])
def test_the_default_space_is_sound_however_short_the_training(epochs: int) -> None:
    config = with_values(from_plain({}), {"SOLVER.MAX_EPOCH": epochs, "SOLVER.STEPS": []})
    for draw in range(20):
        with_values(config, default_space(config).changes(suggest(default_space(config), (), sampler="random", draw=draw)))


def test_a_switched_off_augmentation_counts_as_probability_0() -> None:
    part = Number("INPUT.CJ.PROB", 0.0, 0.8, also={"INPUT.CJ.ENABLED": True})
    off, on = from_plain({}), from_plain({"INPUT.CJ.ENABLED": True, "INPUT.CJ.PROB": 0.3})
    assert Space((part,)).point_of(off) == {"INPUT.CJ.PROB": 0}
    assert Space((part,)).point_of(on) == {"INPUT.CJ.PROB": 0.3}


def test_a_configuration_outside_the_limits_is_no_point() -> None:
    space = Space((Number("SOLVER.BASE_LR", 1e-3, 1e-2, is_log=True),))
    assert space.point_of(from_plain({"SOLVER.BASE_LR": 1e-4})) is None


def test_suggested_numbers_have_few_digits_and_stay_within_the_limits() -> None:
    number = Number("SOLVER.BASE_LR", 0.00123456, 0.00987654, is_log=True)
    assert number.tidy(0.001234567) == 0.00123456  # rounding would leave the limits
    assert number.tidy(0.00345678) == 0.00346
    assert Number("SOLVER.WARMUP_ITERS", 0, 20, is_whole=True).tidy(7.6) == 8


def test_the_number_of_points_is_known_where_it_ends() -> None:
    choice = Choice("a", {"x": {"SEED": 1}, "y": {"SEED": 2}})
    whole = Number("SOLVER.WARMUP_ITERS", 0, 4, is_whole=True)
    assert Space((choice, whole)).num_points == 10
    assert Space((choice, Number("SOLVER.BASE_LR", 1e-4, 1e-2))).num_points is None


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "space.yml"
    path.write_text(text)
    return path


def test_a_space_file_is_read_with_numbers_lists_and_named_choices(tmp_path: Path) -> None:
    space = read_space(write(tmp_path, """\
SOLVER.BASE_LR: {low: 1e-4, high: 1e-2, log: true}
SOLVER:
  IMS_PER_BATCH: [32, 64, 128]
  WARMUP_ITERS: {low: 0, high: 100}
INPUT.REA.PROB: {low: 0, high: 0.8, also: {INPUT.REA.ENABLED: true}}
schedule:
  choices:
    cosine: {SOLVER.SCHED: CosineAnnealingLR}
    two drops: {SOLVER.SCHED: MultiStepLR, SOLVER.STEPS: [20, 50]}
"""))  # fmt: skip
    by_name = {part.name: part for part in space.parameters}
    assert by_name["SOLVER.BASE_LR"] == Number("SOLVER.BASE_LR", 1e-4, 1e-2, is_log=True)
    assert by_name["SOLVER.WARMUP_ITERS"] == Number("SOLVER.WARMUP_ITERS", 0, 100, is_whole=True)
    assert by_name["INPUT.REA.PROB"] == Number("INPUT.REA.PROB", 0, 0.8, also={"INPUT.REA.ENABLED": True})
    batch, schedule = by_name["SOLVER.IMS_PER_BATCH"], by_name["schedule"]
    assert isinstance(batch, Choice) and batch.is_ordered and batch.changes("64") == {"SOLVER.IMS_PER_BATCH": 64}
    assert schedule.changes("two drops") == {"SOLVER.SCHED": "MultiStepLR", "SOLVER.STEPS": [20, 50]}
    assert isinstance(schedule, Choice) and not schedule.is_ordered
    config: Config = from_plain({"SOLVER.IMS_PER_BATCH": 32, "SOLVER.SCHED": "MultiStepLR", "SOLVER.STEPS": [20, 50]})
    assert Space((batch, schedule)).point_of(config) == {"SOLVER.IMS_PER_BATCH": "32", "schedule": "two drops"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SOLVER.BASE_LRR: {low: 1, high: 2}", "SOLVER.BASE_LRR is searched, expected a known key. Did you mean SOLVER.BASE_LR?"),
        ("\nSOLVER.BASE_LR: {low: 1e-2, high: 1e-4}", "line 2: SOLVER.BASE_LR goes from 0.01 to 0.0001"),
        ("SOLVER.BASE_LR: {low: 0, high: 1e-4, log: true}", "searched by factors (log), so low has to be above 0"),
        ("SOLVER.BASE_LR: {low: 1e-4}", "line 1: SOLVER.BASE_LR has no high."),
        ("SOLVER.BASE_LR: {low: 1e-4, hihg: 1}", "has 'hihg', expected low, high, log, also or choices. Did you mean high?"),
        ("SOLVER.BASE_LR: {low: -1, high: 1}", "line 1: SOLVER.BASE_LR is -1, expected a number of 0 or more"),
        ("SOLVER.SCHED: {low: 1, high: 2}", "line 1: SOLVER.SCHED is no number, expected a list of choices"),
        ("SOLVER.SCHED: [Cosine, MultiStepLR]", "SOLVER.SCHED is Cosine, expected one of MultiStepLR, CosineAnnealingLR"),
        ("SOLVER.SCHED: [MultiStepLR]", "SOLVER.SCHED has 1 choice, expected two or more"),
        ("SEED: [1, 2]", "line 1: SEED cannot be searched: trials that are compared need the same seed."),
        ("VALIDATION.HELD_OUT: [0.1, 0.2]", "VALIDATION.HELD_OUT cannot be searched"),
        ("a:\n  choices:\n    x: {SOLVER.MAX_EPOCH: 3}\n    y: {SEED: 3}", "line 3: SOLVER.MAX_EPOCH cannot be searched"),
        ("SOLVER.BASE_LR: {low: 1e-4, high: 1, choices: [1, 2]}", "has limits and choices, expected one of the two"),
        ("", "the space is empty"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_space_file_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_space(write(tmp_path, text))
    assert said in str(caught.value)


def test_all_problems_of_a_space_file_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_space(write(tmp_path, "SEED: [1, 2]\nSOLVER.BASE_LR: {low: 2, high: 1}\nSOLVER.NOT: [1, 2]"))
    assert len(caught.value.problems) == 3
