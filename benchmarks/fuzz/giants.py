"""Inputs without end, made of pieces: logs of every trainer, lines and records that never stop, records of a run."""

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from unplateau.config.load import load
from unplateau.runs.foreign_logs.read import read_log
from unplateau.runs.layout import RunFolder
from unplateau.runs.results_file import read_results

_LINES = 20_000  # a piece
_STEPS = 200  # an epoch
_MB = 1 << 20


@dataclass(frozen=True)
class Giant:
    """One input."""

    name: str
    what: str
    file: str
    pieces: Callable[[int], bytes]
    """The n-th piece of it."""
    read: Callable[[Path], str]
    """Reads it; returns in words what was read."""


def _lines(line: str) -> Callable[[int], bytes]:
    """Pieces of lines; `{e}` is the epoch from 1, `{i}` the step from 1, `{s}` the step in its epoch, `{loss}` what falls."""

    def piece(number: int) -> bytes:
        steps = range(number * _LINES + 1, (number + 1) * _LINES + 1)
        return "".join(
            line.format(e=(i - 1) // _STEPS + 1, i=i, s=(i - 1) % _STEPS + 1, loss=f"{7 - 6 * i / (i + 1e6):.4f}") for i in steps
        ).encode()

    return piece


def _first(head: bytes, piece: Callable[[int], bytes]) -> Callable[[int], bytes]:
    return lambda number: (head if number == 0 else b"") + piece(number)


def _events(number: int) -> bytes:
    """Frames of TensorBoard, one scalar each."""
    frames = []
    for step in range(number * _LINES, (number + 1) * _LINES):
        scalar = b"\x0a\x0atrain/loss\x15" + struct.pack("<f", 7 - 6 * step / (step + 1e6))
        varint = bytes([step & 127 | 128, step >> 7 & 127 | 128, step >> 14 & 127 | 128, step >> 21])
        summary = b"\x0a" + bytes([len(scalar)]) + scalar
        record = b"\x09\0\0\0\0\0\0\xf0\x3f\x10" + varint + b"\x2a" + bytes([len(summary)]) + summary
        frames.append(struct.pack("<Q", len(record)) + b"\0\0\0\0" + record + b"\0\0\0\0")
    return b"".join(frames)


def _endless_number(number: int) -> bytes:
    """One record of TensorBoard of 200 MB that is a single number without end."""
    head = struct.pack("<Q", 200 * _MB) + b"\0\0\0\0\x10"
    return (head if number == 0 else b"") + b"\xff" * (16 * _MB)


def _log(path: Path) -> str:
    log = read_log(path)
    return f"{log.trainer}, {len(log.points):,} points up to {log.points[-1].iteration or log.points[-1].epoch:,}"


def _results(path: Path) -> str:
    return f"{len(read_results(path))} runs"


def _page(path: Path) -> str:
    from unplateau.workflows.reporting.report_run import write_run_report

    folder = RunFolder(path.parent)
    if not folder.config.exists():
        folder.config.write_text("SEED: 1\n", encoding="utf-8")
    for record in (folder.log, folder.metrics):
        record.touch()
    return f"a page of {write_run_report(folder).stat().st_size:,} bytes"


def _config(path: Path) -> str:
    return load(path).source


_FAST = (
    "[11/23 08:02:18] fastreid.utils.events INFO:  eta: 0:02:46  epoch/iter: {e}/{i}  total_loss: {loss}  loss_cls: {loss}  "
    "loss_triplet: 0.4  time: 0.1  lr: 3.50e-04  max_mem: 100M\n"
)
_TRANS = (
    "2023-01-01 10:00:10,000 transreid.train INFO: Epoch[{e}] Iteration[{s}/200] Loss: {loss}, Acc: 0.002, Base Lr: 3.82e-04\n"
)
_TORCHREID = "epoch: [{e}/60][{s}/200]\ttime 0.135 (0.2)\tloss 6.1 ({loss})\tacc 1.5\tlr 0.000300\n"
_JSON = '{{"iteration": {i}, "total_loss": {loss}, "loss_cls": {loss}, "lr": 0.00035, "time": 0.1}}\n'
_OTHER_JSON = '{{"epoch": {e}, "step": {i}, "loss": {loss}, "lr": 0.00035}}\n'
_OURS = '{{"schema": 1, "epoch": {i}, "steps": {i}, "total_loss": {loss}, "losses": {{}}, "learning_rate": 0.1}}\n'

GIANTS = (
    Giant("fast-reid text", "a log.txt", "log.txt", _lines(_FAST), _log),
    Giant("fast-reid metrics", "a metrics.json", "metrics.json", _lines(_JSON), _log),
    Giant("strong baseline", "the text log of its family", "train_log.txt", _lines(_TRANS), _log),
    Giant("torchreid", "its output", "train.log", _lines(_TORCHREID), _log),
    Giant("JSON lines", "of another trainer", "log.jsonl", _lines(_OTHER_JSON), _log),
    Giant("CSV", "of another trainer", "log.csv", _first(b"epoch,step,loss\n", _lines("{e},{i},{loss}\n")), _log),
    Giant("events", "TensorBoard's scalars", "events.out.tfevents.1", _events, _log),
    Giant("endless number", "TensorBoard's record of one number of 200 MB", "events.out.tfevents.1", _endless_number, _log),
    Giant("one line", "a letter, again and again", "log.txt", lambda _: b"a" * _MB, _log),
    Giant("open quotation", "CSV with a quotation mark that is not closed", "log.csv",
          _first(b'epoch,loss\n1,"', _lines("{i},{loss}\n")), _log),
    Giant("zeros", "a log of a disk that failed", "log.txt", lambda _: bytes(_MB), _log),
    Giant("noise", "random bytes", "log.txt", lambda number: random.Random(number).randbytes(_MB), _log),
    Giant("configuration", "YAML", "run.yml", _lines("KEY_{i}: 1\n"), _config),
    Giant("results", "JSON of another trainer", "results.json", _first(b"[", lambda _: b"0.5, " * _LINES), _results),
    Giant("metrics.jsonl", "of a run, for its page", "run/metrics.jsonl", _lines(_OURS), _page),
    Giant("log.txt", "of a run, for its page", "run/log.txt", _lines(_FAST), _page),
    Giant("rank_lists.json", "of a run, one line, for its page", "run/rank_lists.json",
          _first(b"[", lambda _: b"[]," * _LINES), _page),
    Giant("config.yml", "of a run, for its page", "run/config.yml", _lines("KEY_{i}: 1\n"), _page),
)  # fmt: skip
