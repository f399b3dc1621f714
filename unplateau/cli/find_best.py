"""`unplateau find-best`, and `find_best_model.py`: compare what is there, or search hyper-parameters; name the best model."""

from pathlib import Path
from typing import Annotated

import typer

CompareOnly = Annotated[
    bool, typer.Option("--compare-only", help="Compare the runs, or results of other trainers, below --output-dir.")
]
BaseConfig = Annotated[
    Path | None, typer.Option("--base-config", help="Search hyper-parameters, starting from this configuration.")
]
OutputDir = Annotated[
    Path, typer.Option("--output-dir", help="Where the runs to compare are, or where the search puts its runs.")
]
Seeds = Annotated[
    int,
    typer.Option("--seeds", min=0, help="With --compare-only: first train the best recipes again with so many fresh seeds."),
]
Top = Annotated[int, typer.Option("--top", min=0, help="With --seeds: how many recipes; 0 = those still undecided.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing; the files say it all.")]
Space = Annotated[Path | None, typer.Option("--space", help="Search: a space file (YAML); default: one made for re-ID.")]
Sampler = Annotated[str, typer.Option("--sampler", help="Search: tpe, gp, cmaes or random.")]
SamplerSeed = Annotated[int, typer.Option("--sampler-seed", min=0, help="Search: another seed suggests other trials.")]
MaxTrials = Annotated[
    int | None, typer.Option("--max-trials", min=1, help="Search: trials at most; default 40 where no budget is given.")
]
BudgetEpochs = Annotated[
    int | None, typer.Option("--budget-epochs", min=1, help="Search: epochs at most, of all trials together.")
]
Hours = Annotated[float | None, typer.Option("--hours", min=0, help="Search: hours at most, over all its calls.")]
Keep = Annotated[int, typer.Option("--keep", min=2, help="Search: one trial in so many goes on at a rung's end.")]
FirstRung = Annotated[
    int | None, typer.Option("--first-rung", min=1, help="Search: epochs before trials are first compared; default a ninth.")
]
NoPruning = Annotated[bool, typer.Option("--no-pruning", help="Search: train every trial to the end.")]
Executor = Annotated[str, typer.Option("--executor", help="Search: where trials run: local, ray or slurm.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Search: trials at the same time; default: one a GPU, or one.")
]
PerGpu = Annotated[int, typer.Option("--per-gpu", min=1, help="Search, local: trials that share a GPU.")]
RayAddress = Annotated[str | None, typer.Option("--ray-address", help="Search, ray: of the cluster; default: none.")]
TrialCpus = Annotated[float, typer.Option("--trial-cpus", min=0, help="Search, ray: cores of a trial.")]
TrialGpus = Annotated[float, typer.Option("--trial-gpus", min=0, help="Search, ray: GPUs of a trial, such as 0.5.")]
Slurm = Annotated[
    list[str] | None,
    typer.Option("--slurm", help="Search, slurm: NAME=VALUE for submitit, such as gpus_per_node=1; may be repeated."),
]
Storage = Annotated[str | None, typer.Option("--storage", help="Search: an Optuna storage URL; default SQLite in --output-dir.")]
StudyName = Annotated[str, typer.Option("--study-name", help="Search: name in the storage; default the folder's.")]
NoTest = Annotated[bool, typer.Option("--no-test", help="Search: do not score the winner on the test set.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY VALUE]...", help="With --base-config: overrides for every run.")
]


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("find-best")(find_best)


def find_best(
    compare_only: CompareOnly = False,
    base_config: BaseConfig = None,
    output_dir: OutputDir = Path("logs/hyperparameter_search"),
    seeds: Seeds = 0,
    top: Top = 0,
    quiet: Quiet = False,
    space: Space = None,
    sampler: Sampler = "tpe",
    sampler_seed: SamplerSeed = 0,
    max_trials: MaxTrials = None,
    budget_epochs: BudgetEpochs = None,
    hours: Hours = None,
    keep: Keep = 3,
    first_rung: FirstRung = None,
    no_pruning: NoPruning = False,
    executor: Executor = "local",
    workers: Workers = None,
    per_gpu: PerGpu = 1,
    ray_address: RayAddress = None,
    trial_cpus: TrialCpus = 1.0,
    trial_gpus: TrialGpus = 0.0,
    slurm: Slurm = None,
    storage: Storage = None,
    study_name: StudyName = "",
    no_test: NoTest = False,
    overrides: Overrides = None,
) -> None:
    """Compare runs (--compare-only) or search hyper-parameters (--base-config); leaves BEST_MODEL_SELECTION.txt."""
    from unplateau.base.errors import UsageError

    if compare_only == (base_config is not None):
        raise UsageError(
            "Say what to do: --compare-only --output-dir FOLDER compares the runs that are there; "
            "--base-config FILE searches hyper-parameters. One of the two."
        )
    if base_config is not None:
        if seeds or top:
            raise UsageError("--seeds and --top are for --compare-only. Search first, then compare its folder with them.")
        from unplateau.workflows.searching.search import run_search
        from unplateau.workflows.searching.search_request import SearchRequest, Workers

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
    from unplateau.workflows.choosing.select import run_select
    from unplateau.workflows.choosing.select_request import SelectRequest

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
