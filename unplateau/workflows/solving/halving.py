"""Trains the runs of `run_solutions` in rounds: a slice each, the better part goes on, the others stay frozen, resumable.

Which run is trained how far, `unplateau.selection.halving` decides from the run folders alone, anew before every training, so a
launcher that was killed goes on where it stood. Here those decisions are carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from unplateau.base.errors import ConfigError, UsageError
from unplateau.config.delta import difference, with_values
from unplateau.config.load import load
from unplateau.report.solutions_console import SolutionsConsole
from unplateau.report.solutions_rounds import dropped_reason, round_lines
from unplateau.report.text import stopping_reason_text
from unplateau.runs.reader import read_run, read_stop
from unplateau.runs.writer import RunWriter
from unplateau.selection.halving import Contender, Plan, Round, Standings, epochs_ahead, standings
from unplateau.workflows.solving.solution_runs import PlannedRun, epochs_of, standing_of

STOP_EPOCH = "SOLVER.STOP_EPOCH"
_SECTIONS_OF_SCORING = ("VALIDATION.", "DATASETS.", "TEST.")

Train = Callable[[PlannedRun], bool]
"""Trains one run as it is configured; False where it was asked to stop."""


def refuse_unlike(runs: Sequence[PlannedRun]) -> None:
    """Refuse runs whose scores cannot be compared, because they are scored on other data or otherwise.

    Raises:
        UsageError: there is one.
    """
    usable = [run for run in runs if run.config is not None]
    for run in usable[1:]:
        assert run.config is not None and usable[0].config is not None  # chosen so above
        keys = [key for key in difference(usable[0].config, run.config) if key.startswith(_SECTIONS_OF_SCORING)]
        if keys:
            raise UsageError(
                f"--halving compares the runs while they train, and {run.name} is scored otherwise than {usable[0].name} "
                f"({', '.join(keys)}). Give all of them the same, or leave --halving out."
            )


def train_in_rounds(runs: Sequence[PlannedRun], plan: Plan, console: SolutionsConsole, train: Train) -> Standings | None:
    """Train what the plan asks for, round by round. Return where it ended, or None where it was interrupted."""
    by_name, gave_up, announced = {run.name: run for run in runs}, set[str](), 0
    while True:
        contenders = contenders_of(runs, gave_up)
        now = standings(plan, contenders)
        for done in now.rounds[announced:]:
            _close(done, by_name, console)
        announced = max(announced, len(now.rounds))
        if not now.to_train:
            return now
        title = f"round {now.open_round} of {now.num_rounds}"
        console.begin_round(title, dict(now.to_train), later_epochs=epochs_ahead(plan, contenders))
        name, goal = now.to_train[0]
        run = at_slice(by_name[name], goal)
        if not standing_of(run).action:  # nothing can be done for it
            gave_up.add(name)
            continue
        if not train(run):
            return None
        stop = read_stop(run.folder)
        is_paused = stop is not None and stop.code == "paused"
        if not is_paused or stop is None or stop.epochs_trained < goal:  # it failed, or ended before the slice did
            gave_up.add(name)


def at_slice(run: PlannedRun, goal: int) -> PlannedRun:
    """Return the run as it is configured for a slice that ends after epoch `goal`; its last slice is the run as it is."""
    assert run.config is not None  # a run without a configuration is never trained
    if goal >= epochs_of(run):
        return replace(run, overrides=(STOP_EPOCH, str(run.config.SOLVER.STOP_EPOCH)))
    return replace(run, config=with_values(run.config, {STOP_EPOCH: goal}), overrides=(STOP_EPOCH, str(goal)))


def slice_end(run: PlannedRun) -> str:
    """Return that a run waits at the end of its slice, in words; empty where it does not."""
    stop = read_stop(run.folder) if run.overrides else None
    is_waiting = stop is not None and stop.code == "paused"
    return f"waits after epoch {stop.epochs_trained}" if stop is not None and is_waiting else ""


def contenders_of(runs: Sequence[PlannedRun], gave_up: set[str] | frozenset[str] = frozenset()) -> list[Contender]:
    """Return the runs as the rounds see them, from their folders. `gave_up`: runs that are not tried again this time."""
    return [_contender(run, run.name in gave_up) for run in runs]


def _contender(run: PlannedRun, has_given_up: bool) -> Contender:
    if run.config is None:
        return Contender(run.name, 1, 0, {}, is_over=True)
    every, folder = run.config.TEST.EVAL_PERIOD, run.folder
    stop, standing = read_stop(folder), standing_of(_as_stored(run))
    if standing.state in ("waiting", "changed") or not folder.metrics.exists():  # an older run of that name does not count
        return Contender(run.name, epochs_of(run), 0, {}, is_over=has_given_up, validates_every=every)
    epochs = read_run(folder.path).epochs
    maps = {epoch.epoch: epoch.validation.mAP for epoch in epochs if epoch.validation is not None}
    trained = epochs[-1].epoch if epochs else 0
    is_over = has_given_up or (not standing.action and (stop is None or stop.code != "paused"))
    if stop is None and trained and not has_given_up:  # it was broken off: its last epoch counts when its end is written
        trained -= 1
    return Contender(run.name, epochs_of(run), trained, maps, is_over=is_over, validates_every=every)


def _as_stored(run: PlannedRun) -> PlannedRun:
    """The run with the slice its folder was last trained for, so that only what matters differs from what is asked for."""
    assert run.config is not None  # the caller looked
    try:
        stored = load(run.folder.config).config.SOLVER.STOP_EPOCH
    except (ConfigError, OSError):  # not begun, or written by another version; the training itself says what is wrong
        return run
    return replace(run, config=with_values(run.config, {STOP_EPOCH: stored}))


def _close(done: Round, by_name: dict[str, PlannedRun], console: SolutionsConsole) -> None:
    """Say what a round decided, and write it into the folders of those that were dropped."""
    for line in round_lines(done):
        console.say(line)
    for placed in done.dropped:
        console.set_state(placed.name, f"dropped in round {done.number}")
        _write_dropped(by_name[placed.name], done)


def _write_dropped(run: PlannedRun, done: Round) -> None:
    stop = read_stop(run.folder) if run.config is not None else None
    if run.config is None or stop is None or stop.code != "paused":  # its own reason says more
        return
    reason = dropped_reason(stop, run.name, done)
    if reason == stop:
        return
    notes = read_run(run.folder.path).info.get("notes", [])
    RunWriter(run.folder).stop(reason, stopping_reason_text(reason, run.config, caveats=[str(note) for note in notes]))
