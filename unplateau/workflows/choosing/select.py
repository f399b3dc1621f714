"""`find_best_model.py --compare-only`: compare what is there, recipes where they have seeds, and name the best model.

Reads only, without torch; the test set is not scored. `--seeds` has the best ones trained again first: `confirm`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from unplateau.base.errors import RecordError, first_line
from unplateau.base.files import read_json
from unplateau.config.delta import difference
from unplateau.config.recipe import HARMLESS_KEYS, SEED_KEY
from unplateau.report.solutions_content import COMPARISON, SolutionsReport, TriedSolution
from unplateau.report.solutions_rounds import RoundsTold, rounds_from_plain, was_dropped
from unplateau.runs.reader import read_run
from unplateau.runs.record import RetrievalMetrics, from_plain
from unplateau.selection.select import select
from unplateau.workflows.choosing.compared_runs import Found, find_compared
from unplateau.workflows.choosing.confirm import confirm
from unplateau.workflows.choosing.select_request import SelectRequest
from unplateau.workflows.reporting.report_group import PAGE, write_group_safely
from unplateau.workflows.solving.choose_solution import (
    RECORD,
    TEXT,
    broken_pipeline,
    earlier_tests,
    protocol_of,
    write_selection,
)

_log = logging.getLogger(__name__)


def run_select(request: SelectRequest) -> int:
    """Compare, write `BEST_MODEL_SELECTION.txt` and `selection.json`, and return an exit code: 1 where there is no winner.

    Raises:
        DataNotFoundError, DataError: there is nothing to compare, or a file has a mistake.
    """
    if request.seeds and not confirm(request, report_on_folder(request)):
        return 130
    report = report_on_folder(request)
    path = request.output_dir / TEXT
    write_selection(path, report)
    if (request.output_dir / PAGE).exists():  # else it would go on naming the winner of before
        write_group_safely(request.output_dir)
    if not request.is_quiet:
        print("\n".join(path.read_text(encoding="utf-8").splitlines()[:2]))
        print(f"Read this: {path}")
    return 0 if report.winner is not None else 1


def report_on_folder(request: SelectRequest) -> SolutionsReport:
    """Return what is known of the runs below the folder and which to take."""
    compared = find_compared(request.output_dir)
    counted = compared.counted
    selection = select(
        [run.curve for run in counted if run.curve is not None],
        control=compared.control,
        recipes={run.told.name: run.recipe for run in counted},
        candidates=compared.candidates or None,
        dropped=compared.dropped,
    )
    tried = tuple(run.told for run in compared.runs)
    report = SolutionsReport(
        selection, tried, protocol_of(tried, selection), broken_pipeline=broken_pipeline(tried), notes=compared.notes,
        kind=COMPARISON, recipes={run.told.name: run.recipe for run in compared.runs}, compare_command=request.command,
        dropped=tuple(compared.dropped),
    )  # fmt: skip
    report = replace(report, tried=_with_changes(report, compared.runs), rounds=_rounds(request.output_dir, tried))
    return replace(report, tests=_tests(request.output_dir, report))


def _with_changes(report: SolutionsReport, runs: Sequence[Found]) -> tuple[TriedSolution, ...]:
    """What each recipe changes against the control, or against the winner where there is no control."""
    reference = report.control or report.winner
    if reference is None or reference.config is None:
        return report.tried
    return tuple(replace(one, changes=_changes(reference, one)) for one in report.tried)


def _changes(reference: TriedSolution, one: TriedSolution) -> dict[str, tuple[object, object]]:
    if reference.config is None or one.config is None:
        return {}
    changed = difference(reference.config, one.config)
    return {key: values for key, values in changed.items() if key != SEED_KEY and key not in HARMLESS_KEYS}


def _rounds(output_dir: Path, tried: Sequence[TriedSolution]) -> RoundsTold | None:
    """The rounds of halving that an earlier selection told of, as long as a run is still frozen where they dropped it."""
    path = output_dir / RECORD
    frozen = {run.name for run in tried if was_dropped(run.stop)}
    try:
        plain = read_json(path).get("halving") if frozen else None
        told = rounds_from_plain(plain) if plain else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecordError) as problem:
        _log.warning("%s is damaged, so the rounds of halving are left out: %s", path, first_line(problem))
        return None
    if told is None or not frozen & told.standings.dropped.keys():
        return None
    took_part = {run.name for done in told.standings.rounds for run in done.placed}
    return replace(told, epochs_trained=sum(run.epochs[-1].epoch for run in tried if run.epochs and run.name in took_part))


def _tests(output_dir: Path, report: SolutionsReport) -> tuple[RetrievalMetrics, ...]:
    """What is known of the winner on the test set: from an earlier selection, or from the end of its own training."""
    winner = report.winner
    if winner is None or winner.config is None:
        return ()
    scored = read_run(winner.folder.path).info.get("test", [])
    return earlier_tests(output_dir, report) or tuple(from_plain(RetrievalMetrics, plain) for plain in scored)
