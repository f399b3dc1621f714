"""The page of several runs: the choice in one sentence, every curve there, and files of a wrong kind refused by name."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.report.made_runs import make_run, make_solutions
from unplateau.base.errors import RecordError, UsageError
from unplateau.base.files import read_json, write_json, write_text
from unplateau.report.group_page import group_page, group_verdict
from unplateau.report.group_view import Chosen, Compared, GroupView, SelectionView, read_search, read_selection
from unplateau.report.html import page_html
from unplateau.report.run_page import run_page
from unplateau.report.run_view import RunView
from unplateau.runs.reader import read_run
from unplateau.runs.record import RetrievalMetrics
from unplateau.selection.statistics import Estimate
from unplateau.workflows.reporting.report import write_report
from unplateau.workflows.reporting.report_group import group_view

HOSTILE = "</script><script>alert(1)</script>"


@pytest.fixture(scope="module")
def solutions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made folder of a control and five solutions, 12 epochs each; not to be changed."""
    return make_solutions(tmp_path_factory.mktemp("runs") / "solutions", epochs=12)


def _charts(view: GroupView) -> list:
    sections = group_page(view).sections
    return [chart for section in sections for block in section.blocks if block.kind == "charts" for chart in block.charts]


def _selection(verdict: str, *, broken: str = "", helped: tuple[str, ...] = (), **told: str) -> SelectionView:
    estimate = Estimate(0.4, 0.35, 0.45)
    other = Chosen("b", "b", 3, estimate, 0.38, Compared(Estimate(0.02, -0.01, 0.05), 0.02), None)
    chosen = (Chosen("a", "a", 3, estimate, 0.4, None, None), other)
    return SelectionView(verdict, winner="a", chosen=chosen, helped=helped, broken_pipeline=broken, **told)


def test_the_verdict_names_the_winner_and_how_sure_it_is(solutions: Path) -> None:
    view = group_view(solutions)
    plain = read_json(solutions / "selection.json")
    verdict, _ = group_verdict(view)
    assert verdict.startswith(f"{plain['winner']} is the one to take, with ")
    assert "95 % interval" in verdict


def test_how_sure_the_choice_is_stands_in_the_words_of_the_text(solutions: Path) -> None:
    words = read_json(solutions / "selection.json")["how_sure"]
    assert group_verdict(group_view(solutions))[0].endswith(f": {words}.")
    assert group_verdict(GroupView("x", (), _selection("tie")))[0].endswith(": tie.")


@pytest.mark.parametrize("protocol", ["held-out", "test"])
def test_a_choice_on_the_test_set_is_never_called_held_out(solutions: Path, protocol: str) -> None:
    view = group_view(solutions)
    page = group_page(replace(view, selection=replace(_selection("clear winner", protocol=protocol), verdict="clear winner")))
    intro = next(section.intro for section in page.sections if section.anchor == "selection")
    assert ("held-out" in page.verdict, "held out" in intro) == (protocol == "held-out",) * 2
    assert ("optimistic" in intro) == (protocol == "test")


def test_where_the_pipeline_is_broken_none_can_help() -> None:
    broken = _selection("tie", broken="the weights are not updated.")
    assert group_verdict(GroupView("x", (), broken)) == ("None of these can help: the weights are not updated.", "bad")
    helped = _selection("tie", broken="the weights are not updated.", helped=("b",))
    assert "is the one to take" in group_verdict(GroupView("x", (), helped))[0]


def test_every_run_is_drawn_and_listed_with_a_way_to_its_own_page(solutions: Path) -> None:
    html = write_report(solutions).read_text(encoding="utf-8")
    view = group_view(solutions)
    overlay = next(chart for chart in _charts(view) if chart.title.startswith("mAP on held-out identities"))
    assert {one.name for one in overlay.series} == {run.name for run in view.runs}
    for run in view.runs:
        assert f'href="{run.name}/report.html"' in html
        assert (solutions / run.name / "report.html").exists()


def test_the_control_is_dashed_and_the_winner_comes_first(solutions: Path) -> None:
    view = group_view(solutions)
    assert view.selection is not None
    overlay = next(chart for chart in _charts(view) if chart.title.startswith("mAP on held-out identities"))
    assert overlay.series[0].name == view.selection.winner
    assert next(one.style for one in overlay.series if one.name == view.selection.control) == "c7"


def test_the_forest_plot_shows_the_numbers_of_the_selection(solutions: Path) -> None:
    view = group_view(solutions)
    ranked = read_json(solutions / "selection.json")["selection"]["ranked"]
    rows = {row.name: row for row in next(chart for chart in _charts(view) if chart.title == "mAP at the best epoch").rows_shown}
    for one in ranked:
        best = one["best_map"]
        assert (rows[one["name"]].low, rows[one["name"]].high) == (100 * best["low"], 100 * best["high"])
    behind = {row.name: row for row in next(chart for chart in _charts(view) if chart.title.startswith("Difference")).rows_shown}
    for one in ranked[1:]:
        estimate = one["behind_winner"]["estimate"]
        assert behind[one["name"]].value == pytest.approx(-100 * estimate["value"])
        assert behind[one["name"]].low == pytest.approx(-100 * estimate["high"])


def test_what_happened_stands_beside_what_was_expected(solutions: Path) -> None:
    section = next(one for one in group_page(group_view(solutions)).sections if one.anchor == "expected")
    rows = section.blocks[0].rows
    cells = next(row for row in rows if row[0].text == "solution_1_higher_lr" and row[1].text == "10")
    assert cells[4].text == "6.45 / 2.75 / 9.20"
    assert cells[5].text == "6.71 / 2.83 / 9.54"
    assert "prove nothing" in section.intro.replace("\n", " ")


def test_runs_of_other_protocols_never_share_an_overlay(tmp_path: Path) -> None:
    make_run(tmp_path / "a", epochs=3)
    make_run(tmp_path / "b", epochs=3, seed=1)
    view = group_view(tmp_path)
    first = view.runs[0].record
    other = tuple(
        replace(epoch, validation=replace(epoch.validation, protocol="test")) for epoch in first.epochs if epoch.validation
    )
    mixed = replace(view, runs=(replace(view.runs[0], record=replace(first, epochs=other)), view.runs[1]))
    titles = [chart.title for chart in _charts(mixed) if chart.title.startswith("mAP")]
    assert len(titles) == 2
    assert sum("optimistic" in title for title in titles) == 1


def test_a_search_shows_what_mattered(solutions: Path) -> None:
    shares = [{"name": "erasing", "share": 0.3, "low": 0.1, "high": 0.5}, {"name": "rate", "share": 0.7, "low": 0.5, "high": 0.9}]
    trials = [{"folder": "x", "name": "X", "changes": {"SOLVER.STEPS": [[5], [1, 2]]}, "state": "paused"}]
    search = read_search({"importances": {"shares": shares}, "trials": trials}, "s")
    view = replace(group_view(solutions), search=search)
    bars = next(chart for chart in _charts(view) if chart.title == "Importance of the parameters")
    assert [(row.name, row.low, row.high) for row in bars.rows_shown] == [("rate", 50, 90), ("erasing", 10, 50)]
    assert search.changes["x"] == {"SOLVER.STEPS": "[1, 2]"}
    assert search.states["x"] == "paused"


def test_absent_keys_cost_their_part_and_wrong_ones_are_refused() -> None:
    assert read_selection({}, "s").chosen == ()
    assert read_search({}, "s").importances == {}
    with pytest.raises(RecordError, match=r"logs/selection\.json"):
        read_selection({"selection": {"ranked": [{"name": "a"}]}}, "logs/selection.json")
    with pytest.raises(RecordError, match=r"logs/search\.json"):
        read_search({"importances": ["SOLVER.BASE_LR"]}, "logs/search.json")


def test_an_interval_without_ends_is_no_interval(solutions: Path) -> None:
    plain = read_json(solutions / "selection.json")
    for one in plain["selection"]["ranked"]:
        one["best_map"] |= {"low": None, "high": None}
        for other in ("behind_winner", "over_control"):
            if one[other]:
                one[other]["estimate"] |= {"low": None, "high": None}
    view = replace(group_view(solutions), selection=read_selection(plain, "s"))
    assert "no interval" in page_html(group_page(view))


def test_a_folder_without_runs_says_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Name a run folder"):
        write_report(tmp_path)


def test_a_damaged_selection_names_its_file(tmp_path: Path) -> None:
    make_run(tmp_path / "a", epochs=2)
    (tmp_path / "selection.json").write_text("{", encoding="utf-8")
    with pytest.raises(RecordError, match=r"selection\.json"):
        write_report(tmp_path)


def test_pages_of_runs_are_written_again_only_when_they_are_old(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a", epochs=2)
    write_report(tmp_path)
    before = folder.report.stat().st_mtime_ns
    write_report(tmp_path)
    assert folder.report.stat().st_mtime_ns == before
    folder.metrics.touch()
    write_report(tmp_path)
    assert folder.report.stat().st_mtime_ns > before


def test_the_page_of_a_killed_run_no_longer_says_that_it_trains(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a", epochs=2, is_over=False)
    record = read_run(folder.path)
    write_text(folder.report, page_html(run_page(RunView(record, is_running=True))))
    assert "Training now" in folder.report.read_text(encoding="utf-8")
    write_report(tmp_path)
    assert "Broken off" in folder.report.read_text(encoding="utf-8")


def test_a_folder_whose_name_means_something_in_an_address_is_still_reached(tmp_path: Path) -> None:
    make_run(tmp_path / "lr #1 100%", epochs=2)
    assert 'href="lr%20%231%20100%25/report.html"' in write_report(tmp_path).read_text(encoding="utf-8")


def test_runs_that_were_scored_differently_are_not_ranked_in_one_sentence(tmp_path: Path) -> None:
    make_run(tmp_path / "a", epochs=3)
    make_run(tmp_path / "b", epochs=3, seed=1)
    view = group_view(tmp_path)
    assert "scored alike" not in group_verdict(view)[0]
    first = view.runs[0].record
    other = tuple(replace(epoch, validation=replace(epoch.validation, dataset="Other")) for epoch in first.epochs)
    mixed = replace(view, runs=(replace(view.runs[0], record=replace(first, epochs=other)), view.runs[1]))
    assert "Not all were scored alike" in group_verdict(mixed)[0]


def test_hostile_names_and_changes_stay_text(solutions: Path) -> None:
    view = group_view(solutions)
    runs = tuple(replace(run, name=HOSTILE + run.name, changes={HOSTILE: HOSTILE}) for run in view.runs)
    test = RetrievalMetrics("test", 0.5, 0.1, {"1": 0.5}, 1, 1, 1, 0.1, HOSTILE)
    attacked = replace(view, title=HOSTILE, runs=runs, problems=(HOSTILE,), texts=(HOSTILE,))
    assert attacked.selection is not None
    attacked = replace(attacked, selection=replace(attacked.selection, tests=(test,)))
    html = page_html(group_page(attacked))
    assert html.count("<script") == 1
    assert html.count("</script") == 1


def test_a_page_of_many_runs_is_no_larger_than_a_photograph(tmp_path: Path) -> None:
    for seed in range(3):
        make_run(tmp_path / f"made_{seed}", epochs=10, seed=seed)
    write_json(tmp_path / "search.json", {})
    assert write_report(tmp_path).stat().st_size < 80_000


def test_a_run_without_a_score_was_not_scored_otherwise(tmp_path: Path) -> None:
    make_run(tmp_path / "a", epochs=3)
    make_run(tmp_path / "b", epochs=3, seed=1)
    view = group_view(tmp_path)
    begun = replace(view.runs[1], record=replace(view.runs[1].record, epochs=()))
    assert "scored alike" not in group_verdict(replace(view, runs=(view.runs[0], begun)))[0]
