"""Stands in for the train command where only the search is tried: trains nothing, leaves run folders as a training does.

The held-out mAP depends on the configuration: best at a rate of 0.003 with a cosine, and growing with the epochs. A rate above
0.05 diverges, a batch above 100 is out of memory. `behaviour.json` in the working directory may hold {"seconds": of an epoch,
"kill": {name: epoch at which the process kills itself, once}, "refuse": [names]}.
"""

import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from unplateau.base.files import append_json_line, read_json_lines, write_json
from unplateau.base.locks import FileLock
from unplateau.config.delta import to_yaml
from unplateau.config.load import load
from unplateau.runs.layout import RunFolder
from unplateau.runs.reader import read_run
from unplateau.runs.record import EpochRecord, RetrievalMetrics, StopReason
from unplateau.runs.writer import RunWriter

IDENTITIES = 20
_PERSONS_Q = np.repeat(np.arange(IDENTITIES), 3)
_asked: list[int] = []


def skill_of(config) -> float:
    """How good a whole training of a configuration is, 0 to 1."""
    rate = abs(math.log10(config.SOLVER.BASE_LR / 0.003))
    return max(0.02, 0.7 - 0.25 * rate + 0.05 * (config.SOLVER.SCHED == "CosineAnnealingLR"))


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda code, frame: _asked.append(code))
    raise SystemExit(run(sys.argv[1:], lambda: os.kill(os.getpid(), signal.SIGKILL)))


def run(arguments: Sequence[str], die: Callable[[], None]) -> int:
    """Train as the command line `arguments` asks, and return the exit code; `die` ends the process."""
    config_file, name = (arguments[arguments.index(flag) + 1] for flag in ("--config-file", "--run-name"))
    resumes = "--resume" in arguments
    config = load(Path(config_file), arguments[arguments.index("--quiet") + 1 + resumes :]).config
    behaviour = json.loads(Path("behaviour.json").read_text()) if Path("behaviour.json").exists() else {}
    folder = RunFolder(Path(config.OUTPUT_DIR) / name)
    lock = FileLock(folder.lock)
    assert lock.acquire(), "two processes train one trial"
    try:
        return _run(folder, config, behaviour, resumes, die)
    finally:
        lock.release()


def _run(folder: RunFolder, config, behaviour, resumes: bool, die: Callable[[], None]) -> int:
    name = folder.name
    done = read_run(folder.path).epochs[-1].epoch if folder.metrics.exists() else 0
    assert resumes == folder.checkpoint_manifest.exists()
    append_json_line(Path("calls.jsonl"), {"name": name, "from": done, "pid": os.getpid(), "test": config.VALIDATION.SCORE_TEST})
    if name in behaviour.get("refuse", []):
        print("error: the data set is not there")
        return 2
    writer = RunWriter(folder)
    writer.running()
    writer.config(to_yaml(config))
    folder.log.write_text("log\n")
    return _train(writer, config, done, behaviour, die)


def _train(writer: RunWriter, config, done: int, behaviour, die: Callable[[], None]) -> int:
    folder, last = writer.folder, min(config.SOLVER.STOP_EPOCH or 10**6, config.SOLVER.MAX_EPOCH)
    if config.SOLVER.IMS_PER_BATCH > 100:
        return _stop(writer, config, "out-of-memory", "Out of memory", done, 1)
    for epoch in range(done + 1, last + 1):
        time.sleep(behaviour.get("seconds", 0.0))
        mark = folder.path / "killed_once"
        if behaviour.get("kill", {}).get(folder.name) == epoch and not mark.exists():
            mark.touch()
            die()
        if config.SOLVER.BASE_LR > 0.05:
            return _stop(writer, config, "diverged", "Error: cross_entropy became nan", epoch - 1, 1)
        if _asked:
            return _stop(writer, config, "interrupted", "User interrupted (Ctrl+C)", epoch - 1, 130)
        append_json_line(Path("epochs.jsonl"), {"name": folder.name, "epoch": epoch})
        _epoch(writer, config, epoch)
    if last < config.SOLVER.MAX_EPOCH:
        return _stop(writer, config, "paused", f"Stopped after {last} epochs as asked", last, 0)
    return _stop(writer, config, "completed", "Training completed all epochs", last, 0)


def _epoch(writer: RunWriter, config, epoch: int) -> None:
    folder, whole = writer.folder, config.SOLVER.MAX_EPOCH
    level = skill_of(config) * (0.4 + 0.6 * epoch / whole)
    own_Q = np.random.default_rng(0).normal(0, 0.05, IDENTITIES)[_PERSONS_Q]
    rows_EQ = np.stack([level * number / epoch + own_Q for number in range(1, epoch + 1)]).clip(0, 1)
    arrays = {"validation_epochs": np.arange(1, epoch + 1), "validation_average_precision": rows_EQ}
    writer.average_precision({**arrays, "validation_person_ids": _PERSONS_Q})
    score = float(rows_EQ[-1].mean())
    metrics = RetrievalMetrics("held-out", score, score, {"1": score}, len(_PERSONS_Q), 60, IDENTITIES, 0.05)
    losses = {"cross_entropy": 6.0 - 0.1 * epoch, "triplet": 2.0 - 0.05 * epoch}
    writer.epoch(EpochRecord(epoch, 10 * epoch, 1e-3, 8.0, losses, validation=metrics, is_best=True, train_seconds=1.0))
    folder.best_model.write_bytes(f"{folder.name} {epoch}".encode())
    write_json(folder.checkpoint_manifest, {"schema": 1, "checkpoints": []})


def _stop(writer: RunWriter, config, code: str, headline: str, epochs: int, exit_code: int) -> int:
    reason = StopReason(code, headline, epochs_trained=epochs, max_epochs=config.SOLVER.MAX_EPOCH, exit_code=exit_code)
    writer.stop(reason, f"STOPPING REASON: {headline}\n")
    return exit_code


def trained_epochs(place: Path) -> list[tuple[str, int]]:
    """Return every epoch that was trained, in order: (trial, epoch)."""
    return [(line["name"], line["epoch"]) for line in read_json_lines(place / "epochs.jsonl")]


if __name__ == "__main__":
    main()
