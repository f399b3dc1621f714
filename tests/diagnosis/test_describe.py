"""What a diagnosis looks like to a person and to a program, and the pages."""

import json

import pytest
from typer.testing import CliRunner

from unplateau.base.errors import UsageError
from unplateau.cli.main import app
from unplateau.diagnosis.case import Case
from unplateau.diagnosis.describe import describe, table_text, to_json
from unplateau.diagnosis.diagnose import diagnose
from unplateau.diagnosis.explain import finding_codes, page, title, vocabulary
from unplateau.diagnosis.targets import target_table

from .made_cases import healthy, stalled


def test_the_table_has_the_columns_that_were_asked_for_with_landmarks_as_targets():
    text = table_text(target_table(stalled()))
    assert text.split("\n")[0].split() == ["metric", "current", "status", "target"]
    assert "CE loss (751 identities)  6.71-6.73" in text
    assert "at its initial value 6.724" in text
    assert "below 0.3" in text


def test_a_healthy_run_is_told_how_far_it_has_come():
    row = target_table(healthy())[0]
    assert row.status.startswith("falling")
    assert "of the way to its floor" in row.status


def test_the_text_gives_evidence_confidence_refutation_and_the_next_test():
    case = stalled()
    text = " ".join(describe(case, diagnose(case)).split())
    for part in ("FINDING 1:", "confidence 8", "evidence:", "would be refuted by:", "next test:"):
        assert part in text
    assert "explicitly not recommended" in text


def test_the_answer_comes_before_the_table_and_its_evidence():
    case = stalled()
    text = describe(case, diagnose(case))
    assert text.index("ANSWER: The loss is at its initial value") < text.index("metric") < text.index("FINDING 1:")
    assert "No hyper-parameter will help" in text.split("metric")[0]


def test_a_case_that_says_nothing_says_so():
    assert "ANSWER: this alone says nothing about a cause." in describe(Case(), diagnose(Case()))


def test_a_healthy_run_is_not_told_to_change_anything():
    text = describe(healthy(), diagnose(healthy()))
    assert "No change is called for" in text


def test_the_json_is_plain_data():
    case = stalled()
    plain = to_json(case, diagnose(case))
    assert json.loads(json.dumps(plain))["findings"][0]["evidence"][0]["landmark"] == pytest.approx(6.724, abs=1e-3)


def test_a_mistyped_code_names_the_nearest():
    with pytest.raises(UsageError, match="weights-not-updated"):
        page("weight-not-updated")


def test_the_vocabulary_lists_findings_and_causes():
    text = vocabulary()
    assert "collapsed-embeddings" in text
    assert "stale-optimizer" in text


def test_explain_prints_a_page_and_a_list():
    runner = CliRunner()
    shown = runner.invoke(app, ["explain", "weights-not-updated"])
    assert shown.exit_code == 0
    assert "contiguous=False" in shown.output
    assert "stale-optimizer" in runner.invoke(app, ["explain", "--list"]).output


def test_findings_that_share_a_page_say_each_in_its_own_words_what_they_are():
    titles = [title(code) for code in finding_codes()]
    assert len(set(titles)) == len(titles)
    assert page("plateau").startswith("plateau: A real plateau")
    assert "One page with:" in page("plateau")
