"""After the solutions were tried: choose by held-out identities, write it down, only then score the winner on the test set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unplateau.base.errors import UnplateauError, first_line
from unplateau.base.files import read_json, sha256_of, write_json, write_text
from unplateau.report.selection_words import how_sure
from unplateau.report.solutions_content import SolutionsReport, TriedSolution
from unplateau.report.solutions_rounds import RoundsTold
from unplateau.report.solutions_text import selection_text
from unplateau.runs.layout import RunFolder
from unplateau.runs.reader import is_running, read_average_precision, read_run, read_stop
from unplateau.runs.record import RetrievalMetrics, from_plain, to_plain
from unplateau.selection.halving import MEASURED, Standings
from unplateau.selection.select import Selection, compare_until, select
from unplateau.selection.statistics import ValidationCurve
from unplateau.solutions.asked_for import CONTROL
from unplateau.workflows.solving.solution_runs import PlannedRun, SolutionsRequest, changes_of, epochs_of
from unplateau.workflows.training.request import TrainRequest, command_line

TEXT = "BEST_MODEL_SELECTION.txt"
RECORD = "selection.json"
SCHEMA = 2
"""Of `selection.json`: 2 added recipes, levels and where the curves are."""


@dataclass(frozen=True)
class Chosen:
    """The selection and where it was written."""

    report: SolutionsReport
    text: Path


def choose(
    request: SolutionsRequest,
    runs: Sequence[PlannedRun],
    problems: Mapping[str, str],
    say: Callable[[str], None],
    *,
    rounds: Standings | None = None,
) -> Chosen:
    """Select among the runs, write `BEST_MODEL_SELECTION.txt`, then score the winner once and add its test mAP.

    Args:
        request: what was asked for.
        runs: the control and the solutions.
        problems: by run, why it left no stopping reason.
        say: takes a line for the console.
        rounds: what halving decided, where it was asked for.
    """
    report = report_of(request, runs, problems, rounds=rounds)
    return choose_among(report, request.output_dir, score_test=request.score_test, say=say)


def choose_among(report: SolutionsReport, output_dir: Path, *, score_test: bool, say: Callable[[str], None]) -> Chosen:
    """Write down what was selected, then score the winner once and add its test mAP; `say` takes a line for the console."""
    from unplateau.workflows.reporting.report_group import PAGE, write_group_safely

    path = output_dir / TEXT
    earlier = earlier_tests(output_dir, report)
    write_selection(path, replace(report, tests=earlier))
    if report.winner is not None and score_test and not earlier:
        report = _with_test(report, say)
        write_selection(path, report)
    elif earlier:
        report = replace(report, tests=earlier)
    say("\n".join(path.read_text(encoding="utf-8").splitlines()[:2]))
    say(f"Read this: {path}")
    if write_group_safely(output_dir):
        say(f"Look at this: {output_dir / PAGE}")
    return Chosen(report, path)


def report_of(
    request: SolutionsRequest, runs: Sequence[PlannedRun], problems: Mapping[str, str], *, rounds: Standings | None = None
) -> SolutionsReport:
    """Return what is known of the runs and which of them to take. Reads run folders only."""
    tried = tuple(_tried(request, run, runs, problems.get(run.name, "")) for run in runs)
    notes = tuple(dict.fromkeys(note for run in runs for note in run.notes))
    if rounds is None:
        return report_on(tried, request.output_dir, control=CONTROL, notes=notes)
    report = report_on(tried, request.output_dir, control=CONTROL, notes=notes, dropped=rounds.dropped)
    return replace(report, rounds=_told(request, rounds, runs, tried))


def _told(request: SolutionsRequest, rounds: Standings, runs: Sequence[PlannedRun], tried: Sequence[TriedSolution]) -> RoundsTold:
    """The rounds, and how far each dropped run was behind the last one kept when it was dropped."""
    curves = [curve for one in tried if one.epochs and (curve := curve_of(one)) is not None]
    names = {curve.name for curve in curves}
    pairs = [(done.kept[-1].name, run.name) for done in rounds.rounds if done.kept for run in done.dropped]
    usable = [pair for pair in pairs if names.issuperset(pair)]
    behind = compare_until(curves, usable, rounds.dropped) if usable else ()
    return RoundsTold(
        rounds,
        {one.second: one for one in behind},
        epochs_trained=sum(run.epochs[-1].epoch for run in tried if run.epochs),
        epochs_of_all=sum(epochs_of(run) for run in runs),
        measured=MEASURED.get(request.halving, ""),
    )


def report_on(
    tried: Sequence[TriedSolution],
    output_dir: Path,
    *,
    control: str,
    notes: tuple[str, ...] = (),
    dropped: Mapping[str, int] | None = None,
) -> SolutionsReport:
    """Return which of a folder's runs to take; `control` names the unchanged one, `dropped` those halving dropped, and when."""
    curves = [curve for one in tried if one.epochs and (curve := curve_of(one)) is not None]
    selection = select(curves, control=control, dropped=dropped)
    protocol = protocol_of(tried, selection)
    return SolutionsReport(
        selection, tuple(tried), protocol, broken_pipeline=broken_pipeline(tried), notes=notes,
        compare_command=compare_command(output_dir),
    )  # fmt: skip


def compare_command(output_dir: Path) -> str:
    """Return the command line that compares what is in a folder; flags can be appended."""
    return command_line(("python", "find_best_model.py", "--compare-only", "--output-dir", output_dir.as_posix()))


def _tried(request: SolutionsRequest, run: PlannedRun, runs: Sequence[PlannedRun], problem: str) -> TriedSolution:
    has_epochs = run.config is not None and run.folder.metrics.exists()
    return TriedSolution(
        name=run.name,
        config_file=run.solution.path,
        folder=run.folder,
        config=run.config,
        changes=changes_of(run, runs),
        is_control=run.is_control,
        hypothesis=run.solution.hypothesis,
        expected=run.solution.expected,
        epochs=read_run(run.folder.path).epochs if has_epochs else (),
        stop=read_stop(run.folder) if run.config is not None else None,
        problem=problem or (run.problem if run.config is None else _still_running(run.folder)),
        command=TrainRequest(run.solution.path, run.name, request.all_overrides).command,
    )


def _still_running(folder: RunFolder) -> str:
    return "it is still being trained by another process" if is_running(folder) else ""


def curve_of(run: TriedSolution) -> ValidationCurve | None:
    """Return a run's per-query scores; a run without a model to use is no candidate."""
    arrays = read_average_precision(run.folder)
    if "validation_epochs" not in arrays or not run.folder.best_model.exists():
        return None
    values_EQ = arrays["validation_average_precision"].astype(float)
    return ValidationCurve(run.name, arrays["validation_epochs"], values_EQ, arrays["validation_person_ids"])


def protocol_of(tried: Sequence[TriedSolution], selection: Selection) -> str:
    """Return what the winner was measured on: "held-out" or "test"; empty where nothing was."""
    winner = selection.winner
    runs = [run for run in tried if winner is not None and run.name == winner.best_run]
    measured = [epoch.validation.protocol for run in runs for epoch in run.epochs if epoch.validation is not None]
    return next(iter([*(run.foreign_protocol for run in runs if run.foreign_protocol), *measured]), "")


def broken_pipeline(tried: Sequence[TriedSolution]) -> str:
    """Return what the diagnosis of the control says, where it is that nothing can be tuned before something is repaired."""
    control = next((run for run in tried if run.is_control), None)
    if control is None or control.config is None:
        return ""
    if control.stop is not None and control.stop.code == "preflight":
        return f"the control did not pass preflight: {control.stop.headline.removeprefix('Error: ')}"
    if len(control.epochs) == 0:
        return ""
    from unplateau.diagnosis.diagnose import diagnose  # here: rules and page take half a second to load
    from unplateau.workflows.diagnosing.diagnose import Sources, gather

    diagnosis = diagnose(gather(Sources(log_file=control.folder.path)))
    if not diagnosis.is_pipeline_broken or diagnosis.first is None:
        return ""
    evidence = "; ".join(item.statement for item in diagnosis.first.evidence[:2])
    return f"{diagnosis.first.title} ({diagnosis.first.code}): {evidence}. {diagnosis.about_hyper_parameters()}"


def _with_test(report: SolutionsReport, say: Callable[[str], None]) -> SolutionsReport:
    """Score the winner on the test sets. Whatever goes wrong there, the selection stands."""
    winner = report.winner
    assert winner is not None and winner.config is not None  # the caller looked
    if not winner.config.DATASETS.TESTS:
        return replace(report, test_problem="no test set is configured (DATASETS.TESTS)")
    from unplateau.workflows.training.score import run_scoring

    say(f"Chosen: {winner.name}. Scoring it once on {', '.join(winner.config.DATASETS.TESTS)} ...")
    try:
        tests = run_scoring(winner.folder.config, ("MODEL.WEIGHTS", winner.folder.best_model.as_posix()))
    except (UnplateauError, OSError, RuntimeError, MemoryError) as problem:
        first = first_line(problem)
        return replace(report, test_problem=f"scoring failed: {first}")
    return replace(report, tests=tests)


def earlier_tests(output_dir: Path, report: SolutionsReport) -> tuple[RetrievalMetrics, ...]:
    """Return the winner's test scores where this very model was scored before: the test set is looked at once."""
    winner = report.winner
    try:
        known = read_json(output_dir / RECORD)
    except (OSError, ValueError):
        return ()
    if winner is None or not isinstance(known, dict) or not winner.folder.best_model.exists():
        return ()
    if known.get("winner_sha256") != sha256_of(winner.folder.best_model):
        return ()
    return tuple(from_plain(RetrievalMetrics, plain) for plain in known.get("tests", []))


def write_selection(path: Path, report: SolutionsReport) -> None:
    """Write the text, and beside it `selection.json` with all that a page needs."""
    write_text(path, selection_text(report))
    write_json(path.with_name(RECORD), _plain(report))


def _plain(report: SolutionsReport) -> dict[str, Any]:
    winner = report.winner
    has_model = winner is not None and winner.folder.best_model.exists()
    runs = {run.name: _plain_run(run, report) for run in report.tried}
    return {
        "schema": SCHEMA,
        "kind": report.kind,
        "winner": winner.name if winner else None,
        "winner_recipe": report.selection.winner.name if report.selection.winner else None,
        "winner_sha256": sha256_of(winner.folder.best_model) if winner and has_model else None,
        "protocol": report.protocol,
        "how_sure": how_sure(report),
        "helped": list(report.helped),
        "halving": to_plain(report.rounds) if report.rounds is not None else None,
        "selection": to_plain(report.selection),
        "tests": [to_plain(metrics) for metrics in report.tests],
        "runs": runs,
        "broken_pipeline": report.broken_pipeline,
        "notes": list(report.notes),
    }


def _plain_run(run: TriedSolution, report: SolutionsReport) -> dict[str, Any]:
    """One run: what it is, and where its curves are."""
    curves = {"epochs": run.folder.metrics.as_posix(), "average_precision": run.folder.average_precision.as_posix()}
    return {
        "ended": run.ended,
        "code": run.stop.code if run.stop else None,
        "changes": {key: list(values) for key, values in run.changes.items()},
        "recipe": report.recipes.get(run.name, run.name),
        "seed": run.config.SEED if run.config is not None else None,
        "is_control": run.is_control,
        "hypothesis": run.hypothesis,
        "expected": run.expected,
        "config_file": run.config_file.as_posix(),
        "folder": run.folder.path.as_posix(),
        "is_foreign": bool(run.foreign_protocol),
        "curves": None if run.foreign_protocol else curves,
    }
