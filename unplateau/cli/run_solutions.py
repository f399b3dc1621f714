"""`unplateau run-solutions`, and `run_plateau_solutions.bat` / `.sh`: try a control and all solutions, name the best model."""

from pathlib import Path
from typing import Annotated

import typer


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
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing; the files say it all.")] = False,
) -> None:
    """Train the stalled configuration unchanged and every solution, then write BEST_MODEL_SELECTION.txt."""
    from unplateau.workflows.run_solutions import run_solutions as run
    from unplateau.workflows.solution_runs import SOLUTIONS_FOLDER, SolutionsRequest

    folder, overrides = _split(tuple(words or ()))
    request = SolutionsRequest(
        folder or SOLUTIONS_FOLDER, output_dir, overrides,
        control=control, restart_changed=restart_changed, score_test=not no_test, is_quiet=quiet,
    )  # fmt: skip
    raise typer.Exit(run(request).exit_code)


def _split(words: tuple[str, ...]) -> tuple[Path | None, tuple[str, ...]]:
    """The first word is the folder where it is one; keys are upper case and come in pairs."""
    if words and (Path(words[0]).is_dir() or "/" in words[0] or "\\" in words[0]):
        return Path(words[0]), words[1:]
    return None, words
