"""`unplateau find-best`, and `find_best_model.py`: compare what is there, or search hyper-parameters; name the best model."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("find-best")(find_best)


def find_best(
    compare_only: Annotated[
        bool, typer.Option("--compare-only", help="Compare the runs, or results of other trainers, below --output-dir.")
    ] = False,
    base_config: Annotated[
        Path | None, typer.Option("--base-config", help="Search hyper-parameters, starting from this configuration.")
    ] = None,
    output_dir: Annotated[
        Path, typer.Option("--output-dir", help="Where the runs to compare are, or where the search puts its runs.")
    ] = Path("logs/hyperparameter_search"),
    seeds: Annotated[
        int,
        typer.Option("--seeds", min=0, help="With --compare-only: first train the best recipes again with so many fresh seeds."),
    ] = 0,
    top: Annotated[int, typer.Option("--top", min=0, help="With --seeds: how many recipes; 0 = those still undecided.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing; the files say it all.")] = False,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY VALUE]...", help="With --base-config: overrides for every run.")
    ] = None,
) -> None:
    """Compare runs (--compare-only) or search hyper-parameters (--base-config); leaves BEST_MODEL_SELECTION.txt."""
    from unplateau.base.errors import UsageError

    if compare_only == (base_config is not None):
        raise UsageError(
            "Say what to do: --compare-only --output-dir FOLDER compares the runs that are there; "
            "--base-config FILE searches hyper-parameters. One of the two."
        )
    if base_config is not None:
        raise typer.Exit(_search(base_config, output_dir, tuple(overrides or ()), is_quiet=quiet))
    if overrides:
        raise UsageError(f"--compare-only trains nothing by itself, so it takes no KEY VALUE pairs: {' '.join(overrides)}")
    from unplateau.workflows.select import SelectRequest, run_select

    raise typer.Exit(run_select(SelectRequest(output_dir, seeds=seeds, top=top, is_quiet=quiet)))


def _search(base_config: Path, output_dir: Path, overrides: tuple[str, ...], *, is_quiet: bool) -> int:
    """Search hyper-parameters; return the exit code."""
    from unplateau.base.errors import UsageError

    raise UsageError(f"The search from {base_config} is not part of this version yet. --compare-only compares runs.")
