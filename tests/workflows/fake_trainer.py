"""Stands in for the train command where only the launcher is tried: leaves run folders as a training does, without torch.

`behaviour.json` in the working directory says what each run does: "ok" (default), "oom", "crash", "refuse", "diverge", "slow".
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from unplateau.base.files import append_json_line, read_json, write_json
from unplateau.config.delta import to_yaml
from unplateau.config.load import load
from unplateau.runs.layout import RunFolder
from unplateau.runs.record import EpochRecord, RetrievalMetrics, StopReason, to_plain
from unplateau.runs.writer import RunWriter

IDENTITIES = 20
_PERSONS_Q = np.repeat(np.arange(IDENTITIES), 3)
_SKILL = {"solution_1_higher_lr": 0.2, "solution_2_cosine_annealing": 0.05}
_asked = []


def main() -> None:
    arguments = sys.argv[1:]
    config_file, name = (arguments[arguments.index(flag) + 1] for flag in ("--config-file", "--run-name"))
    flags = [word for word in arguments if word in ("--resume", "--restart")]
    overrides = arguments[arguments.index("--quiet") + 1 + len(flags) :]
    append_json_line(Path("calls.jsonl"), {"name": name, "flags": flags, "overrides": overrides})
    behaviour = json.loads(Path("behaviour.json").read_text()).get(name, "ok") if Path("behaviour.json").exists() else "ok"
    if behaviour == "refuse":
        print("error: the data set is not there")
        raise SystemExit(2)
    config = load(Path(config_file), overrides).config
    folder = RunFolder(Path(config.OUTPUT_DIR) / name)
    if "--restart" in flags:
        folder.path.rename(folder.path.with_name(f"{name}_before1"))
    _train(folder, config, behaviour)


def _train(folder: RunFolder, config, behaviour: str) -> None:
    signal.signal(signal.SIGINT, lambda number, frame: _asked.append(number))
    writer = RunWriter(folder)
    writer.running()
    writer.config(to_yaml(config))
    folder.log.write_text("log\n")
    done = len(read_json(folder.history)["epochs"]) if folder.history.exists() else 0
    last = min(config.SOLVER.STOP_EPOCH or config.SOLVER.MAX_EPOCH, config.SOLVER.MAX_EPOCH)
    for epoch in range(done + 1, last + 1):
        if behaviour == "slow":
            for _ in range(600):
                time.sleep(0.02)
                if _asked:
                    break
        if behaviour == "oom" and epoch == 2:
            raise SystemExit(_stop(writer, config, "out-of-memory", "Out of memory", epoch - 1, 1))
        if behaviour == "crash" and epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if behaviour == "diverge" and epoch == 2:
            raise SystemExit(_stop(writer, config, "diverged", "Error: cross_entropy became nan", epoch - 1, 1))
        if _asked:
            raise SystemExit(_stop(writer, config, "interrupted", "User interrupted (Ctrl+C)", epoch - 1, 130))
        _epoch(writer, epoch)
    if last < config.SOLVER.MAX_EPOCH:
        raise SystemExit(_stop(writer, config, "paused", f"Stopped after {last} epochs as asked", last, 0))
    raise SystemExit(_stop(writer, config, "completed", "Training completed all epochs", config.SOLVER.MAX_EPOCH, 0))


def _epoch(writer: RunWriter, epoch: int) -> None:
    folder = writer.folder
    rng = np.random.default_rng(0)
    own = np.random.default_rng(sum(folder.name.encode())).normal(0, 0.02, IDENTITIES)[_PERSONS_Q]
    base_Q = rng.normal(0.4, 0.1, IDENTITIES)[_PERSONS_Q] + _SKILL.get(folder.name, 0.0) + own
    rows_EQ = np.stack([base_Q + 0.01 * number for number in range(1, epoch + 1)])
    writer.average_precision(
        {
            "validation_epochs": np.arange(1, epoch + 1),
            "validation_average_precision": rows_EQ,
            "validation_person_ids": _PERSONS_Q,
        }
    )
    score = float(rows_EQ[-1].mean())
    metrics = RetrievalMetrics("held-out", score, score, {"1": score}, len(_PERSONS_Q), 60, IDENTITIES, 0.05)
    losses = {"cross_entropy": 6.0 - 0.1 * epoch, "triplet": 2.0 - 0.05 * epoch}
    writer.epoch(
        EpochRecord(epoch, 10 * epoch, 1e-3, sum(losses.values()), losses, validation=metrics, is_best=True, train_seconds=1.0)
    )
    folder.best_model.write_bytes(f"{folder.name} {epoch}".encode())
    write_json(folder.checkpoint_manifest, {"schema": 1, "checkpoints": []})


def _stop(writer: RunWriter, config, code: str, headline: str, epochs: int, exit_code: int) -> int:
    reason = StopReason(code, headline, epochs_trained=epochs, max_epochs=config.SOLVER.MAX_EPOCH, exit_code=exit_code)
    assert to_plain(reason)
    writer.stop(reason, f"STOPPING REASON: {headline}\n")
    return exit_code


if __name__ == "__main__":
    main()
