"""Several trainings of one recipe: `--seeds k` for mean and spread, `--refit` for all identities and one test score."""

import statistics
from collections.abc import Sequence
from dataclasses import replace

from unplateau.base.errors import UsageError
from unplateau.base.files import write_json
from unplateau.config.load import load
from unplateau.config.recipe import ALIKE
from unplateau.engine.checkpoint import has_checkpoint, load_checkpoint
from unplateau.runs.layout import RunFolder, is_run_folder, run_folder
from unplateau.runs.reader import read_run
from unplateau.runs.record import RetrievalMetrics, to_plain
from unplateau.workflows.training.request import TrainOutcome, TrainRequest
from unplateau.workflows.training.start import output_dir
from unplateau.workflows.training.summary import print_outcome
from unplateau.workflows.training.train import run_training


def run_refit(request: TrainRequest, *, chosen_name: str = "") -> TrainOutcome:
    """Retrain a recipe on all identities without any selection, for as many epochs as the run of that name found best.

    Where no run of that name exists, all of MAX_EPOCH's epochs are trained. The new run is `<name>_refit`.

    Args:
        request: the recipe, with the run's name.
        chosen_name: the run that found the number of epochs; empty = the run of the request's name.

    Raises:
        UsageError: the run exists and nothing in it was validated.
    """
    config = load(request.config_file, request.overrides).config
    chosen = run_folder(output_dir(config), chosen_name or request.run_name)
    overrides = [*request.overrides, "VALIDATION.HELD_OUT", "0", "VALIDATION.ON_TEST", "False"]
    if is_run_folder(chosen.path):
        overrides += _epochs_of(chosen)
    return run_training(replace(request, run_name=f"{request.run_name}_refit", overrides=tuple(overrides), refit=False))


def _epochs_of(chosen: RunFolder) -> list[str]:
    """Return the overrides that repeat the chosen run up to its best epoch, with the learning-rate drops it took early."""
    best = read_run(chosen.path).best
    if best is None:
        raise UsageError(f"--refit: {chosen.path} has no validated epoch to take the number of epochs from.")
    overrides = ["SOLVER.STOP_EPOCH", str(best.epoch)]
    if not has_checkpoint(chosen):
        return overrides
    content = load_checkpoint(chosen)
    progress = content["progress"]
    if not progress["drops_taken"]:
        return overrides
    steps_per_epoch = progress["step"] // progress["epoch"]
    drops = sorted({milestone // steps_per_epoch for milestone in content["schedule"]["milestone_steps"]})
    return [*overrides, "SOLVER.STEPS", str(drops), "SOLVER.ON_PLATEAU", "stop"]


def run_seeds(request: TrainRequest, num_seeds: int) -> int:
    """Train `num_seeds` seeds one after the other, print mean and standard deviation, and return an exit code.

    Runs are named `<name>_seed<k>`; finished ones are not trained again, half-done ones go on. A refit takes the number of
    epochs from the run of its own seed, else from the run `<name>`.
    """
    first_seed = load(request.config_file, request.overrides).config.SEED
    outcomes = []
    for seed in range(first_seed, first_seed + num_seeds):
        overrides = (*ALIKE, *request.overrides, "SEED", str(seed))
        one = replace(request, run_name=f"{request.run_name}_seed{seed}", overrides=overrides)
        outcome = _train_or_go_on(one, chosen_name=request.run_name)
        print_outcome(outcome)
        if outcome.reason.exit_code:
            return outcome.reason.exit_code
        outcomes.append(outcome)
    tests = [_tests_of(outcome) for outcome in outcomes]
    for line in seed_lines(tests):
        print(line)
    write_json(
        outcomes[0].folder.path.parent / f"{request.run_name}_seeds.json",
        {
            "runs": [outcome.folder.name for outcome in outcomes],
            "tests": [[to_plain(metrics) for metrics in run] for run in tests],
        },
    )
    return 0


def seed_lines(tests: Sequence[Sequence[RetrievalMetrics]]) -> list[str]:
    """Return mean ± standard deviation over seeds of each test score, and a LaTeX row; percent.

    Args:
        tests: per seed, the scores of its test sets in one order.
    """
    lines = []
    for scores in zip(*tests, strict=True):
        maps, firsts = [100 * score.mAP for score in scores], [100 * score.cmc["1"] for score in scores]
        means = [f"{statistics.mean(values):.1f} ± {_deviation(values):.1f}" for values in (maps, firsts)]
        lines.append(
            f"{scores[0].dataset} test, {len(scores)} seeds: mAP {means[0]}  rank-1 {means[1]} (mean ± standard deviation, %)"
        )
        if any(score.chosen_on_it for score in scores):
            lines.append("The best epochs were chosen on this test set: optimistic, not to be compared with published numbers.")
        lines.append("LaTeX: " + " & ".join(f"${mean.replace('±', chr(92) + 'pm')}$" for mean in means) + r" \\")
    return lines


def _train_or_go_on(request: TrainRequest, *, chosen_name: str) -> TrainOutcome:
    place = output_dir(load(request.config_file, request.overrides).config)
    own = run_folder(place, request.run_name)
    folder = run_folder(place, f"{request.run_name}_refit") if request.refit else own
    going_on = replace(request, resume=has_checkpoint(folder) and not request.restart)
    if not request.refit:
        return run_training(going_on)
    return run_refit(going_on, chosen_name=request.run_name if is_run_folder(own.path) else chosen_name)


def _tests_of(outcome: TrainOutcome) -> tuple[RetrievalMetrics, ...]:
    if outcome.tests:
        return outcome.tests
    from unplateau.runs.record import from_plain

    return tuple(from_plain(RetrievalMetrics, plain) for plain in read_run(outcome.folder.path).info.get("test", []))


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else float("nan")
