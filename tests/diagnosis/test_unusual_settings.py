"""Settings beside what recipes use: which are named, with what to set instead, and what is left alone."""

import dataclasses

import pytest

from unplateau.config.delta import flatten, from_plain, with_values
from unplateau.config.schema import Config
from unplateau.diagnosis.case import Case
from unplateau.diagnosis.diagnose import diagnose
from unplateau.diagnosis.rules.unusual_settings import unusual
from unplateau.diagnosis.usual_settings import USUAL
from unplateau.runs.foreign_logs.config_facts import facts_of_config
from unplateau.runs.record import Finding

from .made_cases import falling, flat, make_case

RECIPE = from_plain(
    {
        "MODEL": {"HEADS": {"WITH_BNNECK": True, "NUM_CLASSES": 751}, "LOSSES": {"NAME": ("CrossEntropyLoss", "TripletLoss")}},
        "INPUT": {"PADDING": {"ENABLED": True}, "REA": {"ENABLED": True}},
        "DATALOADER": {"SAMPLER_TRAIN": "NaiveIdentitySampler"},
        "SOLVER": {"STEPS": (40, 90), "WARMUP_ITERS": 2000, "MAX_EPOCH": 120},
    }
)
CE, HEADS, JITTER = "MODEL.LOSSES", "MODEL.HEADS", "INPUT.CJ"


def case_of(config: Config, *, steps: int = 202, learns: bool = False) -> Case:
    facts = facts_of_config(flatten(config), iterations_per_epoch=steps)
    loss = falling(6.72, 0.95) if learns else flat(6.5, 0.01)
    return make_case(facts, cross_entropy=loss, mAP=falling(0.02, 0.1), learning_rate=flat(3.5e-4))


def found(changes: dict[str, object], **more: object) -> Finding | None:
    case = case_of(with_values(RECIPE, changes), **more)
    return next((finding for finding in diagnose(case).findings if finding.code == "settings-unusual"), None)


@pytest.mark.parametrize(
    ("changes", "cause", "instead"),
    [
        ({"SOLVER.OPT": "SGD"}, "learning-rate-too-low", {"SOLVER.BASE_LR": 0.05}),
        ({"SOLVER.OPT": "AdamW", "SOLVER.BASE_LR": 0.05}, "learning-rate-too-high", {"SOLVER.BASE_LR": 3.5e-4}),
        ({"SOLVER.WARMUP_ITERS": 50_000}, "learning-rate-too-low",
         {"SOLVER.WARMUP_ITERS": 2424}),
        ({"SOLVER.STEPS": (1, 2)}, "schedule-too-fast", {"SOLVER.SCHED": "CosineAnnealingLR"}),
        ({"SOLVER.STEPS": (200,)}, "schedule-never-steps", {"SOLVER.SCHED": "CosineAnnealingLR"}),
        ({"SOLVER.HEADS_LR_FACTOR": 0.1}, "learning-rate-too-low", {"SOLVER.HEADS_LR_FACTOR": 1.0}),
        ({"INPUT.REA.PROB": 1.0}, "augmentation-too-strong", {"INPUT.REA.PROB": 0.5}),
        ({f"{JITTER}.ENABLED": True, f"{JITTER}.HUE": 0.5}, "augmentation-too-strong", {f"{JITTER}.HUE": 0.1}),
        ({"INPUT.PADDING.SIZE": 60}, "augmentation-too-strong", {"INPUT.PADDING.SIZE": 10}),
        ({"DATALOADER.NUM_INSTANCE": 32}, "batch-too-small", {"DATALOADER.NUM_INSTANCE": 4}),
        ({f"{CE}.TRI.SCALE": 100.0}, "loss-weights-unbalanced", {f"{CE}.TRI.SCALE": 1.0}),
        ({f"{HEADS}.CLS_LAYER": "CosSoftmax"}, "missing-cosine-scale", {f"{HEADS}.SCALE": 9.4}),
    ],
)  # fmt: skip
def test_a_value_far_from_recipes_is_named_with_the_usual_one(changes, cause, instead):
    finding = found(changes)
    assert finding is not None
    assert (finding.causes[0], finding.settings) == (cause, instead)
    assert with_values(RECIPE, instead)  # may be set


def test_a_batch_that_leaves_few_steps_an_epoch_is_made_smaller():
    finding = found({"SOLVER.IMS_PER_BATCH": 128, "SOLVER.WARMUP_ITERS": 36}, steps=3)
    assert finding is not None and finding.settings == {"SOLVER.IMS_PER_BATCH": 32}


def test_a_mean_on_another_scale_is_seen_in_the_configuration_of_another_trainer():
    flat_keys = {**flatten(RECIPE), "MODEL.PIXEL_MEAN": (0.485, 0.456, 0.406)}
    case = make_case(facts_of_config(flat_keys, iterations_per_epoch=202), cross_entropy=flat(6.5, 0.01))
    finding = next(finding for finding in diagnose(case).findings if finding.code == "settings-unusual")
    assert finding.causes == ("inputs-not-normalised",)
    assert with_values(RECIPE, finding.settings) == RECIPE


def test_a_recipe_as_published_and_a_strange_one_that_learns_are_left_alone():
    assert found({}) is None
    assert found({"SOLVER.HEADS_LR_FACTOR": 0.1}, learns=True) is None


def test_before_a_training_the_same_is_told_in_a_sentence_each():
    config = with_values(RECIPE, {"SOLVER.WARMUP_ITERS": 50_000, "INPUT.REA.PROB": 1.0})
    assert unusual(facts_of_config(flatten(config), iterations_per_epoch=202)) == (
        "SOLVER.WARMUP_ITERS is 50000: 2.06 times all steps of the run; usual is at most 0.6",
        "INPUT.REA.PROB is 1; usual is at most 0.8",
    )
    assert unusual(facts_of_config({}, iterations_per_epoch=202)) == unusual(facts_of_config(flatten(RECIPE))) == ()


def test_of_a_run_that_has_only_begun_it_is_a_note():
    config = with_values(RECIPE, {"SOLVER.OPT": "SGD"})
    facts = facts_of_config(flatten(config), iterations_per_epoch=202)
    begun = make_case(facts, epochs=range(1, 6), cross_entropy=flat(6.5, 0.01))
    for case in (begun, Case(None, facts, ())):
        finding = next(finding for finding in diagnose(case).findings if finding.code == "settings-unusual")
        assert (finding.severity, finding.confidence < 0.5) == ("info", True)


def test_drops_that_a_short_run_never_reaches_are_a_note():
    finding = found({"SOLVER.STEPS": (200,)})
    assert finding is not None and (finding.severity, finding.confidence < 0.5) == ("info", True)
    both = found({"SOLVER.STEPS": (200,), "INPUT.REA.PROB": 1.0})
    assert both is not None and both.severity == "optimisation"


@pytest.mark.parametrize("people", [751, None])
@pytest.mark.parametrize("head", ["Linear", "ArcSoftmax"])
def test_a_training_that_does_well_is_left_alone_whatever_is_known_of_its_head(people, head):
    odd = with_values(RECIPE, {"INPUT.REA.PROB": 1.0, f"{HEADS}.CLS_LAYER": head, f"{HEADS}.SCALE": 30.0})
    facts = dataclasses.replace(facts_of_config(flatten(odd), iterations_per_epoch=202), num_identities=people)
    case = make_case(facts, cross_entropy=falling(6.6, 2.0), mAP=falling(0.02, 0.85))
    assert "settings-unusual" not in {finding.code for finding in diagnose(case).findings}


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ({"SOLVER.STEPS": "(200, 300)", "SOLVER.MAX_EPOCH": "120"}, "SOLVER.STEPS"),
        ({"SOLVER.BASE_LR": "1e-1"}, "SOLVER.BASE_LR"),
        ({"INPUT.SIZE_TRAIN": "(64, 32)", "INPUT.PADDING.SIZE": 10}, "INPUT.PADDING.SIZE"),
        ({"MODEL.PIXEL_MEAN": "[0.485, 0.456, 0.406]"}, "MODEL.PIXEL_MEAN"),
        ({"SOLVER.STEPS": 200}, "SOLVER.STEPS"),
    ],
)
def test_settings_that_other_trainers_write_as_text_or_as_one_number_are_read(written, key):
    facts = facts_of_config({**flatten(RECIPE), **written}, iterations_per_epoch=202)
    assert [text.split(" is ")[0] for text in unusual(facts)] == [key]


@pytest.mark.parametrize(
    "written",
    [
        {"SOLVER.STEPS": []}, {"SOLVER.STEPS": [None, 1]}, {"SOLVER.STEPS": "soon"}, {"INPUT.SIZE_TRAIN": [0, 0]},
        {"INPUT.SIZE_TRAIN": 256}, {"SOLVER.BASE_LR": 10**400}, {"SOLVER.BASE_LR": None}, {"SOLVER.BASE_LR": float("nan")},
        {"MODEL.PIXEL_STD": "one"}, {"SOLVER.MAX_EPOCH": 0}, {"DATALOADER.NUM_INSTANCE": 0}, {"SOLVER.OPT": ["Adam"]},
        {f"{CE}.NAME": None},
    ],
)  # fmt: skip
def test_what_cannot_be_a_value_is_not_judged(written):
    assert unusual(facts_of_config({**flatten(RECIPE), **written}, iterations_per_epoch=202)) == ()


@pytest.mark.parametrize(("batch", "each", "steps"), [(8, 4, 202), (6, 2, 202), (16, 4, 3), (32, 16, 202), (50, 25, 202)])
def test_what_is_to_be_set_instead_is_valid_and_another_value(batch, each, steps):
    changes = {"SOLVER.IMS_PER_BATCH": batch, "DATALOADER.NUM_INSTANCE": each, "SOLVER.WARMUP_ITERS": 20}
    finding = found(changes, steps=steps)
    assert finding is not None
    mended = with_values(with_values(RECIPE, changes), finding.settings)
    people = mended.SOLVER.IMS_PER_BATCH / mended.DATALOADER.NUM_INSTANCE
    assert steps == 3 or people >= 8
    assert all(changes.get(key) != value for key, value in finding.settings.items())


def test_settings_that_are_not_in_force_do_not_count():
    assert found({"INPUT.CJ.HUE": 0.5, f"{CE}.CENTER.SCALE": 1.0, f"{HEADS}.SCALE": 1.0, "SOLVER.FREEZE_ITERS": 90_000}) is None


def test_without_a_configuration_nothing_is_said():
    case = case_of(with_values(RECIPE, {"INPUT.REA.PROB": 1.0}))
    bare = dataclasses.replace(case, facts=dataclasses.replace(case.facts, settings=None))
    assert "settings-unusual" not in {finding.code for finding in diagnose(bare).findings}


def test_the_further_off_the_surer_and_the_first_named():
    near, far = found({"INPUT.REA.PROB": 1.0}), found({"INPUT.REA.PROB": 1.0, f"{CE}.TRI.SCALE": 900.0})
    assert near is not None and far is not None
    assert near.confidence < far.confidence
    assert far.causes == ("loss-weights-unbalanced", "augmentation-too-strong")


def test_every_key_exists_and_every_cause_has_a_usual_value():
    settings = flatten(RECIPE)
    facts = facts_of_config(settings, iterations_per_epoch=202)
    for usual in USUAL:
        assert usual.key in settings
        with_values(RECIPE, usual.instead(settings, facts))
