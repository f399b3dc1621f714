"""`unplateau config show | explain | diff | import`: what a configuration says, in plain text."""

from pathlib import Path
from typing import Annotated

import typer

from unplateau.base.errors import UsageError

ConfigFile = Annotated[Path, typer.Argument(help="a YAML file, ours or another code base's")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY VALUE]...", help="values that win over the file")]
CodeBase = Annotated[
    str | None, typer.Option("--from", help="whose file it is, where its keys do not tell: fast-reid, transreid, ...")
]
Images = Annotated[int | None, typer.Option("--images-per-epoch", min=1, help="training images, to turn epochs into steps")]


def register(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    group = typer.Typer(help="Show, explain, compare and import configurations.", no_args_is_help=True)
    group.command("show", context_settings={"ignore_unknown_options": True})(show)  # values may be negative
    group.command("explain")(explain)
    group.command("diff")(diff)
    group.command("import")(import_file)
    app.add_typer(group, name="config")


def show(file: ConfigFile, overrides: Overrides = None) -> None:
    """Print the whole configuration that FILE and the overrides come to."""
    from unplateau.config import delta
    from unplateau.config.load import load

    loaded = load(file, overrides or ())
    _say_notes(loaded.notes)
    typer.echo(delta.to_yaml(loaded.config), nl=False)


def explain(key: Annotated[str, typer.Argument(help="a dotted key, a part of one, or a group")]) -> None:
    """Print what KEY means, its default and limits, and how fast-reid differs."""
    from unplateau.config import describe

    typer.echo(describe.explain(key))


def diff(file: ConfigFile, other: ConfigFile) -> None:
    """Print the keys in which two configurations differ."""
    from unplateau.config import delta
    from unplateau.config.entries import shown
    from unplateau.config.load import load

    changed = delta.difference(load(file).config, load(other).config)
    for key, (left, right) in changed.items():
        typer.echo(f"{key}: {shown(left)} -> {shown(right)}")
    if not changed:
        typer.echo("The two configurations are equal.")


def import_file(
    file: ConfigFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="the file to write")],
    code_base: CodeBase = None,
    images_per_epoch: Images = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace a file that is there")] = False,
) -> None:
    """Write another code base's FILE as a configuration of ours: only what differs from our defaults."""
    from unplateau.base.files import write_text
    from unplateau.config import delta
    from unplateau.config.load import load

    loaded = load(file, code_base=code_base, images_per_epoch=images_per_epoch)
    if output.exists() and not overwrite:
        raise UsageError(f"{output} is there already. Name another file, or add --overwrite.")
    changed = {key: new for key, (_, new) in delta.difference(delta.from_plain({}), loaded.config).items()}
    marked = {"VALIDATION.HELD_OUT": loaded.config.VALIDATION.HELD_OUT, **changed}
    header = [f"Imported from {file.name}.", *loaded.notes]
    try:
        write_text(output, delta.to_delta_yaml(marked, header=header))
    except OSError as error:
        raise UsageError(f"{output} cannot be written ({error.strerror}). Name another folder.") from error
    _say_notes(loaded.notes)
    typer.echo(f"Written: {output}")


def _say_notes(notes: tuple[str, ...]) -> None:
    for note in notes:
        typer.echo(f"note: {note}", err=True)
