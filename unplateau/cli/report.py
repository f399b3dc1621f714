"""`unplateau report FOLDER`: one page to look at, of a run or of a folder of runs."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("report")(report)


def report(
    folder: Annotated[Path, typer.Argument(help="A run folder, a folder of solutions, a search, or a folder of runs.")],
    images: Annotated[
        bool, typer.Option("--images", help="Put the photographs of the ranked lists into the page. Mind who may see them.")
    ] = False,
) -> None:
    """Write FOLDER/report.html: self-contained, to be opened in any browser without a network."""
    from unplateau.workflows.reporting.report import write_report

    path = write_report(folder, with_images=images)
    typer.echo(f"Written: {path}")
    if images:
        typer.echo("It holds photographs of persons: share it only as the data set's terms and the law allow.")
