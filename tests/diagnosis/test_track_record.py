"""A finding is no surer of its causes than what came of it in trainings with unknown bugs."""

from benchmarks.plateaubench.track_record import Told, confidence_table, right_of_first, told
from unplateau.diagnosis.causes import BY_CODE
from unplateau.diagnosis.rules.table import RULES
from unplateau.diagnosis.track_record import LIKELY, PROVEN, RIGHT_OF_FIRST, as_recorded, expected_right, record_of
from unplateau.runs.record import Finding


def finding(code, confidence):
    return Finding(code, code, "pipeline", confidence, (), causes=(next(iter(BY_CODE)),))


def test_the_table_is_what_the_reports_of_unseen_faults_say():
    assert right_of_first(told()) == RIGHT_OF_FIRST
    assert set(RIGHT_OF_FIRST) <= {rule.code for rule in RULES}


def test_a_finding_that_was_often_wrong_is_not_sure_but_stays_likely_and_proof_stays_proof():
    worst = min(RIGHT_OF_FIRST, key=lambda code: RIGHT_OF_FIRST[code][0] / RIGHT_OF_FIRST[code][1])
    best = max(RIGHT_OF_FIRST, key=lambda code: expected_right(*RIGHT_OF_FIRST[code]))
    assert as_recorded(finding(worst, 0.95)).confidence == LIKELY
    assert 0.9 <= as_recorded(finding(best, 0.95)).confidence <= 0.95
    assert as_recorded(finding(worst, PROVEN)).confidence == PROVEN
    assert as_recorded(finding(worst, 0.3)).confidence == 0.3
    assert as_recorded(finding("never-seen", 0.95)).confidence == 0.95
    assert record_of("never-seen") == ""
    assert f"right in {RIGHT_OF_FIRST[best][0]}" in record_of(best)


def test_how_well_confidence_held_is_counted_with_the_record_of_other_files_alone():
    answers = tuple(Told(file, "one", 0.9, is_right) for file in ("a", "b") for is_right in (False, False, True))
    as_told, capped = confidence_table(answers)[2:]
    assert as_told.startswith("| as told | 6 | 6 | 4 |")
    assert capped.startswith("| no surer than the record | 6 | 0 | 0 |")  # (1 + 2) / (3 + 3) for each file, by the other
