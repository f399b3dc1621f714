"""The page of a run: what it says first, what it keeps apart, and that nothing from a run becomes markup."""

import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.report.made_runs import make_run
from unplateau.base.errors import RecordError
from unplateau.base.files import read_json, write_json
from unplateau.report.drawn import MOST_DRAWN, drawn
from unplateau.report.html import coded, page_html
from unplateau.report.run_page import run_page
from unplateau.report.run_view import RunView
from unplateau.runs.record import Evidence, Finding, RankList, RetrievalMetrics, StopReason, from_plain, to_plain
from unplateau.workflows.reporting.report import write_report
from unplateau.workflows.reporting.report_run import view_of

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
BROKEN = Finding("weights-not-updated", "The weights are not updated", "pipeline", 0.99, (Evidence("motion exactly 0"),))


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> RunView:
    """A made run of 12 epochs; not to be changed."""
    return view_of(make_run(tmp_path_factory.mktemp("runs") / "made", epochs=12))


class _Tags(HTMLParser):
    """Collects what a browser would see as elements."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def _parsed(view: RunView) -> _Tags:
    parser = _Tags()
    parser.feed(page_html(run_page(view)))
    return parser


def _with_test(view: RunView, *, chosen_on_it: bool = False) -> RunView:
    test = RetrievalMetrics("test", 0.3561, 0.1, {"1": 0.61}, 3368, 15913, 750, 0.01, "Market1501", chosen_on_it=chosen_on_it)
    return replace(view, record=replace(view.record, info={**view.info, "test": [to_plain(test)]}))


def test_the_page_opens_with_one_sentence_that_gives_score_epoch_and_interval(view: RunView) -> None:
    page = run_page(view)
    best = view.record.best
    assert best is not None
    assert best.validation is not None
    assert f"the best held-out mAP is {100 * best.validation.mAP:.1f} % at epoch {best.epoch} (95 % interval" in page.verdict
    assert page.verdict.startswith("Training completed all epochs")
    assert page.tone == "good"


def test_a_likely_cause_within_the_recipe_stands_in_the_verdict_and_notes_do_not(view: RunView) -> None:
    slow = Finding("learning-rate-too-low", "The learning rate is too low", "optimisation", 0.8, (Evidence("3e-5"),))
    page = run_page(replace(view, findings=(slow,)))
    assert page.verdict.endswith("The learning rate is too low (confidence 80%).") and page.verdict.startswith(
        "Training completed"
    )
    note = replace(slow, severity="info")
    assert "too low" not in run_page(replace(view, findings=(note,))).verdict
    assert "too low" not in run_page(replace(view, findings=(replace(slow, confidence=0.4),))).verdict


def test_a_broken_pipeline_is_the_verdict_whatever_the_run_scored(view: RunView) -> None:
    page = run_page(replace(view, findings=(BROKEN,)))
    assert page.verdict == "The weights are not updated (weights-not-updated). No hyper-parameter helps until this is fixed."
    assert page.tone == "bad"


def test_a_stalled_run_is_recognised_from_its_records_alone(tmp_path: Path) -> None:
    page = run_page(view_of(make_run(tmp_path / "stalled", epochs=12, is_stalled=True)))
    assert "weights-not-updated" in page.verdict


def test_a_run_that_trains_says_where_it_stands(view: RunView) -> None:
    running = replace(view, record=replace(view.record, stop=None), is_running=True)
    assert run_page(running).verdict.startswith("Training now: epoch 12 of 12; the best held-out mAP is")
    assert run_page(running).tone == "open"


def test_a_run_without_a_word_is_said_to_be_broken_off(view: RunView) -> None:
    assert run_page(replace(view, record=replace(view.record, stop=None))).verdict.startswith(
        "Broken off without a written reason"
    )


def test_a_test_set_that_was_scored_again_is_not_said_to_be_scored_once(view: RunView) -> None:
    tested = _with_test(view)
    page = page_html(run_page(tested))
    assert "scored once" in page
    info = {**tested.record.info, "times_test_was_scored": 2}
    again = page_html(run_page(replace(tested, record=replace(tested.record, info=info))))
    assert "scored 2 times" in again and "scored once" not in again


def test_held_out_and_test_scores_never_share_a_chart_or_a_number(view: RunView) -> None:
    page = run_page(_with_test(view))
    facts = {fact.name: fact for fact in page.facts}
    assert facts["Test mAP"].value == "35.6 %"
    assert "scored once" in facts["Test mAP"].note
    assert "chance 1.0 %" in facts["Test mAP"].note
    assert facts["Best held-out mAP"].value != "35.6 %"
    charts = [chart for section in page.sections for block in section.blocks if block.kind == "charts" for chart in block.charts]
    scores = [chart for chart in charts if "mAP" in chart.title]
    assert [chart.title for chart in scores] == ["mAP on held-out identities"]
    assert all(35.61 not in one.y for one in scores[0].series)


def test_a_test_score_that_chose_the_epoch_is_called_optimistic(view: RunView) -> None:
    page = run_page(_with_test(view, chosen_on_it=True))
    assert "optimistic" in next(fact.note for fact in page.facts if fact.name == "Test mAP")


def test_losses_stand_with_their_landmarks(view: RunView) -> None:
    section = next(one for one in run_page(view).sections if one.anchor == "losses")
    landmarks = {chart.title: {mark.name for mark in chart.landmarks} for chart in section.blocks[0].charts}
    assert landmarks["Cross-entropy"] == {"chance ln I", "initialisation", "smoothing floor"}
    assert landmarks["Triplet loss"] == {"all in one point"}


def test_the_page_reaches_out_to_nothing(view: RunView) -> None:
    html = page_html(run_page(view))
    parser = _parsed(view)
    assert not {"link", "iframe", "object", "embed"}.intersection(parser.tags)
    addresses = [value or "" for name, value in parser.attributes if name in ("src", "href", "action", "data")]
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", html)
    assert any("default-src 'none'" in (value or "") for _, value in parser.attributes)


def test_nothing_from_a_run_becomes_markup(view: RunView) -> None:
    hostile = StopReason("error", HOSTILE, (HOSTILE,), (HOSTILE,))
    finding = Finding(HOSTILE, HOSTILE, "data", 0.6, (Evidence(HOSTILE, source=HOSTILE),), (HOSTILE,), HOSTILE, HOSTILE)
    epochs = tuple(replace(epoch, losses={HOSTILE: 1.0, "triplet": 0.5}) for epoch in view.epochs)
    info = {
        "notes": [HOSTILE],
        "data": {HOSTILE: HOSTILE},
        "provenance": {"command_line": [HOSTILE], "versions": {HOSTILE: HOSTILE}},
    }
    folder = replace(view.folder, path=view.folder.path / HOSTILE)
    record = replace(view.record, folder=folder, stop=hostile, epochs=epochs, info=info)
    lists = from_plain(RankList, read_json(view.folder.rank_lists)[0])
    queries = tuple(replace(query, query=replace(query.query, path=HOSTILE), kind=HOSTILE) for query in lists.queries)
    attacked = replace(
        view, record=record, findings=(finding,), rank_lists=(replace(lists, queries=queries, dataset=HOSTILE),),
        problems=(HOSTILE,), written=HOSTILE, about_hyper_parameters=HOSTILE,
    )  # fmt: skip
    calm, parser = _parsed(view), _parsed(attacked)
    assert parser.tags.count("script") == calm.tags.count("script") == 1
    assert "img" not in parser.tags
    assert not any(name.startswith("on") for name, _ in parser.attributes)
    assert "alert(1)" in "".join(parser.text)


def test_backticks_set_code_and_escape_what_is_in_them() -> None:
    assert coded("run `a <b>` & go") == "run <code>a &lt;b&gt;</code> &amp; go"
    assert coded("a lone ` <tick>") == "a lone ` &lt;tick&gt;"


def test_images_are_left_out_unless_asked_for_and_then_privacy_is_said(view: RunView) -> None:
    assert "img" not in _parsed(view).tags
    path = view.rank_lists[0].queries[0].query.path
    parser = _parsed(replace(view, images={path: "data:image/jpeg;base64,AAAA"}))
    assert "img" in parser.tags
    assert "photographs of persons" in "".join(parser.text)


def test_a_run_that_has_only_begun_has_a_page_too(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "young", epochs=1, is_over=False)
    folder.metrics.unlink()
    folder.average_precision.unlink()
    folder.model_info.unlink()
    assert "no epoch finished yet" in write_report(folder.path).read_text(encoding="utf-8")


def test_a_damaged_configuration_costs_only_its_section(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "made", epochs=3)
    folder.config.write_text("SOLVER: {MAX_EPOCHS_: 3}\n")
    html = write_report(folder.path).read_text(encoding="utf-8")
    assert "config.yml cannot be read" in html
    assert '<h2 id="configuration-title">' not in html


def test_what_preflight_found_is_shown(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "made", epochs=3)
    write_json(folder.findings, [to_plain(BROKEN)])
    assert "motion exactly 0" in write_report(folder.path).read_text(encoding="utf-8")


def test_of_a_record_without_end_a_part_is_drawn_with_its_best_and_its_last(view: RunView) -> None:
    last = view.epochs[-1]
    assert last.validation is not None
    best = replace(last, epoch=7_777, validation=replace(last.validation, mAP=0.99))
    epochs = tuple(best if number == best.epoch else replace(last, epoch=number) for number in range(1, 30_002))
    shown = drawn(epochs)
    assert len(shown) <= MOST_DRAWN + 2 and best in shown and shown[-1] == epochs[-1] and shown[0] == epochs[0]
    assert drawn(shown) is shown and drawn(epochs[:MOST_DRAWN]) == epochs[:MOST_DRAWN]
    endless = replace(view, record=replace(view.record, epochs=epochs))
    html = page_html(run_page(endless))
    assert "Of 30,001 epochs one in 16 is drawn" in html and "epoch 7777" in html and len(html) < 10_000_000


def test_a_record_of_countless_loss_terms_makes_no_countless_charts(view: RunView) -> None:
    epochs = tuple(replace(epoch, losses={f"term {epoch.epoch} {number}": 1.0 for number in range(99)}) for epoch in view.epochs)
    html = page_html(run_page(replace(view, record=replace(view.record, epochs=epochs))))
    assert html.count("unweighted, mean of the epoch") < 100


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("model_info.json", {"test": 5}),
        ("model_info.json", {"test": [5, None]}),
        ("model_info.json", {"data": {"train_identities": 10**400, "train_images": 10**400}}),
        ("model_info.json", {"notes": 5, "provenance": {"command_line": 5}}),
    ],
)
def test_a_value_of_another_kind_in_the_facts_spoils_no_page(tmp_path: Path, name: str, change: dict[str, object]) -> None:
    folder = make_run(tmp_path / "made", epochs=5)
    write_json(folder.path / name, {**read_json(folder.path / name), **change})
    assert "<h2" in page_html(run_page(view_of(folder)))


def test_scores_that_are_no_number_are_no_best_and_spoil_no_page(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "made", epochs=5)
    lines = [json.loads(line) for line in folder.metrics.read_text(encoding="utf-8").splitlines()]
    for line in lines[1:]:
        line["validation"]["mAP"] = None  # NaN is written so
    folder.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert view_of(folder).record.best == view_of(folder).epochs[0]
    assert "best, epoch 1" in page_html(run_page(view_of(folder)))


def test_times_that_are_no_number_count_as_none(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "made", epochs=5)
    lines = [json.loads(line) for line in folder.metrics.read_text(encoding="utf-8").splitlines()]
    nothing = {"train_seconds": None, "validation_seconds": None, "images_per_second": None}
    folder.metrics.write_text("".join(json.dumps({**line, **nothing}) + "\n" for line in lines), encoding="utf-8")
    assert "<h2" in page_html(run_page(view_of(folder)))
    assert {epoch.train_seconds + epoch.validation_seconds for epoch in view_of(folder).epochs} == {0.0}


def test_a_damaged_line_of_the_probes_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = make_run(tmp_path / "made", epochs=5)
    folder.probes.write_text('{"name": {}, "value": 1.0}\n', encoding="utf-8")
    assert "<h2" in page_html(run_page(view_of(folder)))
    assert "a damaged line is left out" in caplog.text


def test_a_search_with_a_number_beyond_all_bounds_is_refused(tmp_path: Path) -> None:
    make_run(tmp_path / "made", epochs=5)
    share = {"name": "SOLVER.BASE_LR", "share": 10**400, "low": 0, "high": 1}
    (tmp_path / "search.json").write_text(json.dumps({"trials": [], "importances": {"shares": [share]}}), encoding="utf-8")
    with pytest.raises(RecordError, match="search.json is not a search"):
        write_report(tmp_path)


def test_scores_of_the_test_and_of_chance_that_are_no_number_are_not_shown(tmp_path: Path, view: RunView) -> None:
    folder = make_run(tmp_path / "made", epochs=5)
    test = {**to_plain(_with_test(view).tests[0]), "mAP": None}
    write_json(folder.model_info, {**read_json(folder.model_info), "test": [test]})
    lines = [json.loads(line) for line in folder.metrics.read_text(encoding="utf-8").splitlines()]
    for line in lines:
        line["validation"]["chance_mAP"] = None
    lines[0]["validation"]["mAP"] = None
    folder.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert view_of(folder).tests == ()
    write_report(tmp_path)
    assert "made" in (tmp_path / "report.html").read_text(encoding="utf-8")
