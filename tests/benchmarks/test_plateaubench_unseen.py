"""Faults that nobody tuned a rule on: that each can be planted, and that each changes the training or its score."""

import os
from functools import lru_cache

import pytest

from benchmarks.plateaubench import planning
from benchmarks.plateaubench.backbones import CHANGES, STANDARD
from benchmarks.plateaubench.experiment import build
from benchmarks.plateaubench.planning import faults_of
from benchmarks.plateaubench.training import run
from benchmarks.plateaubench.unseen.eighth_a import FAULTS as EIGHTH_A
from benchmarks.plateaubench.unseen.eighth_b import FAULTS as EIGHTH_B
from benchmarks.plateaubench.unseen.eleventh_a import FAULTS as ELEVENTH_A
from benchmarks.plateaubench.unseen.eleventh_b import FAULTS as ELEVENTH_B
from benchmarks.plateaubench.unseen.fifteenth_a import FAULTS as FIFTEENTH_A
from benchmarks.plateaubench.unseen.fifteenth_b import FAULTS as FIFTEENTH_B
from benchmarks.plateaubench.unseen.fifth_a import FAULTS as FIFTH_A
from benchmarks.plateaubench.unseen.fifth_b import FAULTS as FIFTH_B
from benchmarks.plateaubench.unseen.first import FAULTS as FIRST
from benchmarks.plateaubench.unseen.fourteenth_a import FAULTS as FOURTEENTH_A
from benchmarks.plateaubench.unseen.fourteenth_b import FAULTS as FOURTEENTH_B
from benchmarks.plateaubench.unseen.fourth import FAULTS as FOURTH
from benchmarks.plateaubench.unseen.ninth_a import FAULTS as NINTH_A
from benchmarks.plateaubench.unseen.ninth_b import FAULTS as NINTH_B
from benchmarks.plateaubench.unseen.second import FAULTS as SECOND
from benchmarks.plateaubench.unseen.seventh_a import FAULTS as SEVENTH_A
from benchmarks.plateaubench.unseen.seventh_b import FAULTS as SEVENTH_B
from benchmarks.plateaubench.unseen.sixth_a import FAULTS as SIXTH_A
from benchmarks.plateaubench.unseen.sixth_b import FAULTS as SIXTH_B
from benchmarks.plateaubench.unseen.tenth_a import FAULTS as TENTH_A
from benchmarks.plateaubench.unseen.tenth_b import FAULTS as TENTH_B
from benchmarks.plateaubench.unseen.third import FAULTS as THIRD
from benchmarks.plateaubench.unseen.thirteenth_a import FAULTS as THIRTEENTH_A
from benchmarks.plateaubench.unseen.thirteenth_b import FAULTS as THIRTEENTH_B
from benchmarks.plateaubench.unseen.twelfth_a import FAULTS as TWELFTH_A
from benchmarks.plateaubench.unseen.twelfth_b import FAULTS as TWELFTH_B
from unplateau.base.errors import UsageError
from unplateau.diagnosis.causes import BY_CODE

UNSEEN = (
    *FIRST,
    *SECOND,
    *FOURTH,
    *FIFTH_A,
    *FIFTH_B,
    *SIXTH_A,
    *SIXTH_B,
    *SEVENTH_A,
    *SEVENTH_B,
    *EIGHTH_A,
    *EIGHTH_B,
    *NINTH_A,
    *NINTH_B,
    *TENTH_A,
    *TENTH_B,
    *ELEVENTH_A,
    *ELEVENTH_B,
    *TWELFTH_A,
    *TWELFTH_B,
    *THIRTEENTH_A,
    *THIRTEENTH_B,
    *FOURTEENTH_A,
    *FOURTEENTH_B,
    *FIFTEENTH_B,
    *FIFTEENTH_A,
)
TABLES = {
    "first": FIRST,
    "second": SECOND,
    "third": THIRD,
    "fourth": FOURTH,
    "fifth a": FIFTH_A,
    "fifth b": FIFTH_B,
    "sixth a": SIXTH_A,
    "sixth b": SIXTH_B,
    "seventh a": SEVENTH_A,
    "seventh b": SEVENTH_B,
    "eighth a": EIGHTH_A,
    "eighth b": EIGHTH_B,
    "ninth a": NINTH_A,
    "ninth b": NINTH_B,
    "tenth a": TENTH_A,
    "tenth b": TENTH_B,
    "eleventh a": ELEVENTH_A,
    "eleventh b": ELEVENTH_B,
    "twelfth a": TWELFTH_A,
    "twelfth b": TWELFTH_B,
    "thirteenth a": THIRTEENTH_A,
    "thirteenth b": THIRTEENTH_B,
    "fourteenth a": FOURTEENTH_A,
    "fourteenth b": FOURTEENTH_B,
    "fifteenth b": FIFTEENTH_B,
    "fifteenth a": FIFTEENTH_A,
}
SHORT = {"SOLVER.MAX_EPOCH": 3, "SOLVER.WARMUP_ITERS": 0, "SOLVER.STEPS": (2,)}
BREAKS = {
    "raw_ids_for_labels": "IndexError",
    "one_class_too_few": "IndexError",
    "numbers_of_people_with_gaps": "IndexError",
    "blank_image_divided_by_its_deviation": "Diverged",
    "numbers_of_the_larger_set": "IndexError",
    "mean_over_positives_of_anchors_with_none": "Diverged",
    "epsilon_rounded_away": "Diverged",
    "sparse_ids_as_classes": "IndexError",
}
LATE = {
    "plateau_counted_in_batches": 8,
    "scale_raised_where_it_overflows": 30,
    "highest_loss_wanted": 4,
    "schedule_starts_from_scratch_at_resume": 7,
    "random_copy_behind_the_loaded_weights": 9,
}  # epochs after which these show; three are enough for all others


ALL = "UNPLATEAU_PLANT_ALL"
"""Set it to plant every fault of every file; by default every fifth, and those that end or show in a way of their own."""
PLANTED = tuple(
    planted for row, planted in enumerate(UNSEEN) if ALL in os.environ or row % 5 == 0 or planted.name in {*BREAKS, *LATE}
)


@lru_cache(maxsize=2)
def healthy_outcome(epochs=3):
    return outcome(build({**SHORT, "SOLVER.MAX_EPOCH": epochs}, seed=1))


def outcome(experiment):
    """What came of a training: problem, log lines, and what evaluation embeds at the end."""
    story = run(experiment, facts_of=build(SHORT, seed=1), make_probing=None)
    scored = experiment.evaluator
    return story.problem, [str(line) for line in story.log], scored.embed(experiment, scored.gallery).features_ND.tobytes()


@pytest.mark.parametrize("faults", TABLES.values(), ids=TABLES)
def test_each_file_has_sixteen_kinds_or_more_of_the_published_vocabulary(faults):
    assert len({planted.kind for planted in faults}) >= 16
    for planted in faults:
        assert planted.causes and planted.causes <= set(BY_CODE), planted.name
        assert planted.severity in ("mild", "severe")


def test_no_kind_is_in_two_tables():
    tables = [{planted.kind for planted in faults} for faults in (planning.FAULTS, *TABLES.values())]
    assert len(set().union(*tables)) == sum(map(len, tables))
    assert len({planted.name for planted in UNSEEN}) == len(UNSEEN)


@pytest.mark.slow
@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_unseen_faults_can_be_planted_and_change_the_training_or_its_score(planted):
    epochs = LATE.get(planted.name, 3)
    broken = build({**SHORT, "SOLVER.MAX_EPOCH": epochs}, seed=1)
    planted.inject(broken)
    result = outcome(broken)
    assert result[0].partition(":")[0] == BREAKS.get(planted.name, "")
    assert result != healthy_outcome(epochs)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", [name for name in CHANGES if name != STANDARD])
@pytest.mark.parametrize(
    "name", ["dropout_in_every_layer/0.7", "pruned/0.95", "scored_without_late_layers", "pooled_over_channels"]
)
def test_faults_inside_the_backbone_are_planted_in_every_network(name, backbone):
    planted = next(planted for planted in UNSEEN if planted.name == name)
    changed = {**SHORT, **CHANGES[backbone], "SOLVER.MAX_EPOCH": 1}
    broken = build(changed, seed=1)
    planted.inject(broken)
    assert outcome(broken)[1:] != outcome(build(changed, seed=1))[1:]


@pytest.mark.slow
def test_without_a_fault_the_outcome_is_the_same_twice():
    assert outcome(build(SHORT, seed=1)) == healthy_outcome()


def test_faults_can_be_given_in_a_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from benchmarks.plateaubench.fault import fault\nFAULTS = (fault('mine', 'dead-units', lambda experiment: None),)\n",
        encoding="utf-8",
    )
    assert [planted.name for planted in faults_of(path)] == ["mine"]
    with pytest.raises(UsageError, match="no such"):
        faults_of(tmp_path / "absent.py")
    path.write_text("FAULTS = ()\n", encoding="utf-8")
    with pytest.raises(UsageError, match="needs FAULTS"):
        faults_of(path)
