"""`report.html` of a run that trains: written anew after an epoch, from memory, and never at the price of the training."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from unplateau.base.files import write_text
from unplateau.config.schema import Config
from unplateau.report.html import page_html
from unplateau.report.run_page import run_page
from unplateau.report.run_view import RunView
from unplateau.runs.layout import RunFolder
from unplateau.runs.reader import RunRecord
from unplateau.runs.record import EpochRecord
from unplateau.selection.crossed import Panel
from unplateau.selection.statistics import Estimate
from unplateau.workflows.reporting.alive import live
from unplateau.workflows.reporting.report_run import intervals_of, write_run_report, written_words

_log = logging.getLogger(__name__)

LARGEST_SHARE = 0.005
"""Of the time since the report was begun; a page that would cost more waits for a later epoch."""
_FIRST_PAGE_SECONDS = 0.3


class LiveReport:
    """Keeps the page of one run. A failure to write it is logged and ends nothing."""

    def __init__(self, folder: RunFolder, config: Config, info: dict[str, Any]) -> None:
        self._folder, self._config, self._info = folder, config, info
        self._intervals: dict[int, Estimate] = {}
        self._panel: tuple[Panel, np.ndarray] | None = None
        self._begun = time.perf_counter()
        self.spent_seconds = 0.0
        self.num_written = 0

    def resume(self) -> None:
        """Take in the intervals of the epochs that an earlier part of the run has trained."""
        self._intervals = intervals_of(self._folder)

    def epoch(self, epochs: Sequence[EpochRecord], average_precision_Q: np.ndarray | None, person_ids_Q: np.ndarray) -> None:
        """Take in a finished epoch and write the page, unless writing has become too dear for so short epochs.

        Args:
            epochs: all epochs so far.
            average_precision_Q: of the last epoch's validation; None where it was not validated.
            person_ids_Q: the person of each query.
        """
        started = time.perf_counter()
        try:
            if average_precision_Q is not None:
                self._add_interval(epochs[-1].epoch, average_precision_Q, person_ids_Q)
            if self.num_written == 0 or self._is_affordable(started):
                record = RunRecord(self._folder, tuple(epochs), None, self._info)
                view = RunView(
                    record, self._config, is_running=True, intervals=self._intervals, written=written_words(),
                    live=live(self._folder.path, epochs, wait_seconds=self._wait_seconds(started)),
                )  # fmt: skip
                write_text(self._folder.report, page_html(run_page(view)))
                self.num_written += 1
        except Exception as problem:  # noqa: BLE001 - a page is never worth a training
            _log.info("report.html was not written: %s: %s", type(problem).__name__, problem)
        self.spent_seconds += time.perf_counter() - started

    def _is_affordable(self, now: float) -> bool:
        return self.spent_seconds <= LARGEST_SHARE * (now - self._begun)

    def _wait_seconds(self, now: float) -> float:
        """How long the next page may have to wait until it is affordable."""
        one_page = self.spent_seconds / self.num_written if self.num_written else _FIRST_PAGE_SECONDS
        return (self.spent_seconds + one_page) / LARGEST_SHARE - (now - self._begun)

    def _add_interval(self, epoch: int, average_precision_Q: np.ndarray, person_ids_Q: np.ndarray) -> None:
        if self._panel is None or not np.array_equal(self._panel[1], person_ids_Q):
            self._panel = (Panel(person_ids_Q), person_ids_Q)
        if np.isfinite(average_precision_Q).all():
            self._intervals[epoch] = self._panel[0].mean(average_precision_Q[None].astype(float)).estimate()


def write_safely(folder: RunFolder) -> None:
    """Write the page of a run that has ended, with its diagnosis, from what is on disk; what goes wrong is logged."""
    try:
        write_run_report(folder)
    except Exception as problem:  # noqa: BLE001 - the run is over, and its files are what counts
        _log.info("report.html was not written: %s: %s", type(problem).__name__, problem)
