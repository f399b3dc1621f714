"""Writes the page of several runs: of solutions, of a search, or of a folder of runs. Never imports torch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unplateau.base.errors import RecordError, UnplateauError, UsageError
from unplateau.base.files import read_json, write_text
from unplateau.config.delta import difference
from unplateau.config.recipe import HARMLESS_KEYS
from unplateau.config.schema import Config
from unplateau.report.group_ahead import Ahead
from unplateau.report.group_page import group_page
from unplateau.report.group_view import GroupRun, GroupView, SearchView, SelectionView, read_search, read_selection
from unplateau.report.html import page_html
from unplateau.report.words import shown
from unplateau.runs.layout import RunFolder
from unplateau.runs.reader import find_runs, is_running, read_average_precision, read_run
from unplateau.search.trial import BASE_TRIAL, RUNNING
from unplateau.selection.crossed import Panel
from unplateau.selection.statistics import Estimate
from unplateau.solutions.asked_for import CONTROL
from unplateau.workflows.reporting.alive import live
from unplateau.workflows.reporting.report_run import config_of, write_run_report, written_words

_log = logging.getLogger(__name__)

PAGE, SELECTION, SEARCH = "report.html", "selection.json", "search.json"
TEXTS = ("BEST_MODEL_SELECTION.txt", "COMPARISON.txt")
LARGEST_SHARE = 0.005
"""Of the time since a launcher began; a page that would cost more waits for a later epoch."""
_FIRST_PAGE_SECONDS = 0.5
_MOST_RUNS = 400  # a page of more is slow to open; the newest are shown


def write_group_report(
    folder: Path, *, search: SearchView | None = None, ahead: Ahead | None = None, wait_seconds: float | None = None
) -> Path:
    """Write the page of the runs below `folder`, and of each run whose page is missing or old, and return where it is.

    Args:
        folder: of the runs.
        search: what is known of a search that goes on; None reads `search.json`.
        ahead: what a launcher still has to do; None where none is at work.
        wait_seconds: how long the next page may be left out since it costs too much; None where nobody writes it again.

    Raises:
        UsageError: there is no run.
        RecordError: `selection.json` or `search.json` cannot be used.
    """
    page = folder / PAGE
    view = group_view(folder, search=search)
    if wait_seconds is not None:
        epochs = [epoch for run in view.runs for epoch in run.record.epochs]
        view = replace(view, live=live(folder, epochs, wait_seconds=wait_seconds), ahead=ahead)
    write_text(page, page_html(group_page(view)))
    return page


def write_group_safely(
    folder: Path, *, search: SearchView | None = None, ahead: Ahead | None = None, wait_seconds: float | None = None
) -> bool:
    """Write the page of several runs and return whether it is there; what goes wrong is logged, it is never worth a choice."""
    try:
        write_group_report(folder, search=search, ahead=ahead, wait_seconds=wait_seconds)
    except Exception as problem:  # noqa: BLE001 - see above
        _log.warning("%s was not written: %s: %s", folder / PAGE, type(problem).__name__, problem)
        return False
    return True


class LiveGroupReport:
    """Keeps the page of several runs while a launcher trains them, at the price of half a percent of one core."""

    def __init__(
        self, folder: Path, search: Callable[[], SearchView] | None = None, ahead: Callable[[], Ahead] | None = None
    ) -> None:
        """`search` is asked for what is known so far, where this is one; `ahead` for what is still to be trained."""
        self._folder, self._search, self._ahead = folder, search, ahead
        self._begun, self._seen = time.perf_counter(), _Seen()
        self.spent_seconds, self._page_seconds = 0.0, _FIRST_PAGE_SECONDS

    def look(self) -> None:
        """Write the page where a run has finished an epoch or changed its state, unless looking has been too dear so far."""
        elapsed, before = time.perf_counter() - self._begun, time.thread_time()
        if self.spent_seconds > LARGEST_SHARE * elapsed:
            return
        newest = max((file.stat().st_mtime_ns for file in self._folder.rglob("metrics.jsonl")), default=0)
        ahead = self._ahead() if self._ahead is not None else None
        seen = _Seen(newest, tuple(run.state for run in ahead.runs) if ahead is not None else ())
        if newest and seen != self._seen:
            self._seen = seen
            wait_seconds = (self.spent_seconds + self._page_seconds) / LARGEST_SHARE - elapsed
            write_group_safely(self._folder, search=self._known(), ahead=ahead, wait_seconds=wait_seconds)
            self._page_seconds = time.thread_time() - before
        self.spent_seconds += time.thread_time() - before

    def close(self) -> None:
        """Write the page once more, as one that nobody writes again."""
        if self._seen.newest:
            write_group_safely(self._folder, search=self._known())

    def _known(self) -> SearchView | None:
        return self._search() if self._search is not None else None


@dataclass(frozen=True)
class _Seen:
    """What a page was last written of."""

    newest: int = 0
    """When the newest epoch was recorded, in nanoseconds; 0 where there is none."""
    states: tuple[str, ...] = ()


def group_view(folder: Path, *, search: SearchView | None = None) -> GroupView:
    """Gather all that a folder of runs says. Raises UsageError and RecordError as `write_group_report`."""
    folders = find_runs(folder)
    if not folders:
        raise UsageError(f"{folder} holds no run. Name a run folder, such as logs/market1501/first_run, or a folder of runs.")
    selection_plain, search_plain = _read(folder / SELECTION), _read(folder / SEARCH)
    selection = read_selection(selection_plain, str(folder / SELECTION)) if selection_plain is not None else None
    if search is None and search_plain is not None:
        search = read_search(search_plain, str(folder / SEARCH))
    panels: dict[bytes, Panel] = {}
    problems = [f"Of {len(folders)} runs the newest {_MOST_RUNS} are shown."] if len(folders) > _MOST_RUNS else []
    read = [_run(folder, one, selection, search, panels, problems) for one in folders[:_MOST_RUNS]]
    runs = tuple(run for run in read if run is not None)
    control = next((run.name for run in runs if run.name in (CONTROL, BASE_TRIAL)), "")
    if search is None and control == BASE_TRIAL:
        search = SearchView()  # one that has not come to its end, or was killed: it has left no record
    return GroupView(
        title=folder.resolve().name,
        runs=_with_changes(runs, control),
        selection=selection,
        search=search,
        problems=tuple(problems),
        texts=tuple(name for name in TEXTS if (folder / name).exists()),
        written=written_words(),
        own_control=control,
    )


def _with_changes(runs: tuple[GroupRun, ...], control: str) -> tuple[GroupRun, ...]:
    """Where no record says what the runs change, as after a kill, their own configurations do."""
    base = next((run.config for run in runs if run.name == control), None)
    if base is None or any(run.changes for run in runs):
        return runs
    return tuple(run if run.config is None else replace(run, changes=_changes(base, run.config)) for run in runs)


def _changes(base: Config, config: Config) -> dict[str, str]:
    changed = difference(base, config)
    return {key: shown(new) for key, (_, new) in changed.items() if key not in (*HARMLESS_KEYS, "SOLVER.STOP_EPOCH")}


def _run(
    top: Path,
    folder: RunFolder,
    selection: SelectionView | None,
    search: SearchView | None,
    panels: dict[bytes, Panel],
    problems: list[str],
) -> GroupRun | None:
    name = folder.path.relative_to(top).as_posix()
    try:
        record = read_run(folder.path)
    except UnplateauError as problem:
        problems.append(f"{name} is left out: {problem}")
        return None
    is_known_to_run = search is not None and search.states.get(name) == RUNNING  # on another machine, whose locks are not seen
    running = record.stop is None and (is_known_to_run or is_running(folder))
    changes: Mapping[str, str] = {}
    for known in (selection, search):
        changes = (known.changes.get(name) if known is not None else None) or changes
    return GroupRun(
        name,
        record,
        config_of(folder)[0],
        is_running=running,
        best_map=_best_map(folder, panels),
        has_page=_with_page(folder, is_open=record.stop is None and not running),
        changes=changes,
    )


def _with_page(folder: RunFolder, *, is_open: bool) -> bool:
    """Write the run's own page where it is missing or older than its records; return whether it is there.

    `is_open`: the run was killed. Its last page says that it trains, and no record that is newer says otherwise.
    """
    records = [file for file in (folder.metrics, folder.stop_record, folder.findings) if file.exists()]
    newest = max((file.stat().st_mtime for file in records), default=0.0)
    if not is_open and folder.report.exists() and folder.report.stat().st_mtime >= newest:
        return True
    try:
        write_run_report(folder)
    except (UnplateauError, OSError) as problem:
        _log.warning("%s was not written: %s", folder.report, problem)
    return folder.report.exists()


def _best_map(folder: RunFolder, panels: dict[bytes, Panel]) -> Estimate | None:
    """The best epoch's mAP with its interval; the identities are shared by runs that asked the same."""
    arrays = read_average_precision(folder)
    if "validation_epochs" not in arrays:
        return None
    values_EQ, persons_Q = arrays["validation_average_precision"].astype(float), arrays["validation_person_ids"]
    if not np.isfinite(values_EQ).all() or not values_EQ.size:
        return None
    key = persons_Q.tobytes()
    if key not in panels:
        panels[key] = Panel(persons_Q)
    return panels[key].mean(values_EQ[[int(values_EQ.mean(axis=1).argmax())]]).estimate()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = read_json(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as problem:
        raise RecordError(f"{path} cannot be read ({problem}). Write it anew with the command that made it.") from problem
    if not isinstance(content, dict):
        raise RecordError(f"{path} holds no table of names; expected what this version writes.")
    return content
