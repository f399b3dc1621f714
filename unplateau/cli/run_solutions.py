"""`unplateau run-solutions`, and `run_plateau_solutions.bat` / `.sh`: try a control and all solutions, name the best model."""

import re
from pathlib import Path
from typing import Annotated

import typer

from unplateau.base.errors import UsageError

_KEY = re.compile(r"[A-Z][A-Z0-9_]*(\.[A-Z0-9_]+)*")


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("run-solutions")(run_solutions)


def run_solutions(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FOLDER] [KEY VALUE]...",
            help="Folder of solution files (default custom_configs/plateau_solutions), then overrides for all runs, "
            "such as SOLVER.MAX_EPOCH 15.",
        ),
    ] = None,
    output_dir: Annotated[Path, typer.Option("--output-dir", help="Where the runs go.")] = Path("logs/plateau_solutions"),
    control: Annotated[
        Path | None, typer.Option("--control", help="The stalled configuration; default: what the solution files name as _BASE_.")
    ] = None,
    restart_changed: Annotated[
        bool, typer.Option("--restart-changed", help="Begin anew runs whose values changed; the old ones are kept.")
    ] = False,
    no_test: Annotated[bool, typer.Option("--no-test", help="Do not score the winner on the test set.")] = False,
    halving: Annotated[
        bool,
        typer.Option("--halving", help="Fewer epochs: train a slice of each, only the better part goes on, the others freeze."),
    ] = False,
    halving_plan: Annotated[
        str,
        typer.Option(
            "--halving-plan",
            help="With --halving: careful, half, third, or cuts SHARE_OF_EPOCHS:SHARE_OF_RUNS_KEPT, such as 0.5:0.5,0.83:0.33.",
        ),
    ] = "",
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing; the files say it all.")] = False,
) -> None:
    """Train the stalled configuration unchanged and every solution, then write BEST_MODEL_SELECTION.txt."""
    from unplateau.selection.halving import DEFAULT_PLAN
    from unplateau.workflows.solving.run_solutions import run_solutions as run
    from unplateau.workflows.solving.solution_runs import SOLUTIONS_FOLDER, SolutionsRequest

    if halving_plan and not halving:
        raise UsageError("--halving-plan says how --halving works; give --halving too.")
    folder, overrides = _split(tuple(words or ()))
    request = SolutionsRequest(
        folder or SOLUTIONS_FOLDER, output_dir, overrides,
        control=control, restart_changed=restart_changed, score_test=not no_test, is_quiet=quiet,
        halving=(halving_plan or DEFAULT_PLAN) if halving else "",
    )  # fmt: skip
    raise typer.Exit(run(request).exit_code)


def _split(words: tuple[str, ...]) -> tuple[Path | None, tuple[str, ...]]:
    """The first word is the folder unless it is written as a key, such as SOLVER.MAX_EPOCH.

    Raises:
        UsageError: a key without a value.
    """
    has_folder = bool(words) and (Path(words[0]).is_dir() or not _KEY.fullmatch(words[0]))
    overrides = words[1:] if has_folder else words
    if len(overrides) % 2:
        raise UsageError(
            f"{' '.join(overrides)}: overrides come in pairs, such as SOLVER.MAX_EPOCH 15"
            + (f", and there is no folder {words[0]}." if not has_folder and len(words) == 1 else ".")
        )
    return (Path(words[0]) if has_folder else None), overrides
