"""`unplateau select`: compare runs that are there, and name the best model; `find_best_model.py --compare-only` is the same."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("select")(select)


def select(
    folder: Annotated[Path, typer.Argument(help="Where the runs are, at any depth, or results of other trainers.")],
    seeds: Annotated[int, typer.Option("--seeds", min=0, help="First train the best ones again with so many fresh seeds.")] = 0,
    top: Annotated[int, typer.Option("--top", min=0, help="With --seeds: how many recipes; 0 = those still undecided.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing; the files say it all.")] = False,
) -> None:
    """Compare the runs of a folder; leaves BEST_MODEL_SELECTION.txt in it."""
    from unplateau.workflows.choosing.select import run_select
    from unplateau.workflows.choosing.select_request import SelectRequest

    raise typer.Exit(run_select(SelectRequest(folder, seeds=seeds, top=top, is_quiet=quiet)))
