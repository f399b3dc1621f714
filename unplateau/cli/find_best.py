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
    space: Annotated[
        Path | None, typer.Option("--space", help="Search: a space file (YAML); default: one made for re-ID.")
    ] = None,
    sampler: Annotated[str, typer.Option("--sampler", help="Search: tpe, gp, cmaes or random.")] = "tpe",
    sampler_seed: Annotated[int, typer.Option("--sampler-seed", min=0, help="Search: another seed suggests other trials.")] = 0,
    max_trials: Annotated[
        int | None, typer.Option("--max-trials", min=1, help="Search: trials at most; default 40 where no budget is given.")
    ] = None,
    budget_epochs: Annotated[
        int | None, typer.Option("--budget-epochs", min=1, help="Search: epochs at most, of all trials together.")
    ] = None,
    hours: Annotated[float | None, typer.Option("--hours", min=0, help="Search: hours at most, over all its calls.")] = None,
    keep: Annotated[int, typer.Option("--keep", min=2, help="Search: one trial in so many goes on at a rung's end.")] = 3,
    first_rung: Annotated[
        int | None, typer.Option("--first-rung", min=1, help="Search: epochs before trials are first compared; default a ninth.")
    ] = None,
    no_pruning: Annotated[bool, typer.Option("--no-pruning", help="Search: train every trial to the end.")] = False,
    executor: Annotated[str, typer.Option("--executor", help="Search: where trials run: local, ray or slurm.")] = "local",
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Search: trials at the same time; default: one a GPU, or one.")
    ] = None,
    per_gpu: Annotated[int, typer.Option("--per-gpu", min=1, help="Search, local: trials that share a GPU.")] = 1,
    ray_address: Annotated[str | None, typer.Option("--ray-address", help="Search, ray: of the cluster; default: none.")] = None,
    trial_cpus: Annotated[float, typer.Option("--trial-cpus", min=0, help="Search, ray: cores of a trial.")] = 1.0,
    trial_gpus: Annotated[float, typer.Option("--trial-gpus", min=0, help="Search, ray: GPUs of a trial, such as 0.5.")] = 0.0,
    slurm: Annotated[
        list[str] | None,
        typer.Option("--slurm", help="Search, slurm: NAME=VALUE for submitit, such as gpus_per_node=1; may be repeated."),
    ] = None,
    storage: Annotated[
        str | None, typer.Option("--storage", help="Search: an Optuna storage URL; default SQLite in --output-dir.")
    ] = None,
    study_name: Annotated[str, typer.Option("--study-name", help="Search: name in the storage; default the folder's.")] = "",
    no_test: Annotated[bool, typer.Option("--no-test", help="Search: do not score the winner on the test set.")] = False,
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
        from unplateau.workflows.search import run_search
        from unplateau.workflows.search_request import SearchRequest, Workers

        places = Workers(executor, workers, per_gpu, trial_cpus, trial_gpus, ray_address, _pairs(slurm or []))
        request = SearchRequest(
            base_config, output_dir, tuple(overrides or ()),
            space=space, sampler=sampler, seed=sampler_seed, max_trials=max_trials, budget_epochs=budget_epochs, hours=hours,
            keep=keep, first_rung=first_rung, is_pruned=not no_pruning, workers=places, storage=storage, study_name=study_name,
            score_test=not no_test, is_quiet=quiet,
        )  # fmt: skip
        raise typer.Exit(run_search(request).exit_code)
    if overrides:
        raise UsageError(f"--compare-only trains nothing by itself, so it takes no KEY VALUE pairs: {' '.join(overrides)}")
    from unplateau.workflows.select import SelectRequest, run_select

    raise typer.Exit(run_select(SelectRequest(output_dir, seeds=seeds, top=top, is_quiet=quiet)))


def _pairs(words: list[str]) -> tuple[tuple[str, str], ...]:
    """Return (name, value) from NAME=VALUE.

    Raises:
        UsageError: a word without "=".
    """
    from unplateau.base.errors import UsageError

    wrong = [word for word in words if "=" not in word]
    if wrong:
        raise UsageError(f"--slurm {wrong[0]!r} has no =. Write NAME=VALUE, such as --slurm gpus_per_node=1.")
    return tuple((name, value) for name, _, value in (word.partition("=") for word in words))
