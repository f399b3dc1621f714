"""`unplateau demo`, and `make demo`: a stall, its cause, the solutions, the winner and the report, on drawn persons."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("demo")(demo)


def demo(
    output_dir: Annotated[Path, typer.Option("--output-dir", help="Where everything goes; an earlier demo is kept.")] = Path(
        "logs/demo"
    ),
    quiet: Annotated[bool, typer.Option("--quiet", help="Only the texts, no progress.")] = False,
) -> None:
    """See it work in minutes, without data: a stalled run, why it stalled, the solutions tried, the winner, a page to look at."""
    from unplateau.workflows.demo import DemoRequest, run_demo

    raise typer.Exit(run_demo(DemoRequest(output_dir, quiet)))
