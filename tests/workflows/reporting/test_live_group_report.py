"""`report.html` of several runs beside a launcher: new when a run has news, honest about who writes it again, never dear."""

import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3]))

from benchmarks.report.made_runs import make_run
from unplateau.report.group_view import SearchView
from unplateau.workflows.reporting import report_group
from unplateau.workflows.reporting.report import write_report
from unplateau.workflows.reporting.report_group import LiveGroupReport


@pytest.fixture
def freely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_group, "LARGEST_SHARE", 1e9)


def page_of(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("freely")
def test_the_page_is_written_where_a_run_has_news_and_only_then(tmp_path: Path) -> None:
    report = LiveGroupReport(tmp_path)
    report.look()
    assert not (tmp_path / "report.html").exists()
    make_run(tmp_path / "a", epochs=3)
    report.look()
    first = page_of(tmp_path)
    assert "1 run;" in first and 'class="alive"' in first
    (tmp_path / "report.html").unlink()
    report.look()
    assert not (tmp_path / "report.html").exists()
    make_run(tmp_path / "b", epochs=3, seed=1)
    report.look()
    assert "2 runs;" in page_of(tmp_path)


def test_a_page_that_costs_too_much_waits(tmp_path: Path) -> None:
    report, begun = LiveGroupReport(tmp_path), time.perf_counter()
    for number in range(6):
        make_run(tmp_path / str(number), epochs=2, seed=number)
        report.look()
    assert report.spent_seconds > report_group.LARGEST_SHARE * (time.perf_counter() - begun)
    assert "6 runs" not in page_of(tmp_path)


@pytest.mark.usefixtures("freely")
def test_what_a_search_knows_so_far_is_shown_and_its_running_trials_train_wherever_they_are(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "trial_000_base", epochs=3)
    for record in (folder.stop_record, folder.stopping_reason):
        record.unlink(missing_ok=True)
    known = SearchView(changes={"trial_000_base": {"SOLVER.BASE_LR": "0.1"}}, states={"trial_000_base": "running"})
    LiveGroupReport(tmp_path, lambda: known).look()
    page = page_of(tmp_path)
    assert "1 of them training now" in page and "SOLVER.BASE_LR 0.1" in page and '<body class="search">' in page


@pytest.mark.usefixtures("freely")
def test_the_last_page_of_a_launcher_does_not_promise_another(tmp_path: Path) -> None:
    make_run(tmp_path / "a", epochs=3)
    report = LiveGroupReport(tmp_path)
    report.look()
    report.close()
    assert 'class="alive"' not in page_of(tmp_path)


def test_a_run_that_was_killed_says_since_when_it_gave_no_sign(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a", epochs=3)
    for record in (folder.stop_record, folder.stopping_reason):
        record.unlink(missing_ok=True)
    page = write_report(folder.path).read_text(encoding="utf-8")
    assert "Broken off without a written reason, no sign of life since 20" in page
    assert 'class="alive"' not in page
