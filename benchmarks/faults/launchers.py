"""A search and a round of solutions on the drawn data, their trainings forked instead of started anew."""

import contextlib
import os
import shlex
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.faults.forked import Forked
from unplateau.base.files import read_json, read_json_lines
from unplateau.cli.main import main
from unplateau.runs.writer import latest_by_epoch
from unplateau.search.executors import local
from unplateau.testing.small_market import Lab, without_times
from unplateau.workflows.searching import search
from unplateau.workflows.solving import run_solutions

LIMIT_SECONDS = 240.0
_PIDS = "pids.txt"
_LENGTH = ("SOLVER.MAX_EPOCH", "4", "SOLVER.STEPS", "[2]", "SOLVER.EARLY_STOP_PATIENCE", "0")
_SOLUTIONS = {
    "slower": "SOLVER: {BASE_LR: 0.001}",
    "faster": "SOLVER: {BASE_LR: 0.01}",
    "heavier": "MODEL: {LOSSES: {TRI: {SCALE: 2.0}}}",
}


@dataclass(frozen=True)
class Launched:
    """How a launcher ended."""

    code: int | None
    said: str
    seconds: float


class ForkedChild:
    """Stands in for `ChildProcess`: the same command, in a fork of the launcher."""

    def __init__(
        self, command: Sequence[str], output: Path, *, environment: Mapping[str, str] | None = None, folder: Path | None = None
    ) -> None:
        words = list(command[command.index("unplateau.cli.main") + 1 :])
        output.parent.mkdir(parents=True, exist_ok=True)

        def act(_: Callable[[], None]) -> int:
            torch.set_num_threads(1)
            os.environ.update(environment or {})
            main(words)
            return 0

        self._forked = Forked(act, output)
        with (output.parent / _PIDS).open("a", encoding="utf-8") as stream:
            stream.write(f"{self._forked.pid}\n")

    @property
    def pid(self) -> int:
        return self._forked.pid

    def wait(self, seconds: float) -> int | None:
        return self._forked.wait(seconds)

    def ask_to_stop(self) -> None:
        self._forked.send(signal.SIGINT)

    def kill(self) -> None:
        self._forked.send(signal.SIGKILL)
        self._forked.wait(10)

    def last_words(self) -> str:
        return self._forked.said()[-300:]


def launch(kind: str, lab: Lab, folder: Path, *, kill_after: float | None = None, kills_trainings: bool = False) -> Launched:
    """Start a launcher and let it end, or kill it after some seconds; one that has ended before ends again at once."""
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    note = folder.parent / f"{folder.name}_seconds.txt"
    words = _words(kind, lab, folder)

    def act(_: Callable[[], None]) -> int:
        torch.set_num_threads(1)
        local.ChildProcess = ForkedChild  # type: ignore[misc]
        run_solutions.TrainProcess = ForkedChild  # type: ignore[misc]
        search._LOOK_EVERY_SECONDS = run_solutions._LOOK_EVERY_SECONDS = 0.05
        main(words)
        return 0

    process = Forked(act, folder.parent / f"{folder.name}_said.txt")
    code = process.wait(LIMIT_SECONDS if kill_after is None else kill_after)
    process.send(signal.SIGKILL)
    process.wait(10)
    if kills_trainings or code is None and kill_after is None:
        _kill_trainings(folder)
    seconds = time.monotonic() - started
    if kill_after is None and code == 0 and not note.exists():
        note.write_text(f"{seconds:.2f}", encoding="utf-8")
    return Launched(code, process.said(), float(note.read_text()) if note.exists() else seconds)


def differences_of_launched(kind: str, whole: Path, folder: Path) -> list[str]:
    """Return what a launcher that was killed left otherwise than one that was left alone."""
    problems = []
    for run in sorted(path.parent.name for path in whole.glob("*/metrics.jsonl")):
        curves = [latest_by_epoch(read_json_lines(place / run / "metrics.jsonl")) for place in (whole, folder)]
        if without_times(curves[0]) != without_times(curves[1]):
            problems.append(f"{run}: {len(curves[1])} epochs that differ from the {len(curves[0])} of the undisturbed one")
    problems += [f"{path.relative_to(folder)} is left over" for path in sorted(folder.rglob(".*.part"))]
    extra = {path.parent.name for path in folder.glob("*/metrics.jsonl")} - {
        path.parent.name for path in whole.glob("*/metrics.jsonl")
    }
    problems += [f"{run} is one too many" for run in sorted(extra)]
    if kind == "search":
        records = [read_json(place / "search.json") for place in (whole, folder)]
        numbers = [[trial["number"] for trial in record["trials"]] for record in records]
        if numbers[0] != numbers[1] or records[0]["winner"] != records[1]["winner"]:
            problems.append("its trials or its winner are others")
    elif not (folder / "BEST_MODEL_SELECTION.txt").exists():
        problems.append("BEST_MODEL_SELECTION.txt is missing")
    return problems


def _words(kind: str, lab: Lab, folder: Path) -> list[str]:
    place = ["--output-dir", str(folder), "--quiet", "--no-test"]
    if kind == "search":
        return [
            "find-best",
            "--base-config",
            str(lab.recipe),
            *place,
            "--max-trials",
            "4",
            "--first-rung",
            "1",
            "--workers",
            "1",
            *_LENGTH,
        ]
    solutions = lab.place / "solutions"
    if not solutions.exists():
        solutions.mkdir()
        for number, (name, changes) in enumerate(_SOLUTIONS.items(), start=1):
            (solutions / f"solution_{number}_{name}.yml").write_text(
                f"_BASE_: {lab.recipe.as_posix()}\n{changes}\n", encoding="utf-8"
            )
    return [
        "run-solutions",
        str(solutions),
        *place,
        "--control",
        str(lab.recipe),
        "--halving",
        "--halving-plan",
        "half",
        *_LENGTH,
    ]


def _kill_trainings(folder: Path) -> None:
    """Kill what the launchers of this folder have started, by the numbers they wrote down."""
    notes = folder / "launcher" / _PIDS
    for word in shlex.split(notes.read_text(encoding="utf-8")) if notes.exists() else []:
        with contextlib.suppress(ProcessLookupError, OSError):
            if str(folder).encode() in _open_files(int(word)):  # the number may be another's by now
                os.kill(int(word), signal.SIGKILL)
    if notes.exists():
        notes.unlink()


def _open_files(pid: int) -> bytes:
    return b" ".join(os.fsencode(os.readlink(link)) for link in Path(f"/proc/{pid}/fd").iterdir())
