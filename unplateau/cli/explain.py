"""`unplateau explain CODE`: the page of a finding or a cause; `--list` shows all of them."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("explain")(explain)


def explain(
    code: Annotated[str | None, typer.Argument(help="A code such as weights-not-updated.")] = None,
    list_all: Annotated[bool, typer.Option("--list", help="All findings and the vocabulary of causes.")] = False,
) -> None:
    """Explain a finding: what it is, why it happens, how it was seen, what to do."""
    from unplateau.diagnosis.explain import page, vocabulary

    typer.echo(vocabulary() if list_all or code is None else page(code), nl=False)
