"""The `unplateau` command: one thin file a verb, errors printed without a traceback."""

import sys

import typer

from unplateau.base.errors import UnplateauError
from unplateau.cli import config, demo, doctor, explain, export, find_best, report, run_solutions, select, solve, train
from unplateau.report.lines import use_utf8, visible

VERBS = (demo, train, solve, run_solutions, find_best, select, report, explain, config, doctor, export)

app = typer.Typer(
    name="unplateau",
    help="Train person re-identification models, find out why a run is stalled, try the fixes, choose the best model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for verb in VERBS:
    verb.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    use_utf8()
    try:
        app(args=arguments)
    except UnplateauError as error:
        print(f"error: {visible(str(error))}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
