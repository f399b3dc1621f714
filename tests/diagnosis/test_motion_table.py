"""Two checkpoints as a person sees them: what moved, layer by layer, and what that rules out."""

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.describe import describe
from unplateau.diagnosis.diagnose import diagnose
from unplateau.diagnosis.motion_table import motion_table, moved_answer
from unplateau.runs.record import Measurement

from .made_cases import pair, stalled

MOVED = pair({"": (1e-2, 0.0), "backbone.a": (1e-2, 0.0), "heads": (0.2, 0.0)}, buffers=0.0)
STILL = pair({"": (0.0, 1.0), "backbone.a": (0.0, 1.0), "heads": (0.0, 1.0)}, buffers=0.0)


def test_every_layer_group_has_a_line_and_statistics_stand_apart():
    lines = motion_table(Case(measurements=MOVED)).splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["backbone.a", "heads", "all", "batch-norm"]
    assert lines[3].split()[1:] == ["1,000", "0.2", "0%"]


def test_what_did_not_move_is_exactly_0():
    assert "exactly 0" in motion_table(Case(measurements=STILL)).splitlines()[2]


def test_weights_that_moved_are_an_answer_even_without_a_fault():
    case = Case(measurements=MOVED)
    assert "ANSWER: the weights moved" in describe(case, diagnose(case))
    assert moved_answer(Case(measurements=STILL)) is None


def test_without_checkpoints_there_is_no_such_table():
    assert motion_table(stalled()) == ""
    assert moved_answer(stalled()) is None


def test_a_large_network_is_shown_in_part_and_the_rest_is_counted():
    groups = {"": (1e-2, 0.0), **{f"layer{number}": (1e-2, 0.0) for number in range(40)}}
    text = motion_table(Case(measurements=pair(groups)))
    assert "... and 16 more" in text


def test_tensors_without_a_partner_are_named():
    alone = Measurement("tensors_in_one_only", 2.0, "tensors", note="a.weight, b.weight")
    assert "2 tensors are in one file only" in motion_table(Case(measurements=(*MOVED, alone)))
