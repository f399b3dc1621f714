"""Faults planted in a process that has just been forked, before its training starts. Nothing is put back: the process ends."""

import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from unplateau.engine import loop
from unplateau.engine.checkpoint import CheckpointStore
from unplateau.runs import writer
from unplateau.workflows.reporting.live_report import LiveReport
from unplateau.workflows.training import ending

Plant = Callable[[Callable[[], None]], None]
"""Plants a fault; is given the function that tells the harness that the moment has come."""

_WRITING = ("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.truncate", "shutil.copyfile")


def before(owner: Any, name: str, count: int, act: Callable[..., None]) -> None:
    """Call `act` with the arguments before the count-th call of a function, counted from 1."""
    true, calls = getattr(owner, name), itertools.count(1)

    def planted(*arguments: Any, **settings: Any) -> Any:
        if next(calls) == count:
            act(*arguments)
        return true(*arguments, **settings)

    setattr(owner, name, planted)


def at_step(step: int, act: Callable[..., None]) -> None:
    """Act before a training step, counted from 1 in this process; preflight's do not count. `act` gets parts and batch."""
    before(loop, "train_step", step, act)


def at_place(place: str, count: int, act: Callable[..., None]) -> None:
    """Act at the beginning of the count-th "validation", "checkpoint", "report", "last report" or "end" of this process."""
    owner, name = {
        "step": (loop, "train_step"),
        "validation": (loop, "_validate"),
        "checkpoint": (CheckpointStore, "save"),
        "report": (LiveReport, "epoch"),
        "last report": (ending, "write_safely"),
        "end": (ending, "_save_models"),
    }[place]
    before(owner, name, count, act)


def at_file_operation(folder: Path, number: int, act: Callable[[], None]) -> Callable[[], int]:
    """Act at the number-th opening for writing, renaming, linking or removing below a folder; return a counter of them."""
    counted, inside = [0], str(folder)

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _WRITING or not any(str(one).startswith(inside) for one in arguments[:2] if isinstance(one, str | Path)):
            return
        if event == "open" and not _is_writing(arguments):
            return
        counted[0] += 1
        if counted[0] == number:
            act()

    sys.addaudithook(look)
    return lambda: counted[0]


def _is_writing(arguments: tuple[Any, ...]) -> bool:
    flags = arguments[2] if len(arguments) > 2 and isinstance(arguments[2], int) else 0
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def poison(parts: Any, *_: Any) -> None:
    """Make one weight NaN."""
    with torch.no_grad():
        next(parts.model.parameters()).fill_(float("nan"))


def out_of_memory(*_: Any) -> None:
    """As an allocator that has nothing left."""
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB (injected).")


def torn_line(epoch: int, killed: Callable[[], None]) -> None:
    """Write half of an epoch's line into `metrics.jsonl`, then be killed."""

    def half(path: Path, value: dict[str, Any]) -> None:
        text = str(value)[: len(str(value)) // 2].replace("'", '"')
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
        killed()

    true = writer.append_json_line
    setattr(writer, "append_json_line", lambda path, value: (half if value.get("epoch") == epoch else true)(path, value))  # noqa: B010


def held_open(rng: Any, most_refusals: int) -> None:
    """As on Windows: what is to be done with a file is refused a few times, because another program has it open.

    One in five replacements, removals and openings to add to a file.
    """
    for name in ("replace", "unlink", "open"):
        _refuse_now_and_then(name, rng, most_refusals)


def _refuse_now_and_then(name: str, rng: Any, most_refusals: int) -> None:
    true = getattr(Path, name)
    left = {number: rng.randint(1, most_refusals) for number in range(400) if rng.random() < 0.2}
    count = [0]

    def refusing(self: Path, *arguments: Any, **settings: Any) -> Any:
        is_meant = self.exists() if name == "unlink" else name == "replace" or ("a+b" in arguments and self.name != ".lock")
        if not is_meant:
            return true(self, *arguments, **settings)
        if left.get(count[0], 0) > 0:
            left[count[0]] -= 1
            raise PermissionError(13, "The process cannot access the file because it is being used by another process")
        count[0] += 1
        return true(self, *arguments, **settings)

    setattr(Path, name, refusing)


def jumping_clock(rng: Any) -> None:
    """The wall clock jumps by up to a month at every look, back or forth; the monotonic clock does not."""
    import time

    true, month = time.time, 30 * 86400.0
    setattr(time, "time", lambda: true() + rng.uniform(-month, month))  # noqa: B010
