"""`unplateau doctor`: what is wrong with this machine, or with a configuration on it, and how to mend it."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("doctor")(doctor)


def doctor(
    config_file: Annotated[
        Path | None,
        typer.Option("--config-file", "--config", help="Look with this configuration's eyes: its device, data, weights."),
    ] = None,
    memory: Annotated[
        str, typer.Option("--memory", help="With a configuration: would its training fit in so much, such as 4GB, on a card?")
    ] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the result and the facts as JSON too.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY VALUE]...", help="Overrides, such as DATASETS.ROOT /data/reid.")
    ] = None,
) -> None:
    """Check this machine: torch, GPU, driver, packages, memory, disk, data, weights; each problem with its fix.

    With a configuration it also says how much memory a training step takes and how long an epoch.
    """
    from unplateau.workflows.doctor import run_doctor

    raise typer.Exit(run_doctor(config_file, tuple(overrides or ()), json_file=json_file, memory=memory))
