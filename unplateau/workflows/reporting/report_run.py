"""Writes the page of one run from what its folder holds. Never imports torch. Of several runs: `report_group`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

import unplateau
from unplateau.base.errors import RecordError, UnplateauError, first_line
from unplateau.base.files import read_json, write_text
from unplateau.config.load import load
from unplateau.config.schema import Config
from unplateau.diagnosis.diagnose import Diagnosis, diagnose
from unplateau.report.html import page_html
from unplateau.report.run_page import run_page
from unplateau.report.run_view import RunView
from unplateau.runs.layout import RunFolder
from unplateau.runs.reader import is_running, read_average_precision, read_run
from unplateau.runs.record import Finding, RankList, from_plain
from unplateau.selection.crossed import Panel
from unplateau.selection.statistics import Estimate
from unplateau.workflows.diagnosing.diagnose import Sources, gather
from unplateau.workflows.reporting.alive import last_sign, live

T = TypeVar("T")

_log = logging.getLogger(__name__)


def write_run_report(folder: RunFolder, *, with_images: bool = False) -> Path:
    """Write a run's page and return where it is. Raises RecordError: the run cannot be read."""
    write_text(folder.report, page_html(run_page(view_of(folder, with_images=with_images))))
    return folder.report


def view_of(folder: RunFolder, *, with_images: bool = False) -> RunView:
    """Gather all that a run's folder says. Raises RecordError: the run cannot be read."""
    record = read_run(folder.path)
    config, problem = config_of(folder)
    findings, about = _findings_of(folder, has_epochs=bool(record.epochs))
    rank_lists = _rank_lists_of(folder)
    running = record.stop is None and is_running(folder)
    return RunView(
        record,
        config,
        is_running=running,
        findings=findings,
        about_hyper_parameters=about,
        intervals=intervals_of(folder),
        rank_lists=rank_lists,
        images=_images_of(rank_lists) if with_images else {},
        problems=(problem,) if problem else (),
        written=written_words(),
        up="../report.html" if (folder.path.parent / folder.report.name).exists() else "",
        last_sign=last_sign(folder) if record.stop is None and not running else "",
        live=live(folder.path, record.epochs) if running else None,
    )


def written_words() -> str:
    """Return when and by what a page is written."""
    return f"Written {datetime.now():%Y-%m-%d %H:%M:%S} by unplateau {unplateau.__version__}."


def intervals_of(folder: RunFolder) -> dict[int, Estimate]:
    """Return each validated epoch's mAP with its 95 % interval over identities; empty where it was not recorded."""
    arrays = read_average_precision(folder)
    if "validation_epochs" not in arrays:
        return {}
    epochs, values_EQ = arrays["validation_epochs"].tolist(), arrays["validation_average_precision"].astype(float)
    panel = Panel(arrays["validation_person_ids"])
    if not np.isfinite(values_EQ).all():
        return {}
    return {epoch: panel.mean(values_Q[None]).estimate() for epoch, values_Q in zip(epochs, values_EQ, strict=True)}


def config_of(folder: RunFolder) -> tuple[Config | None, str]:
    """Return a run's configuration, or None and why it cannot be read."""
    if not folder.config.exists():
        return None, ""
    try:
        return load(folder.config).config, ""
    except UnplateauError as problem:  # written by another version, or by hand
        first = first_line(problem)
        return None, f"{folder.config.name} cannot be read ({first}), so the page lacks the configuration."


def _findings_of(folder: RunFolder, *, has_epochs: bool) -> tuple[tuple[Finding, ...], str]:
    """What preflight found, else what the diagnosis of the run's own records finds."""
    stored = _read_list(folder.findings)
    if stored:
        return _records(Finding, stored, folder.findings), ""
    if not has_epochs:
        return (), ""
    diagnosis: Diagnosis = diagnose(gather(Sources(log_file=folder.path)))
    return diagnosis.findings, diagnosis.about_hyper_parameters()


def _rank_lists_of(folder: RunFolder) -> tuple[RankList, ...]:
    return _records(RankList, _read_list(folder.rank_lists), folder.rank_lists)


def _records(kind: type[T], content: list[dict[str, Any]], path: Path) -> tuple[T, ...]:
    try:
        return tuple(from_plain(kind, plain) for plain in content)
    except RecordError as problem:
        _log.warning("%s is damaged and left out of the report: %s", path, problem)
        return ()


def _read_list(path: Path) -> list[dict[str, Any]]:
    try:
        content = read_json(path)
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as problem:
        _log.warning("%s cannot be read and is left out of the report: %s", path, problem)
        return []
    return [plain for plain in content if isinstance(plain, dict)] if isinstance(content, list) else []


def _images_of(rank_lists: tuple[RankList, ...]) -> Mapping[str, str]:
    from unplateau.report.thumbnails import thumbnail

    paths = {image.path for one in rank_lists for query in one.queries for image in (query.query, *query.answers)}
    found = {path: thumbnail(Path(path)) for path in sorted(paths)}
    return {path: address for path, address in found.items() if address}
