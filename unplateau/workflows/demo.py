"""`unplateau demo`: the whole story on drawn persons, in minutes. A stall and its cause, a run that is stalled for another
reason, the solutions tried with fewer epochs, the winner, and a page to look at.

Nothing is staged: every step is the command a user would type, and each is printed before it runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import unplateau
from unplateau.base.errors import UsageError
from unplateau.diagnosis.describe import describe
from unplateau.diagnosis.diagnose import diagnose
from unplateau.runs.foreign_logs.training_log import LogFacts
from unplateau.runs.record import StopReason
from unplateau.workflows.diagnosing.diagnose import Sources, gather
from unplateau.workflows.reporting.report import write_report
from unplateau.workflows.solving.run_solutions import INTERRUPTED, run_solutions
from unplateau.workflows.solving.solution_runs import SolutionsRequest
from unplateau.workflows.solving.solve import SolveRequest, solve
from unplateau.workflows.training.request import TrainRequest
from unplateau.workflows.training.set_aside import set_aside

FIRST_LOG = Path("docs") / "examples" / "stalled_run.csv"
STALLED = Path("custom_configs") / "minimarket_stalled.yml"
PLAN = "half"
_IDENTITIES_OF_THE_LOG = 751
_LINE = "=" * 100


@dataclass(frozen=True)
class DemoRequest:
    """A command line of `demo`."""

    output_dir: Path = Path("logs") / "demo"
    is_quiet: bool = False


def run_demo(request: DemoRequest, say: Callable[[str], None] = print) -> int:
    """Tell the story; return the exit code of its last step.

    Raises:
        UsageError: it is not started in the project's folder.
    """
    started = time.perf_counter()
    place = request.output_dir
    set_aside(place)
    _diagnose_a_log(say)
    stop = _train_the_stalled_run(request, say)
    if stop.exit_code:
        return stop.exit_code
    _solve_it(place, say)
    code = _try_the_solutions(request, say)
    if code == INTERRUPTED:
        return code
    _close(place, say, minutes=(time.perf_counter() - started) / 60)
    return code


def _diagnose_a_log(say: Callable[[str], None]) -> None:
    """The run this project began with: three lines of a log are enough."""
    path = _ours(FIRST_LOG)
    _chapter(
        say, "1 of 4   WHY DID THIS RUN STALL? A log is enough",
        "ResNet-50 on Market-1501 with fast-reid, flat for 27 epochs. Its owner suspected the learning rate. (The curve "
        "is made up to the numbers that were reported: CE 6.71-6.73, triplet 2.7-2.9.)",
        f"python solve_plateau.py --log-file {FIRST_LOG.as_posix()} --num-identities {_IDENTITIES_OF_THE_LOG}",
    )  # fmt: skip
    case = gather(Sources(log_file=path, facts=LogFacts(num_identities=_IDENTITIES_OF_THE_LOG)))
    say(describe(case, diagnose(case)))


def _train_the_stalled_run(request: DemoRequest, say: Callable[[str], None]) -> StopReason:
    from unplateau.workflows.training.summary import outcome_lines
    from unplateau.workflows.training.train import run_training  # loads torch

    _chapter(
        say, "2 of 4   ANOTHER STALL, LIVE: the weights move, and yet nothing comes of it",
        "MiniMarket: persons drawn by our own code, so no download is needed (the first time they are drawn: half a minute).",
        f"python train_research_grade.py --config-file {STALLED.as_posix()} --run-name stalled "
        f"OUTPUT_DIR {request.output_dir.as_posix()}",
    )  # fmt: skip
    overrides = ("OUTPUT_DIR", request.output_dir.as_posix())
    outcome = run_training(TrainRequest(_ours(STALLED), "stalled", overrides, is_quiet=request.is_quiet))
    say("\n".join(outcome_lines(outcome)))
    return outcome.reason


def _solve_it(place: Path, say: Callable[[str], None]) -> None:
    _chapter(
        say, "3 of 4   WHAT IS WRONG WITH IT, AND WHAT MAY HELP",
        "The same question to a run of our own. The solutions are written as configuration files: a change each, and its reason.",
        f"python solve_plateau.py --run {(place / 'stalled').as_posix()} --output-dir {(place / 'solutions').as_posix()}",
    )  # fmt: skip
    solve(SolveRequest(run=place / "stalled", output_dir=place / "solutions"), say)


def _try_the_solutions(request: DemoRequest, say: Callable[[str], None]) -> int:
    place = request.output_dir
    _chapter(
        say, "4 of 4   TRY THEM ALL, with a control that changes nothing",
        "Each trains a slice, only the better part goes on. Chosen on persons never trained on; the test set is for the winner.",
        f"unplateau run-solutions {(place / 'solutions').as_posix()} --output-dir {(place / 'tried').as_posix()} "
        f"--halving --halving-plan {PLAN}",
    )  # fmt: skip
    solutions = SolutionsRequest(place / "solutions", place / "tried", halving=PLAN, is_quiet=request.is_quiet)
    outcome = run_solutions(solutions)
    if outcome.chosen is not None:
        text = outcome.chosen.text.read_text(encoding="utf-8")
        say(text.split("\n\nHYPERPARAMETERS:")[0])
        say(f"\n... the whole of it: {outcome.chosen.text}")
    return outcome.exit_code


def _close(place: Path, say: Callable[[str], None], *, minutes: float) -> None:
    pages = [write_report(place / "tried"), write_report(place / "stalled")]
    say(f"\n{_LINE}\nDone in {minutes:.1f} minutes. Look at it in a browser:")
    for page in pages:
        say(f"  {page.resolve()}")
    say(
        "\nOn your own data:\n"
        "  python train_research_grade.py --config-file custom_configs/Market1501/bagtricks_R50.yml --run-name first_run\n"
        "  python solve_plateau.py --run logs/market1501/first_run          (or --log-file LOG of any other trainer)\n"
        "  ./run_plateau_solutions.sh                                       (Windows: run_plateau_solutions.bat)\n"
        "START_HERE.txt says which way to go; REID_DATA names the folder that holds Market-1501-v15.09.15."
    )


def _chapter(say: Callable[[str], None], title: str, what: str, command: str) -> None:
    say(f"\n{_LINE}\n{title}\n{_LINE}\n{what}\n\n$ {command}\n")


def _ours(path: Path) -> Path:
    """A file of the project, from wherever the command is typed."""
    found = path if path.exists() else Path(unplateau.__file__).parent.parent / path
    if not found.exists():
        raise UsageError(f"There is no {path}. The demo needs the repository: run it in the folder that holds custom_configs/.")
    return found
