"""What the report's pages weigh, what writing them costs, and what a browser and axe-core say of them. Prints Markdown.

    npm install axe-core        # anywhere
    python benchmarks/report/measure.py --axe node_modules/axe-core/axe.min.js > benchmarks/results/report.md

The pages are of synthetic runs (`made_runs.py`). Without Chromium, or without --axe, those columns say so.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.machine import machine_line
from benchmarks.report.browser import Browser, browser, find_chromium
from benchmarks.report.made_runs import make_run, make_solutions
from unplateau.report.group_page import group_page
from unplateau.report.html import page_html
from unplateau.report.run_page import run_page
from unplateau.runs.layout import RunFolder
from unplateau.workflows.reporting.report import write_report
from unplateau.workflows.reporting.report_group import group_view
from unplateau.workflows.reporting.report_run import view_of

_REPEATS = 20
_LOOKS = (
    ("desktop, light", 1280, False),
    ("desktop, dark", 1280, True),
    ("phone, light", 390, False),
    ("phone, dark", 390, True),
)
_AXE = "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"


_HEAD = """\
# The report's pages

Synthetic runs (`benchmarks/report/made_runs.py`), printed by `benchmarks/report/measure.py`.

{machine}

Making: processor milliseconds from records in memory, median of {repeats}, templates compiled, on a machine busy with other work.
axe-core: findings over desktop and phone, light and dark, rules of WCAG 2.2 A and AA and best practice. Sideways: looks in which
the page itself is wider than the window. Errors: script errors, and requests to anywhere.
"""


def pages(place: Path) -> Iterator[tuple[str, Path, Callable[[], str]]]:
    """Give (what, the page, what makes its HTML from records in memory) of every kind of page."""
    for what, epochs, is_stalled in (
        ("run, 60 epochs", 60, False),
        ("run, 120 epochs", 120, False),
        ("stalled run, 29", 29, True),
    ):
        folder = make_run(place / what.replace(", ", "_").replace(" ", "_"), epochs=epochs, is_stalled=is_stalled)
        yield what, write_report(folder.path), _run_maker(folder)
    solutions = make_solutions(place / "solutions")
    yield "control and five solutions, 45", write_report(solutions), _group_maker(solutions)
    for seed in range(20):
        make_run(place / "runs" / f"made_{seed:02d}", epochs=120, seed=seed, is_stalled=seed == 7)
    yield "20 runs, 120 epochs", write_report(place / "runs"), _group_maker(place / "runs")


def _run_maker(folder: RunFolder) -> Callable[[], str]:
    view = view_of(folder)
    return lambda: page_html(run_page(view))


def _group_maker(folder: Path) -> Callable[[], str]:
    view = group_view(folder)
    return lambda: page_html(group_page(view))


def milliseconds(make: Callable[[], str]) -> float:
    """Return the median processor time of making a page, templates already compiled."""
    make()
    times = []
    for _ in range(_REPEATS):
        started = time.process_time()
        make()
        times.append(1000 * (time.process_time() - started))
    return statistics.median(times)


def seen(tab: Browser, page: Path, axe: str) -> tuple[str, str, str]:
    """Return (axe's findings by impact, what overflows, what went wrong) over all looks, in words."""
    counts: dict[str, int] = {}
    overflows, errors = [], 0
    for name, width, is_dark in _LOOKS:
        tab.open(page, width=width, is_dark=is_dark)
        if tab.evaluate("document.documentElement.scrollWidth > innerWidth"):
            overflows.append(name)
        errors += sum(event.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded") for event in tab.events)
        errors += sum(
            event.get("method") == "Network.requestWillBeSent"
            and not event["params"]["request"]["url"].startswith(("file:", "data:"))
            for event in tab.events
        )
        if axe:
            tab.evaluate(axe)
            for impact in tab.evaluate(f"{_AXE}.then(found => found.violations.map(one => one.impact + ': ' + one.id))"):
                counts[impact] = counts.get(impact, 0) + 1
    words = ", ".join(f"{impact} ×{count}" for impact, count in counts.items()) or "none"
    return words if axe else "not run", ", ".join(overflows) or "none", str(errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--axe", type=Path)
    arguments = parser.parse_args()
    axe = arguments.axe.read_text(encoding="utf-8") if arguments.axe else ""
    print(_HEAD.format(machine=machine_line(), repeats=_REPEATS))
    print("| page | KB | making, ms | axe-core | sideways | errors |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        rows = [(what, page, milliseconds(make)) for what, page, make in pages(Path(folder))]
        if find_chromium() is None:
            for what, page, making in rows:
                print(f"| {what} | {page.stat().st_size / 1000:.0f} | {making:.0f} | not run | not run | not run |")
            return
        with browser() as tab:
            for what, page, making in rows:
                found, sideways, errors = seen(tab, page, axe)
                print(
                    f"| {what} | {page.stat().st_size / 1000:.0f} | {making:.0f} | {found} | {sideways} | {errors} |", flush=True
                )


if __name__ == "__main__":
    main()
