"""One round of a fault: a run that is troubled, what is looked at afterwards, and the run going on to its end.

What must hold after every fault: the process ends within its limit and prints no traceback; the reason it leaves is a right
one; the epochs it had finished, and its best model, are those of the undisturbed run; and the run that goes on ends where the
undisturbed run ended, bit for bit.
"""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from benchmarks.faults.forked import Forked
from benchmarks.faults.injecting import Plant
from benchmarks.faults.kill_and_resume import differences, digest
from unplateau.base.files import read_json, read_json_lines
from unplateau.engine.checkpoint import has_checkpoint, last_saved_epoch
from unplateau.runs.layout import RunFolder
from unplateau.runs.reader import read_stop
from unplateau.runs.writer import latest_by_epoch
from unplateau.testing.small_market import Lab, without_times
from unplateau.workflows.training.start import decide_start, read_config
from unplateau.workflows.training.train import run_training

LIMIT_SECONDS = 120.0  # a training takes a second; a busy machine may make it twenty
STEPS_PER_EPOCH, EPOCHS = 6, 4
RECIPES = {
    "Adam": "",
    "SGD, EMA": "SOLVER.OPT SGD SOLVER.BASE_LR 0.05 SOLVER.EMA.ENABLED True",
    "augmented, cosine": "INPUT.REA.ENABLED True INPUT.CJ.ENABLED True SOLVER.SCHED CosineAnnealingLR",
}
_LENGTH = f"SOLVER.MAX_EPOCH {EPOCHS} SOLVER.STEPS [2] SOLVER.EARLY_STOP_PATIENCE 0"


@dataclass(frozen=True)
class Played:
    """What was done to a run, and what its process ended with."""

    how: str
    code: int | None
    """Exit code; None = it had not ended at its limit, and was killed."""
    said: str
    expected: tuple[str, ...]
    """Stopping reasons that are right; "" = none could be written, so the next start writes "killed"."""
    problems: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    """Names of files that the fault has damaged."""
    is_checked: bool = False
    """The fault has looked at all of it itself."""


@dataclass(frozen=True)
class Fault:
    """A kind of fault, and how one of them is played."""

    name: str
    what: str
    """For the table."""
    play: Callable[["Stage"], Played]
    needs_root: bool = False
    """And Linux."""
    every: int = 1
    """Is played in one round of so many; the dear ones seldom."""


@dataclass(frozen=True)
class Outcome:
    """One round, as it is written down."""

    fault: str
    round: int
    recipe: str
    how: str
    reason: str
    problems: tuple[str, ...]
    seconds: float = 0.0


@dataclass
class Stage:
    """A place for one round."""

    lab: Lab
    name: str
    recipe: str
    rng: random.Random
    whole: str
    """Name of the undisturbed run."""
    others: dict[str, str] = field(default_factory=dict)
    """Overrides that say how images are read or where files go, and change no result."""
    must_say: tuple[str, ...] = ()
    """What the run that goes on has to tell on the console."""
    goes_on: Callable[[], int | None] | None = None
    """Takes the run to its end, where that is not a process alone; returns its exit code."""

    @property
    def folder(self) -> RunFolder:
        return self.lab.folder(self.name)

    @property
    def whole_folder(self) -> RunFolder:
        return self.lab.folder(self.whole)

    @property
    def overrides(self) -> str:
        return " ".join([_LENGTH, RECIPES[self.recipe], *(f"{key} {value}" for key, value in self.others.items())])

    def start(self, plant: Plant | None = None, *, label: str = "troubled") -> Forked:
        """Begin or go on with the run in a process of its own, with a fault planted in it."""
        resume = self.folder.config.exists()
        request = replace(self.lab.request(self.name, self.overrides, resume=resume), is_quiet=False)

        def act(tell: Callable[[], None]) -> int:
            torch.set_num_threads(1)
            logging.getLogger("unplateau").setLevel(logging.NOTSET)  # as the command line has it: warnings are printed
            if plant is not None:
                plant(tell)
            return run_training(request).reason.exit_code

        output = self.lab.place / f"{self.name}_{label}.txt"
        return Forked(act, output)

    def ends(self, process: Forked, how: str, expected: tuple[str, ...]) -> Played:
        """Wait for a process within the limit and say how it ended."""
        code = process.wait(LIMIT_SECONDS)
        process.end()
        return Played(how, code, process.said(), expected)


def problems_of(stage: Stage, played: Played) -> tuple[str, list[str]]:
    """Return the reason that was left, and all that is not as it must be; then the run has been taken to its end."""
    problems = list(played.problems)
    if played.code is None:
        problems.append(f"had not ended after {LIMIT_SECONDS:g} s")
    if played.code == 70 or "Traceback" in played.said:
        problems.append("a traceback was printed: " + " | ".join(played.said.strip().splitlines()[-2:]))
    reason = "unreadable"
    try:
        reason = _reason(stage, played, problems)
        problems += _intact(stage, played.damaged)
        problems += _goes_on(stage)
    except Exception as error:  # noqa: BLE001 - a file that is missing or cannot be read is what is looked for
        problems.append(f"{type(error).__name__}: {error}")
    return reason, problems


def _reason(stage: Stage, played: Played, problems: list[str]) -> str:
    stop = read_stop(stage.folder)
    reason = stop.code if stop is not None else ""
    if reason not in played.expected:
        problems.append(f"left the reason {reason or 'none'!r}, expected {' or '.join(map(repr, played.expected))}")
    if stop is not None and played.code is not None and played.code >= 0 and played.code != stop.exit_code:
        problems.append(f"left with {played.code}, its reason says {stop.exit_code}")
    if stop is None and has_checkpoint(stage.folder):
        request = stage.lab.request(stage.name, stage.overrides, resume=True)
        decide_start(request, read_config(request))
        written = read_stop(stage.folder)
        if written is None or written.code != "killed":
            problems.append("the next start did not write that it was killed")
        reason = "killed, written by the next start"
    return reason or "none: nothing was finished"


def _intact(stage: Stage, damaged: tuple[str, ...]) -> list[str]:
    """What was finished is there, and the same as in the undisturbed run."""
    problems, folder = [], stage.folder
    whole = without_times(read_json(stage.whole_folder.history)["epochs"])
    epochs = without_times(latest_by_epoch(read_json_lines(folder.metrics)))
    if folder.metrics.name in damaged:
        epochs = whole  # a line of it is gone, which the run that goes on has to notice
    if epochs != whole[: len(epochs)]:
        problems.append(f"the {len(epochs)} epochs recorded are not those of the undisturbed run")
    if len(epochs) < last_saved_epoch(folder):
        problems.append("an epoch that is saved is not recorded")
    for path in (folder.best_model, folder.final_model):
        if path.exists() and path.name not in damaged:
            digest(path)
    for path in folder.path.glob("*.json"):
        if path.name not in damaged:
            read_json(path)
    return problems


def _goes_on(stage: Stage) -> list[str]:
    """Take the run to its end, and compare."""
    for attempt in range(2):
        code, said = _one_more(stage, attempt)
        if code != 0:
            return [f"going on ended with {code}: {' | '.join(said.strip().splitlines()[-3:])}"]
        if attempt == 0 and (unsaid := [words for words in stage.must_say if words not in said]):
            return [f"going on said nothing of {unsaid}"]
    # the second start finds a finished run, and must leave it alone
    problems = [f"differs from the undisturbed run: {name}" for name in differences(stage.whole_folder, stage.folder)]
    missing = [path.name for path in stage.whole_folder.path.iterdir() if not (stage.folder.path / path.name).exists()]
    return problems + ([f"lacks {', '.join(missing)}"] if missing else [])


def _one_more(stage: Stage, attempt: int) -> tuple[int | None, str]:
    if stage.goes_on is not None:
        return stage.goes_on(), ""
    process = stage.start(label=f"goes_on_{attempt}")
    code = process.wait(LIMIT_SECONDS)
    process.end()
    return code, process.said()


def run_whole(lab: Lab, recipe: str, name: str) -> None:
    """Do the undisturbed run that others are compared with."""
    stage = Stage(lab, name, recipe, random.Random(0), name)
    process = stage.start()
    if process.wait(LIMIT_SECONDS) != 0:
        raise SystemExit(f"the undisturbed run of {recipe} ended with {process.wait(0)}:\n{process.said()}")
