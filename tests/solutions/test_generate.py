"""From findings to solutions: the five exactly as asked, the evidence first, and nothing that is there already."""

from dataclasses import replace
from pathlib import Path

import pytest

from unplateau.config.delta import from_plain, with_values
from unplateau.config.load import load
from unplateau.runs.record import Finding
from unplateau.solutions.asked_for import ASKED_FOR
from unplateau.solutions.catalogue import REMEDIES
from unplateau.solutions.generate import generate, things_to_do, would_change_nothing

STALLED = from_plain(
    {
        "SOLVER": {"BASE_LR": 0.00035, "IMS_PER_BATCH": 16, "MAX_EPOCH": 90, "STEPS": [40, 70]},
        "DATALOADER": {"SAMPLER_TRAIN": "NaiveIdentitySampler", "NUM_INSTANCE": 4},
        "MODEL": {"LOSSES": {"NAME": ["CrossEntropyLoss", "TripletLoss"]}},
    }
)
ASKED = {
    "solution_1_higher_lr": {"SOLVER.BASE_LR": 0.0007},
    "solution_2_cosine_annealing": {"SOLVER.SCHED": "CosineAnnealingLR"},
    "solution_3_heavy_triplet": {"MODEL.LOSSES.CE.SCALE": 0.3, "MODEL.LOSSES.TRI.SCALE": 2.0},
    "solution_4_aggressive_lr_drop": {"SOLVER.STEPS": [20, 50], "SOLVER.BASE_LR": 0.001},
    "solution_5_smaller_batch_higher_lr": {"SOLVER.IMS_PER_BATCH": 8, "SOLVER.BASE_LR": 0.001},
}


def _finding(code: str, *remedies: str, severity: str = "optimisation", confidence: float = 0.8) -> Finding:
    return Finding(code, code, severity, confidence, (), remedies=remedies)


def test_on_the_stalled_run_the_five_are_exactly_those_asked_for():
    assert {solution.name: solution.delta for solution in generate(STALLED, ())} == ASKED


def test_without_findings_the_order_is_the_one_asked_for():
    assert [solution.name for solution in generate(STALLED, ())] == list(ASKED)


def test_other_recipes_keep_the_asked_proportions():
    config = with_values(STALLED, {"SOLVER.BASE_LR": 0.0001, "SOLVER.IMS_PER_BATCH": 64, "SOLVER.MAX_EPOCH": 45})
    deltas = {solution.name: solution.delta for solution in generate(config, ())}
    assert deltas["solution_1_higher_lr"] == {"SOLVER.BASE_LR": 0.0002}
    assert deltas["solution_4_aggressive_lr_drop"]["SOLVER.STEPS"] == [10, 25]
    assert deltas["solution_5_smaller_batch_higher_lr"] == {"SOLVER.IMS_PER_BATCH": 32, "SOLVER.BASE_LR": 0.000286}


def test_a_batch_of_two_people_is_not_halved_further():
    config = with_values(STALLED, {"SOLVER.IMS_PER_BATCH": 8})
    deltas = {solution.name: solution.delta for solution in generate(config, ())}
    assert deltas["solution_5_smaller_batch_higher_lr"] == {"SOLVER.BASE_LR": 0.001}  # the batch of 8 stays


def test_what_the_run_has_already_is_no_part_of_a_change_and_what_it_lacks_is():
    config = with_values(STALLED, {"SOLVER.SCHED": "CosineAnnealingLR"})
    deltas = {solution.name: solution.delta for solution in generate(config, ())}
    assert deltas["solution_4_aggressive_lr_drop"]["SOLVER.SCHED"] == "MultiStepLR"
    assert "SOLVER.SCHED" not in ASKED["solution_4_aggressive_lr_drop"]


def test_a_solution_that_would_be_the_control_is_left_out_and_named():
    config = with_values(STALLED, {"SOLVER.SCHED": "CosineAnnealingLR"})
    assert "solution_2_cosine_annealing" not in {solution.name for solution in generate(config, ())}
    assert would_change_nothing(config) == {"solution_2_cosine_annealing": {"SOLVER.SCHED": "CosineAnnealingLR"}}
    assert would_change_nothing(STALLED) == {}


def test_what_the_evidence_calls_for_comes_before_the_five():
    solutions = generate(STALLED, [_finding("collapsed-embeddings", "warm_up", "smaller_pk_and_grow")])
    assert [solution.name for solution in solutions[:2]] == ["solution_6_warm_up", "solution_7_smaller_pk_and_grow"]
    assert all(solution.treats == ("collapsed-embeddings",) for solution in solutions[:2])
    assert {solution.name for solution in solutions} >= set(ASKED)


def test_a_finding_that_one_of_the_five_treats_lifts_it():
    first = generate(STALLED, [_finding("plateau", "cosine_annealing", "drop_now")])[0]
    assert (first.name, first.treats) == ("solution_2_cosine_annealing", ("plateau",))


def test_a_remedy_that_is_in_force_already_is_not_written():
    config = with_values(STALLED, {"MODEL.HEADS.SCALE": 30.0})
    names = [solution.name for solution in generate(config, [_finding("missing-cosine-scale", "restore_cosine_scale")])]
    assert names == list(ASKED)


def test_broken_pipelines_get_the_unchanged_recipe_in_a_trainer_that_learns():
    broken = _finding("weights-not-updated", "fix_optimizer", severity="pipeline", confidence=0.9)
    first = generate(STALLED, [broken])[0]
    assert (first.name, first.delta, first.treats) == ("solution_6_fix_optimizer", {}, ("weights-not-updated",))
    assert [remedy.name for _, remedy in things_to_do([broken])] == ["fix_optimizer"]


@pytest.mark.parametrize("remedy", REMEDIES, ids=lambda remedy: remedy.name)
def test_every_remedy_is_cited_and_gives_a_configuration_that_loads(remedy):
    assert remedy.hypothesis
    assert remedy.source
    assert remedy.change is not None or remedy.elsewhere
    if remedy.change is not None:
        with_values(STALLED, remedy.change(STALLED))


@pytest.mark.parametrize("asked", ASKED_FOR, ids=lambda asked: asked.name)
def test_the_files_in_the_repository_set_what_is_generated(asked):
    folder = Path(__file__).parents[2] / "custom_configs"
    base = load(folder / "stalled_run.yml").config
    assert load(folder / "plateau_solutions" / f"{asked.name}.yml").config == with_values(base, asked.change(base))


def test_a_measured_value_takes_the_place_of_the_published_one_for_the_same_key():
    low = replace(_finding("learning-rate-too-low", "higher_learning_rate"), settings={"SOLVER.BASE_LR": 0.0027, "SEED": 3.0})
    deltas = {solution.name: solution.delta for solution in generate(with_values(STALLED, {"SOLVER.BASE_LR": 1e-5}), [low])}
    assert deltas["solution_6_higher_learning_rate"] == {"SOLVER.BASE_LR": 0.0027}


@pytest.mark.parametrize(
    ("remedy", "wrong", "delta"),
    [
        ("repair_schedule", {"SOLVER.STEPS": (1, 2)}, {"SOLVER.SCHED": "CosineAnnealingLR"}),
        ("repair_schedule", {"SOLVER.STEPS": (200,)}, {"SOLVER.SCHED": "CosineAnnealingLR"}),
        ("repair_schedule", {}, {}),
        ("larger_batch", {"SOLVER.IMS_PER_BATCH": 4, "DATALOADER.NUM_INSTANCE": 2},
         {"SOLVER.IMS_PER_BATCH": 32, "DATALOADER.NUM_INSTANCE": 4}),
        ("larger_batch", {"SOLVER.IMS_PER_BATCH": 64}, {"SOLVER.IMS_PER_BATCH": 128}),
        ("larger_batch", {"SOLVER.IMS_PER_BATCH": 50, "DATALOADER.NUM_INSTANCE": 5},
         {"SOLVER.IMS_PER_BATCH": 52, "DATALOADER.NUM_INSTANCE": 4}),
        ("lower_learning_rate", {"SOLVER.BASE_LR": 0.2}, {"SOLVER.BASE_LR": 0.00035}),
        ("lower_learning_rate", {"SOLVER.BASE_LR": 0.0006}, {"SOLVER.BASE_LR": 0.0002}),
    ],
)  # fmt: skip
def test_a_remedy_changes_what_is_wrong_and_leaves_what_is_usual(remedy, wrong, delta):
    found = generate(with_values(STALLED, wrong), [_finding("code", remedy)])
    assert next(solution.delta for solution in found if solution.name.endswith(remedy)) == delta


def test_unusual_settings_become_one_solution_of_all_of_them():
    odd = replace(_finding("settings-unusual", "usual_settings"), settings={"INPUT.REA.PROB": 0.4, "SOLVER.WARMUP_ITERS": 300})
    deltas = {solution.name: solution.delta for solution in generate(STALLED, [odd])}
    assert deltas["solution_6_usual_settings"] == {"INPUT.REA.PROB": 0.4, "SOLVER.WARMUP_ITERS": 300}
    nothing = _finding("settings-unusual", "usual_settings")
    assert not any(solution.name.endswith("usual_settings") for solution in generate(STALLED, [nothing]))


def test_the_same_change_is_one_solution_that_treats_the_findings_of_both():
    low = replace(_finding("learning-rate-too-low", "higher_learning_rate"), settings={"SOLVER.BASE_LR": 0.0027})
    odd = replace(_finding("settings-unusual", "usual_settings", confidence=0.7), settings={"SOLVER.BASE_LR": 0.0027})
    extra = [
        one for one in generate(with_values(STALLED, {"SOLVER.BASE_LR": 1e-5}), [low, odd]) if one.name.startswith("solution_6")
    ]
    assert [(one.name, one.treats) for one in extra] == [
        ("solution_6_higher_learning_rate", ("learning-rate-too-low", "settings-unusual"))
    ]
    names = [one.name for one in generate(with_values(STALLED, {"SOLVER.BASE_LR": 1e-5}), [low, odd])]
    assert not any(name.endswith("usual_settings") for name in names)
