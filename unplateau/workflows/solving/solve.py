"""`solve_plateau.py`: diagnose a training, write the solutions in the order of expected gain, and say what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import unplateau
from unplateau.base.errors import ConfigError, UsageError
from unplateau.base.files import write_json
from unplateau.config.load import Loaded, load
from unplateau.diagnosis.case import Case
from unplateau.diagnosis.describe import describe, to_json
from unplateau.diagnosis.diagnose import Diagnosis, diagnose
from unplateau.report.solve_text import SolveStory, solutions_text, what_to_do
from unplateau.runs.layout import is_run_folder
from unplateau.runs.reader import find_runs, read_run
from unplateau.runs.record import Solution, to_plain
from unplateau.solutions.bursts import BurstResult
from unplateau.solutions.generate import generate, would_change_nothing
from unplateau.solutions.write import Written, write_launchers, write_solutions
from unplateau.workflows.diagnosing.diagnose import Sources, gather

SOLUTIONS_FOLDER = Path("custom_configs") / "plateau_solutions"
BASE_RECIPE = Path("custom_configs") / "stalled_run.yml"
_CONFIG_NAMES = ("config.yml", "config.yaml")

TELL_ME_MORE = """\
To learn why a training is stalled, give any of these:
  --run logs/market1501/NAME           a run of this trainer
  --log-file FILE                      a log of any trainer: fast-reid, reid-strong-baseline, TransReID, CLIP-ReID, SOLIDER,
                                       torchreid, TensorBoard, CSV, JSON lines (with --num-identities 751 where it is missing)
  --checkpoints A B                    two checkpoints of one run: what moved, and what did not
  --symptom "No inf checks were ..."   a warning or error you saw"""


@dataclass(frozen=True)
class SolveRequest:
    """A command line of `solve`."""

    sources: Sources = Sources()
    run: Path | None = None
    logs: Path = Path("logs")
    """Where the newest run is looked for when nothing else is given."""
    output_dir: Path | None = None
    json: Path | None = None
    force: bool = False
    probe: bool = False
    probe_all: bool = False
    """Probe without a limit on the cost."""
    """Probe the run where its last checkpoint stands, before judging."""
    burst_steps: int = 0
    """Try every solution for so many steps from the run's last checkpoint and order the files by what came of it; 0 = do not."""


@dataclass(frozen=True)
class Solved:
    """What `solve` found and wrote."""

    diagnosis: Diagnosis | None
    """None where there was nothing to diagnose."""
    solutions: tuple[Solution, ...]
    written: tuple[Written, ...]
    left_out: tuple[str, ...] = ()
    """Solutions that were asked for and would change nothing of this run."""


def solve(request: SolveRequest, say: Callable[[str], None] = print) -> Solved:
    """Diagnose, write solutions and launchers, and say all of it.

    Args:
        request: what was asked for.
        say: takes the text, a block at a time.

    Raises:
        UnplateauError: a source that is missing or cannot be used.
    """
    sources = _sources(request, say)
    diagnosis = None
    if sources is None:
        say(f"No run to diagnose under {request.logs}: writing the five solutions from the base recipe.\n\n{TELL_ME_MORE}\n")
        case = Case()
    else:
        sources = _with_probes(request, sources, say) if request.probe or request.probe_all else sources
        case = gather(sources)
        diagnosis = diagnose(case)
        say(describe(case, diagnosis))
    solved = _write(request, sources, diagnosis, say)
    if request.json is not None:
        write_json(request.json, _as_json(case, solved))
        say(f"Written as JSON: {request.json}")
    return solved


def _sources(request: SolveRequest, say: Callable[[str], None]) -> Sources | None:
    """The run or log to look at; the newest run where nothing is named; None where there is nothing."""
    given = request.sources
    if request.run is not None:
        if given.log_file is not None:
            raise UsageError("--run and --log-file are two ways to name the same thing; give one of them.")
        if not is_run_folder(request.run):
            raise UsageError(f"--run {request.run} is no run of this trainer. For other trainers use --log-file FILE.")
        return replace(given, log_file=request.run)
    if given.log_file is not None or given.checkpoints or given.symptoms:
        return given
    newest = _newest_run(request.logs, say)
    return None if newest is None else replace(given, log_file=newest)


def _newest_run(logs: Path, say: Callable[[str], None]) -> Path | None:
    """The newest run with a finished epoch; what is passed over is said."""
    for run in find_runs(logs):
        if read_run(run.path).epochs:
            say(f"The newest run under {logs} with a finished epoch: {run.path}")
            return run.path
        say(f"note: {run.path} has no finished epoch yet, so there is nothing in it to diagnose.")
    return None


def _with_probes(request: SolveRequest, sources: Sources, say: Callable[[str], None]) -> Sources:
    """Probe the run; its measurements are then read from its folder, and what made a probe fail is a symptom."""
    if sources.log_file is None or not is_run_folder(sources.log_file):
        raise UsageError("--probe needs a run of this trainer: --run logs/market1501/NAME. For another loop see docs/watch.md.")
    from unplateau.workflows.probing.budget import SHARE  # loads torch, which nothing else here needs
    from unplateau.workflows.probing.probe import probe_run

    found = probe_run(sources.log_file, share=None if request.probe_all else SHARE, say=say)
    failed = tuple(m.note for m in found if m.name == "probe_failed")
    return replace(sources, symptoms=(*sources.symptoms, *failed))


def _write(request: SolveRequest, sources: Sources | None, diagnosis: Diagnosis | None, say: Callable[[str], None]) -> Solved:
    base, loaded = _base(sources, say)
    findings = diagnosis.findings if diagnosis is not None else ()
    solutions = generate(loaded.config, findings)
    bursts = _bursts(request, sources, solutions, say) if request.burst_steps else ()
    if bursts:
        by_name = {solution.name: solution for solution in solutions}
        solutions = tuple(by_name[result.name] for result in bursts)
    folder = request.output_dir or SOLUTIONS_FOLDER
    written = write_solutions(folder, solutions, base=base, findings=findings, force=request.force)
    launchers = write_launchers(request.output_dir or Path(), folder, force=request.force)
    story = SolveStory(diagnosis, base, solutions, written, launchers, would_change_nothing(loaded.config), bursts)
    say(solutions_text(story))
    say("\n" + what_to_do(story))
    return Solved(diagnosis, solutions, (*written, *launchers), tuple(story.left_out))


def _bursts(
    request: SolveRequest, sources: Sources | None, solutions: tuple[Solution, ...], say: Callable[[str], None]
) -> tuple[BurstResult, ...]:
    """What short paired trials from the run's checkpoint speak for, the best first."""
    if sources is None or sources.log_file is None or not is_run_folder(sources.log_file):
        raise UsageError("--bursts needs a run of this trainer with a checkpoint: --run logs/market1501/NAME.")
    from unplateau.report.bursts_text import bursts_text
    from unplateau.workflows.solving.bursts import run_bursts  # loads torch, which nothing else here needs

    results = run_bursts(sources.log_file, solutions, num_steps=request.burst_steps, say=say)
    say(bursts_text(results))
    return results


def _base(sources: Sources | None, say: Callable[[str], None]) -> tuple[Path, Loaded]:
    """The run's own configuration; the base recipe where it has none that we can read."""
    for path in _own_configs(sources):
        try:
            return path, load(path)
        except ConfigError as problem:
            say(f"note: {path} is not used as the base of the solutions: {problem.problems[0]}")
    path = BASE_RECIPE if BASE_RECIPE.exists() else Path(unplateau.__file__).parent.parent / BASE_RECIPE
    if not path.exists():
        raise UsageError(f"There is no base recipe {BASE_RECIPE} to write solutions for. Run this in the project's folder.")
    return path, load(path)


def _own_configs(sources: Sources | None) -> list[Path]:
    if sources is None or sources.log_file is None:
        return []
    folder = sources.log_file if sources.log_file.is_dir() else sources.log_file.parent
    return [folder / name for name in _CONFIG_NAMES if (folder / name).is_file()]


def _as_json(case: Case, solved: Solved) -> dict[str, object]:
    found = to_json(case, solved.diagnosis) if solved.diagnosis is not None else {"findings": []}
    solutions = [{**to_plain(s), "file": str(w.path)} for s, w in zip(solved.solutions, solved.written, strict=False)]
    return {
        **found,
        "solutions": solutions,
        "left_out": list(solved.left_out),
        "written": [{"path": str(w.path), "state": w.state} for w in solved.written],
    }
