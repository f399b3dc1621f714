"""Faults of several processes: a name that is taken, a pair that loses one, a search and a halving whose launcher is killed."""

import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.faults import injecting
from benchmarks.faults.forked import Forked
from benchmarks.faults.launchers import Launched, differences_of_launched, launch
from benchmarks.faults.stage import EPOCHS, LIMIT_SECONDS, STEPS_PER_EPOCH, Fault, Played, Stage

_STEPS = STEPS_PER_EPOCH * EPOCHS
_PAIR_WHOLE = "whole_pair"


def _second_of_the_name(stage: Stage) -> Played:
    """While one trains, another is started under the same name; it must be refused, and the first one not disturbed."""
    step = stage.rng.randint(1, _STEPS)
    first = stage.start(lambda tell: injecting.at_step(step, lambda *_: tell()))
    first.hears(LIMIT_SECONDS)
    second = stage.start(label="second")
    code = second.wait(LIMIT_SECONDS)
    second.end()
    refused = code == 2 and "another process" in second.said()
    played = stage.ends(first, f"a second one at step {step}", ("completed",))
    return replace(played, problems=() if refused else (f"the second was not refused: it ended with {code}",))


def _both_at_once(stage: Stage) -> Played:
    """Two are started at the same moment: one trains, the other is refused."""
    both = [stage.start(label="first"), stage.start(label="second")]
    codes = [one.wait(LIMIT_SECONDS) for one in both]
    for one in both:
        one.end()
    played = stage.ends(both[codes.index(0)] if 0 in codes else both[0], "two at the same moment", ("completed",))
    return replace(
        played, problems=() if sorted(map(str, codes)) == ["0", "2"] else (f"they ended with {codes}, expected 0 and 2",)
    )


def pair(stage: Stage, plants: tuple[injecting.Plant | None, injecting.Plant | None]) -> list[Forked]:
    """Start two processes that train one run together, each with its own fault."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])

    def with_rank(rank: int) -> injecting.Plant:
        def plant(tell: Callable[[], None]) -> None:
            os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
            own = plants[rank]
            if own is not None:
                own(tell)

        return plant

    return [stage.start(with_rank(rank), label=f"rank{rank}") for rank in range(2)]


def _one_of_a_pair_dies(stage: Stage) -> Played:
    """One of two distributed processes is killed; the other must not wait for it, and the pair goes on together."""
    whole = Stage(stage.lab, f"{_PAIR_WHOLE}_{stage.whole}", stage.recipe, stage.rng, f"{_PAIR_WHOLE}_{stage.whole}")
    if not whole.folder.final_model.exists():
        _wait_for_both(pair(whole, (None, None)))
    step, victim = stage.rng.randint(1, _STEPS), stage.rng.randint(0, 1)

    def kill(_: Callable[[], None]) -> None:
        injecting.at_step(step, lambda *_: os.kill(os.getpid(), signal.SIGKILL))

    processes = pair(stage, (kill, None) if victim == 0 else (None, kill))
    codes = _wait_for_both(processes)
    stage.whole = whole.name
    expected = ("",) if victim == 0 else ("error",)
    problems = [] if codes[1 - victim] in (1, 2) else [f"the one left ended with {codes[1 - victim]}, expected 1"]
    left = processes[1 - victim]
    if victim == 1 and "Another process of this training" not in stage.folder.log.read_text(encoding="utf-8"):
        problems.append("the reason does not say that the other process was lost")
    stage.goes_on = lambda: _wait_for_both(pair(stage, (None, None)))[0]
    how = f"rank {victim} killed at step {step}"
    return Played(how, codes[0] if victim == 1 else -signal.SIGKILL, left.said(), expected, tuple(problems))


def _wait_for_both(processes: list[Forked]) -> list[int | None]:
    codes = [process.wait(LIMIT_SECONDS) for process in processes]
    for process in processes:
        process.end()
    return codes


def _launcher_killed(kind: str) -> Callable[[Stage], Played]:
    """A launcher is killed at a random moment, every other time its trainings too, and started again until it ends."""

    def play(stage: Stage) -> Played:
        whole = Path(stage.lab.place / f"whole_{kind}")
        seconds = launch(kind, stage.lab, whole).seconds
        folder, problems, kills = stage.lab.place / "launched" / stage.name, [], []
        for kill in range(2):
            delay = stage.rng.uniform(0.1, seconds)
            launched = launch(kind, stage.lab, folder, kill_after=delay, kills_trainings=bool((stage.rng.random() < 0.5) or kill))
            kills.append(f"{delay:.1f} s")
        launched = _last(kind, stage, folder)
        if launched.code != 0 or "Traceback" in launched.said:
            problems.append(f"started again it ended with {launched.code}: {launched.said[-300:]}")
        problems += differences_of_launched(kind, whole, folder)
        return Played(
            f"launcher killed after {' and '.join(kills)}", launched.code, launched.said, (), tuple(problems), is_checked=True
        )

    return play


def _last(kind: str, stage: Stage, folder: Path) -> Launched:
    """Start it until it ends by itself; trainings of a killed launcher may still be at work."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while (launched := launch(kind, stage.lab, folder)).code == 2 and time.monotonic() < deadline:
        time.sleep(0.5)
    return launched


OF_PROCESSES: tuple[Fault, ...] = (
    Fault("same-name", "another training is started under the name of one that runs", _second_of_the_name),
    Fault("same-moment", "two trainings of one name are started at the same moment", _both_at_once),
    Fault("pair", "SIGKILL of one of two distributed processes (gloo)", _one_of_a_pair_dies),
    Fault(
        "kill-search",
        "SIGKILL of a search, twice, in half of the cases of its trainings too",
        _launcher_killed("search"),
        every=2,
    ),
    Fault("kill-halving", "SIGKILL of run-solutions --halving, twice, as above", _launcher_killed("halving"), every=2),
)
