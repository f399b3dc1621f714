"""The pages in a real browser: they fit a phone, ask the network for nothing, and answer to pointer and keyboard."""

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.report.browser import Browser, browser, find_chromium
from benchmarks.report.made_runs import make_run, make_solutions
from unplateau.config.schema import Config
from unplateau.runs.layout import RunFolder
from unplateau.runs.reader import read_run
from unplateau.workflows.reporting.live_report import LiveReport
from unplateau.workflows.reporting.report import write_report

pytestmark = [pytest.mark.slow, pytest.mark.skipif(find_chromium() is None, reason="no Chromium on this machine")]


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with browser() as one:
        yield one


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of a run and one of solutions."""
    place = tmp_path_factory.mktemp("pages")
    run = write_report(make_run(place / "run", epochs=20).path)
    return {"run": run, "solutions": write_report(make_solutions(place / "solutions", epochs=12))}


def _requests(tab: Browser) -> list[str]:
    sent = [event["params"]["request"]["url"] for event in tab.events if event.get("method") == "Network.requestWillBeSent"]
    return [url for url in sent if not url.startswith(("file:", "data:"))]


@pytest.mark.parametrize("which", ["run", "solutions"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_fits_its_window_and_asks_for_nothing(tab: Browser, pages: dict[str, Path], which: str, width: int) -> None:
    tab.open(pages[which], width=width)
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert _requests(tab) == []
    assert not [event for event in tab.events if event.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")]


@pytest.mark.parametrize("late", [False, True])
def test_a_page_that_nobody_wrote_again_says_there_is_no_sign_of_life(tab: Browser, tmp_path: Path, late: bool) -> None:
    epochs = make_run(tmp_path / "made", epochs=3)
    records = read_run(epochs.path).epochs
    LiveReport(RunFolder(tmp_path / "run"), Config(), {}).epoch(records, None, np.zeros(0))
    page = tmp_path / "run" / "report.html"
    if late:
        text = page.read_text(encoding="utf-8")
        page.write_text(re.sub(r'data-written="\d+"', f'data-written="{time.time() - 7200:.0f}"', text), encoding="utf-8")
    tab.open(page)
    verdict = tab.evaluate("document.querySelector('.verdict').textContent")
    sign = tab.evaluate("document.querySelector('.alive').textContent")
    assert verdict.startswith("No sign of life since " if late else "Training now: epoch 3")
    assert ("2 hours ago" in sign, "If no newer page comes" in sign) == (late, not late)
    assert f"unplateau report {page.parent.as_posix()}" in sign


def test_dark_and_light_differ(tab: Browser, pages: dict[str, Path]) -> None:
    colours = []
    for is_dark in (False, True):
        tab.open(pages["run"], is_dark=is_dark)
        colours.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours[0] == "rgb(255, 255, 255)"
    assert colours[1] != colours[0]


def test_arrow_keys_read_the_values_of_a_chart(tab: Browser, pages: dict[str, Path]) -> None:
    tab.open(pages["run"])
    tab.evaluate("document.querySelector('.plot.line').focus()")
    tab.press("Home")
    assert tab.evaluate("document.querySelector('.readout').textContent").startswith("epoch 1")
    tab.press("ArrowRight")
    words = tab.evaluate("document.querySelector('.readout').textContent")
    assert words == "epoch 2" + tab.evaluate("document.querySelector('table.data').tBodies[0].rows[1].cells[1].textContent")


def test_pointing_at_a_chart_shows_the_nearest_epoch(tab: Browser, pages: dict[str, Path]) -> None:
    tab.open(pages["run"])
    tab.evaluate("document.querySelector('svg.chart').scrollIntoView({block: 'center', behavior: 'instant'})")
    right, top = tab.evaluate("(b => [b.right, b.top])(document.querySelector('svg.chart').getBoundingClientRect())")
    tab.move_to(right - 2, top + 40)
    assert tab.evaluate("document.querySelector('.readout').textContent").startswith("epoch 20")


def test_a_name_in_the_legend_lights_its_curve_in_every_chart(tab: Browser, pages: dict[str, Path]) -> None:
    tab.open(pages["solutions"])
    tab.evaluate("document.querySelectorAll('.legend button')[1].focus()")
    name = tab.evaluate("document.querySelectorAll('.legend button')[1].dataset.name")
    lit = tab.evaluate("[...document.querySelectorAll('.series.lit title')].map(one => one.textContent)")
    assert len(lit) == 4
    assert set(lit) == {name}


def test_runs_are_sorted_and_picked(tab: Browser, pages: dict[str, Path]) -> None:
    tab.open(pages["solutions"])
    first = "document.querySelector('table.picks tbody tr th').textContent"
    tab.evaluate("document.querySelectorAll('table.picks thead button')[0].click()")
    tab.evaluate("document.querySelectorAll('table.picks thead button')[0].click()")
    assert tab.evaluate(first) == "solution_0_control"
    tab.evaluate("document.querySelector('table.picks input[type=checkbox]').click()")
    assert tab.evaluate("document.querySelectorAll('.series.off').length") == 4


@pytest.mark.parametrize("width", [390, 1280])
def test_the_best_map_of_each_run_is_seen_without_scrolling_sideways(tab: Browser, pages: dict[str, Path], width: int) -> None:
    tab.open(pages["solutions"], width=width)
    columns = 4 if width < 600 else 11  # on a phone: shown, run, mAP, its interval; on a desk all of them
    right = f"document.querySelector('table.picks tbody tr').cells[{columns - 1}].getBoundingClientRect().right"
    assert tab.evaluate(right) <= width


def test_without_its_script_a_page_still_shows_curves_and_numbers(tab: Browser, pages: dict[str, Path]) -> None:
    tab.open(pages["run"], has_script=False)
    tab.call("Emulation.setScriptExecutionDisabled", value=False)
    assert tab.evaluate("document.querySelectorAll('path.line').length") > 8
    assert tab.evaluate("document.querySelectorAll('table.data td').length") > 100
