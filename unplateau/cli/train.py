"""`unplateau train`: train one configuration, go on with a run, refit it, run it with several seeds, or score a model."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("train", context_settings={"ignore_unknown_options": False})(train)


def train(
    config_file: Annotated[Path | None, typer.Option("--config-file", help="Configuration (YAML); see custom_configs/.")] = None,
    run_name: Annotated[str, typer.Option("--run-name", help="Name of the run's folder below OUTPUT_DIR.")] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was begun.")] = False,
    allow_changes: Annotated[
        bool, typer.Option("--allow-changes", help="Resume although keys changed that change results.")
    ] = False,
    no_preflight: Annotated[
        bool, typer.Option("--no-preflight", help="Skip the check that the weights move (recorded).")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin anew; an earlier run of that name is kept under another one.")
    ] = False,
    refit: Annotated[
        bool,
        typer.Option(
            "--refit",
            help="Retrain run RUN_NAME's recipe for its best number of epochs on all identities, and score the test set once.",
        ),
    ] = False,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Run so many seeds and report mean and standard deviation.")] = 1,
    eval_only: Annotated[
        bool, typer.Option("--eval-only", help="Score MODEL.WEIGHTS (ours or another trainer's) on the test sets.")
    ] = False,
    features: Annotated[
        Path | None, typer.Option("--features", help="With --eval-only: score plain feature arrays (.npz) instead.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the end.")] = False,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY VALUE]...", help="Overrides, such as SOLVER.BASE_LR 0.0007.")
    ] = None,
) -> None:
    """Train one configuration; leaves logs/<dataset>/<run>/ with best_model.pth and STOPPING_REASON.txt."""
    from unplateau.base.errors import UsageError
    from unplateau.workflows.training.request import TrainRequest

    if eval_only:
        from unplateau.workflows.training.score import run_scoring

        run_scoring(config_file, tuple(overrides or ()), features=features)
        return
    if config_file is None and not resume:
        raise UsageError("--config-file is missing. Try --config-file custom_configs/minimarket_demo.yml, which needs no data.")
    if not run_name:
        raise UsageError("--run-name is missing: the name of this run's folder, such as --run-name first_run.")
    request = TrainRequest(
        config_file, run_name, tuple(overrides or ()),
        resume=resume, allow_changes=allow_changes, skip_preflight=no_preflight, refit=refit, restart=restart, is_quiet=quiet,
    )  # fmt: skip
    _check_early(request)
    raise typer.Exit(_run(request, seeds))


def _check_early(request) -> None:  # type: ignore[no-untyped-def]
    """Say what is wrong with the name or the configuration now: loading PyTorch takes seconds, and nothing is seen meanwhile."""
    from unplateau.config.load import load
    from unplateau.runs.layout import run_folder

    run_folder(Path(), request.run_name)
    if request.config_file is not None:
        load(request.config_file, request.overrides)
    if not request.is_quiet:
        print(f"Run {request.run_name}: loading PyTorch, then data and model ...", flush=True)


def _run(request, seeds: int) -> int:  # type: ignore[no-untyped-def]
    from unplateau.workflows.training.seeds import run_refit, run_seeds
    from unplateau.workflows.training.summary import print_outcome
    from unplateau.workflows.training.train import run_training

    if seeds > 1:
        return run_seeds(request, seeds)
    outcome = run_refit(request) if request.refit else run_training(request)
    print_outcome(outcome)
    return outcome.reason.exit_code
