"""Faults while a run trains: kills, signals, numbers that break, memory that ends, clocks that jump, files held open."""

import os
import signal
import time
from collections.abc import Callable

from benchmarks.faults import injecting
from benchmarks.faults.stage import EPOCHS, LIMIT_SECONDS, STEPS_PER_EPOCH, Fault, Played, Stage

_DYING = 0.03  # seconds after the moment within which a kill comes
_STEPS = STEPS_PER_EPOCH * EPOCHS
_UNWRITTEN = ("",)
_LAST_STEPS = ("", "completed")


def _killed_after(place: str, most: int, seconds: float = _DYING) -> Callable[[Stage], Played]:
    """SIGKILL from outside, a random while after a place of the run was reached."""

    def play(stage: Stage) -> Played:
        count, delay = stage.rng.randint(1, most), stage.rng.uniform(0, seconds)

        def plant(tell: Callable[[], None]) -> None:
            injecting.at_place(place, count, lambda *_: tell())

        process = stage.start(plant)
        process.hears(LIMIT_SECONDS)
        time.sleep(delay)
        process.send(signal.SIGKILL)
        return stage.ends(process, f"{delay * 1000:.0f} ms after {place} {count} began", _LAST_STEPS)

    return play


def _killed_while_starting(stage: Stage) -> Played:
    delay = stage.rng.uniform(0, 0.25)
    process = stage.start()
    time.sleep(delay)
    process.send(signal.SIGKILL)
    return stage.ends(process, f"{delay * 1000:.0f} ms after its start", _UNWRITTEN)


def _killed_at_a_file(stage: Stage) -> Played:
    """SIGKILL at an operation on a file of the run: opening for writing, renaming, linking, removing."""
    number = stage.rng.randint(1, _operations(stage))
    process = stage.start(
        lambda _: injecting.at_file_operation(stage.folder.path, number, lambda: os.kill(os.getpid(), signal.SIGKILL)) and None
    )
    return stage.ends(process, f"at operation {number} on its files", _LAST_STEPS)


def _operations(stage: Stage) -> int:
    """Return how many operations on files an undisturbed run of this recipe does; counted once, in a run of its own."""
    note = stage.lab.place / f"operations_{stage.whole}.txt"
    if not note.exists():
        twin = Stage(stage.lab, f"{stage.whole}_counted", stage.recipe, stage.rng, stage.whole)

        def plant(_: Callable[[], None]) -> None:
            count = injecting.at_file_operation(twin.folder.path, 0, lambda: None)
            injecting.before(os, "_exit", 1, lambda *_: note.write_text(str(count())))

        twin.ends(twin.start(plant), "", ())
    return int(note.read_text())


def _killed_in_a_torn_line(stage: Stage) -> Played:
    epoch = stage.rng.randint(1, EPOCHS)
    process = stage.start(lambda _: injecting.torn_line(epoch, lambda: os.kill(os.getpid(), signal.SIGKILL)))
    return stage.ends(process, f"in the middle of the line of epoch {epoch}", _UNWRITTEN)


def _signalled(numbers: tuple[signal.Signals, ...], reason: str) -> Callable[[Stage], Played]:
    """Signals at a random moment of the steps before the last epoch."""

    def play(stage: Stage) -> Played:
        step, delay = stage.rng.randint(1, _STEPS - STEPS_PER_EPOCH), stage.rng.uniform(0, _DYING)
        process = stage.start(lambda tell: injecting.at_step(step, lambda *_: tell()))
        process.hears(LIMIT_SECONDS)
        for number in numbers:
            time.sleep(delay)
            process.send(number)
        return stage.ends(process, f"{delay * 1000:.0f} ms after step {step} began", (reason, "completed"))

    return play


def _signalled_at_the_end(stage: Stage) -> Played:
    """Ctrl+C twice while the end is written: it is too late to stop, and too early to leave."""
    delay, between = stage.rng.uniform(0, 0.1), stage.rng.uniform(0, 0.05)
    process = stage.start(lambda tell: injecting.at_place("end", 1, lambda *_: tell()))
    process.hears(LIMIT_SECONDS)
    for pause in (delay, between):
        time.sleep(pause)
        process.send(signal.SIGINT)
    return stage.ends(process, f"{delay * 1000:.0f} ms after the last epoch", ("completed", "interrupted"))


def _nan(stage: Stage) -> Played:
    step = stage.rng.randint(1, _STEPS)
    return stage.ends(stage.start(lambda _: injecting.at_step(step, injecting.poison)), f"at step {step}", ("diverged",))


def _out_of_memory(stage: Stage) -> Played:
    step = stage.rng.randint(1, _STEPS)
    process = stage.start(lambda _: injecting.at_step(step, injecting.out_of_memory))
    return stage.ends(process, f"at step {step}", ("out-of-memory", "completed"))


def _clock(stage: Stage) -> Played:
    """The clock jumps while it trains, and it is killed."""
    step = stage.rng.randint(1, _STEPS)

    def plant(tell: Callable[[], None]) -> None:
        injecting.jumping_clock(stage.rng)
        injecting.at_step(step, lambda *_: os.kill(os.getpid(), signal.SIGKILL))

    return stage.ends(stage.start(plant), f"clock jumps, killed at step {step}", _UNWRITTEN)


def _clock_alone(stage: Stage) -> Played:
    return stage.ends(stage.start(lambda _: injecting.jumping_clock(stage.rng)), "at every look", ("completed",))


def _held_open(stage: Stage) -> Played:
    return stage.ends(stage.start(lambda _: injecting.held_open(stage.rng, 3)), "one time in five, up to 3 times", ("completed",))


IN_TRAINING = (
    Fault("kill-start", "SIGKILL while it starts", _killed_while_starting),
    Fault("kill-training", "SIGKILL in a step", _killed_after("step", _STEPS)),
    Fault("kill-validation", "SIGKILL in a validation", _killed_after("validation", EPOCHS)),
    Fault("kill-checkpoint", "SIGKILL while a checkpoint is written", _killed_after("checkpoint", EPOCHS, 0.01)),
    Fault("kill-report", "SIGKILL while the report is written", _killed_after("report", EPOCHS, 0.02)),
    Fault("kill-last-report", "SIGKILL while the last report is written", _killed_after("last report", 1, 0.15)),
    Fault("kill-end", "SIGKILL while the end is written, the test set being scored", _killed_after("end", 1, 0.15)),
    Fault("kill-file", "SIGKILL at any opening, renaming, linking or removing of its files", _killed_at_a_file),
    Fault("torn-line", "SIGKILL in the middle of a line of metrics.jsonl", _killed_in_a_torn_line),
    Fault("sigterm", "SIGTERM", _signalled((signal.SIGTERM,), "preempted")),
    Fault("ctrl-c", "Ctrl+C once", _signalled((signal.SIGINT,), "interrupted")),
    Fault("ctrl-c-twice", "Ctrl+C twice", _signalled((signal.SIGINT, signal.SIGINT), "interrupted")),
    Fault("ctrl-c-end", "Ctrl+C twice while the end is written", _signalled_at_the_end),
    Fault("nan", "a weight becomes NaN", _nan),
    Fault("out-of-memory", "out of memory in a step (injected)", _out_of_memory),
    Fault("clock", "the wall clock jumps by up to a month at every look", _clock_alone),
    Fault("clock-kill", "the same, and SIGKILL", _clock),
    Fault(
        "held-open",
        "Windows' rule: a file that is open is not replaced, removed or added to (PermissionError, injected)",
        _held_open,
    ),
)
