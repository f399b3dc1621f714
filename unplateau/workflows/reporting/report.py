"""Writes `report.html` from what is on disk: of a run (`report_run`), or of several (`report_group`)."""

from __future__ import annotations

from pathlib import Path

from unplateau.runs.layout import RunFolder, is_run_folder
from unplateau.workflows.reporting.report_group import write_group_report
from unplateau.workflows.reporting.report_run import write_run_report


def write_report(path: Path, *, with_images: bool = False) -> Path:
    """Write the page of what `path` holds and return where it is.

    Args:
        path: a run folder, or a folder of runs; the runs' own pages are then written too where they are missing or old.
        with_images: put the photographs of the ranked lists into a run's page.

    Raises:
        UsageError: there is nothing to report on.
        RecordError: a file that cannot be read.
    """
    if is_run_folder(path):
        return write_run_report(RunFolder(path), with_images=with_images)
    return write_group_report(path)
