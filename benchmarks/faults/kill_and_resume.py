"""Kills trainings at random moments with SIGKILL, resumes them, and compares them with the run that was left alone.

    python benchmarks/faults/kill_and_resume.py [--kills 20] [--seed 0] [--results benchmarks/results/kill_and_resume.md]

Each round starts the same run in a fresh process and kills it at a moment drawn evenly from its first line in the log to its
end, so within steps, validations, the writing of files and the scoring of the test set (one in ten while it still imports).
Some of the resumed processes are killed too; the last one may finish. Equal means: every tensor of both model files, every
metric of every epoch but the clock's, and the test scores.
"""

import argparse
import datetime
import hashlib
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))
from train_drawn import lab_in

from unplateau.base.files import read_json
from unplateau.runs.layout import RunFolder
from unplateau.testing.small_market import Lab, without_times

_RECIPES = {
    "Adam": (),
    "SGD, EMA": ("SOLVER.OPT", "SGD", "SOLVER.BASE_LR", "0.05", "SOLVER.EMA.ENABLED", "True"),
    "augmented, cosine": ("INPUT.REA.ENABLED", "True", "INPUT.CJ.ENABLED", "True", "SOLVER.SCHED", "CosineAnnealingLR"),
}
_EPOCHS = ("SOLVER.MAX_EPOCH", "20", "SOLVER.STEPS", "[10]", "SOLVER.EARLY_STOP_PATIENCE", "0")
_KILLS_WHILE_STARTING = 0.1
_MORE_KILLS = 0.3  # share of resumed processes that are killed again


@dataclass(frozen=True)
class Round:
    """One run that was killed at least once."""

    recipe: str
    kills: tuple[str, ...]
    differences: tuple[str, ...]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kill_and_resume_"))
    try:
        rounds = run_rounds(folder, num_kills=arguments.kills, seed=arguments.seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = table(rounds, arguments.seed)
    print(text)
    if arguments.results:
        arguments.results.parent.mkdir(parents=True, exist_ok=True)
        arguments.results.write_text(text, encoding="utf-8")
    return int(any(one.differences for one in rounds))


def run_rounds(folder: Path, *, num_kills: int, seed: int) -> list[Round]:
    """Kill processes until `num_kills` of them have died, spread over the recipes."""
    lab, rng = lab_in(folder), random.Random(seed)
    whole = {recipe: _uninterrupted(lab, recipe) for recipe in list(_RECIPES)[: max(1, min(num_kills, len(_RECIPES)))]}
    rounds: list[Round] = []
    while (left := num_kills - sum(len(one.kills) for one in rounds)) > 0:
        recipe = list(whole)[len(rounds) % len(whole)]
        rounds.append(_one_round(lab, recipe, whole[recipe], name=f"killed_{len(rounds)}", rng=rng, most_kills=left))
        print(f"{rounds[-1].recipe}: killed {', '.join(rounds[-1].kills)}; {_verdict(rounds[-1])}", file=sys.stderr)
    return rounds


def _uninterrupted(lab: Lab, recipe: str) -> tuple[str, float]:
    name = f"whole_{list(_RECIPES).index(recipe)}"
    process = subprocess.Popen(_command(lab, name, recipe), stdout=subprocess.DEVNULL)
    _wait_for_log(process, lab.folder(name), after_bytes=0)
    started = time.perf_counter()
    if process.wait(600):
        raise SystemExit(f"{name} ended with {process.returncode}")
    return name, time.perf_counter() - started


def _one_round(lab: Lab, recipe: str, whole: tuple[str, float], *, name: str, rng: random.Random, most_kills: int) -> Round:
    whole_name, seconds = whole
    kills: list[str] = []
    while len(kills) < most_kills and (not kills or rng.random() < _MORE_KILLS):
        is_starting = rng.random() < _KILLS_WHILE_STARTING
        moment = rng.uniform(0, seconds)
        if not _start_and_kill(lab, name, recipe, after_seconds=moment, is_starting=is_starting):
            break  # it had ended before
        kills.append(f"{moment:.2f} s {'of its imports ' if is_starting else ''}{_reached(lab.folder(name))}")
    _run_to_end(lab, name, recipe)
    return Round(recipe, tuple(kills), differences(lab.folder(whole_name), lab.folder(name)))


def _command(lab: Lab, name: str, recipe: str) -> list[str]:
    resume = ["--resume"] if (lab.folder(name).path / "config.yml").exists() else []
    script = str(Path(__file__).with_name("train_drawn.py"))
    return [sys.executable, script, str(lab.place), name, *resume, *_EPOCHS, *_RECIPES[recipe]]


def _start_and_kill(lab: Lab, name: str, recipe: str, *, after_seconds: float, is_starting: bool) -> bool:
    """Return whether the process was alive to be killed."""
    log = lab.folder(name).log
    size = log.stat().st_size if log.exists() else 0
    process = subprocess.Popen(_command(lab, name, recipe), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if not is_starting:
        _wait_for_log(process, lab.folder(name), after_bytes=size)
    try:
        process.wait(after_seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)  # on Windows that is a hard end too
        process.wait()
        return True
    return False


def _wait_for_log(process: subprocess.Popen[bytes], folder: RunFolder, *, after_bytes: int) -> None:
    while process.poll() is None and not (folder.log.exists() and folder.log.stat().st_size > after_bytes):
        time.sleep(0.01)


def _run_to_end(lab: Lab, name: str, recipe: str) -> None:
    done = subprocess.run(_command(lab, name, recipe), capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise SystemExit(f"{name} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")


def _reached(folder: RunFolder) -> str:
    if not folder.checkpoint_manifest.exists():
        return "(before the first checkpoint)"
    ended = ", its end written" if folder.stop_record.exists() else ""
    return f"(epoch {read_json(folder.checkpoint_manifest)['checkpoints'][-1]['epoch']} saved{ended})"


def differences(whole: RunFolder, killed: RunFolder) -> tuple[str, ...]:
    """Return what differs between two finished runs, by name; nothing where they are equal."""
    pairs: dict[str, tuple[Any, Any]] = {
        "best_model.pth": (digest(whole.best_model), digest(killed.best_model)),
        "model_final.pth": (digest(whole.final_model), digest(killed.final_model)),
        "metrics": _both(lambda folder: without_times(read_json(folder.history)["epochs"]), whole, killed),
        "test scores": _both(lambda folder: read_json(folder.model_info)["test"], whole, killed),
        "stopping reason": _both(lambda folder: read_json(folder.stop_record)["headline"], whole, killed),
        "leftovers": ([], sorted(path.name for path in killed.path.rglob("*.part"))),
    }
    return tuple(name for name, (one, other) in pairs.items() if one != other)


def _both(read: Any, whole: RunFolder, killed: RunFolder) -> tuple[Any, Any]:
    return read(whole), read(killed)


def digest(path: Path) -> str:
    """Return a SHA-256 over the names, types and bytes of every tensor of a model file."""
    result = hashlib.sha256()
    for name, tensor in sorted(torch.load(path, map_location="cpu", weights_only=True)["model"].items()):
        result.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        result.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return result.hexdigest()


def table(rounds: list[Round], seed: int) -> str:
    """Return the rounds as a page of Markdown."""
    num_spared = sum(not one.kills for one in rounds)  # they had ended before their moment came
    rounds = [one for one in rounds if one.kills]
    reached = [kill for one in rounds for kill in one.kills]
    num_early = sum("before the first checkpoint" in kill for kill in reached)
    num_late = sum("its end written" in kill for kill in reached)
    num_kills, num_equal = sum(len(one.kills) for one in rounds), sum(not one.differences for one in rounds)
    when = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    lines = [
        "# Killed and resumed",
        "",
        f"`python benchmarks/faults/kill_and_resume.py --kills {num_kills} --seed {seed}`, {when}, "
        f"Python {platform.python_version()}, torch {torch.__version__}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} processors, one thread.",
        "",
        f"{num_kills} kills (SIGKILL) in {len(rounds)} runs: **{num_equal} of {len(rounds)} runs equal the uninterrupted one** "
        "in every tensor of both model files, every metric of every epoch, and the test scores.",
        f"{num_early} kills came before the first checkpoint, {num_late} when the stopping reason was already written, the other "
        f"{num_kills - num_early - num_late} between. {num_spared} runs ended before their moment came and are left out.",
        "",
        "| run | recipe | killed | compared with the uninterrupted run |",
        "|---|---|---|---|",
    ]
    rows = [
        f"| {number} | {one.recipe} | {'; '.join(one.kills)} | {_verdict(one)} |" for number, one in enumerate(rounds, start=1)
    ]
    return "\n".join([*lines, *rows]) + "\n"


def _verdict(one: Round) -> str:
    return "equal" if not one.differences else "DIFFERS: " + ", ".join(one.differences)


if __name__ == "__main__":
    sys.exit(main())
