"""Readers of words and texts: configurations, overrides, search spaces, run names, logs and results of other trainers."""

import io
import json
import random
import struct
from pathlib import Path

import numpy as np

from benchmarks.fuzz.hostile import rezipped
from benchmarks.fuzz.mutating import mutated, word
from benchmarks.fuzz.parser import ROOT, Play, written
from unplateau.config.foreign_defaults import CODE_BASES
from unplateau.config.load import load
from unplateau.config.tree import leaves
from unplateau.diagnosis.case import Case
from unplateau.diagnosis.diagnose import diagnose
from unplateau.runs.foreign_logs.read import read_log
from unplateau.runs.layout import run_folder
from unplateau.runs.results_file import read_results
from unplateau.search.space_file import read_space

_JUDGED = 0.3  # of the logs: what a log says is also what the rules have to bear


def configurations(folder: Path, canary: Path) -> Play:
    seeds = [path.read_bytes() for path in sorted((ROOT / "custom_configs").rglob("*.yml"))]
    bomb = "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12)
    )
    seeds += [
        bomb.encode(),
        b"_BASE_: run.yml\nSEED: 1\n",
        b"_BASE_: [run.yml, ../run.yml]\n",
        b"<<: *a\n",
        b"MODEL:\n  BACKBONE: {NAME: 'canary_code:run'}\n",
        *_bases(folder),
    ]
    (folder / "canary_code.py").write_text(f"import os\nos.mkdir({str(canary)!r})\ndef run(*a, **k): pass\n", encoding="utf-8")

    def play(rng: random.Random, place: Path) -> None:
        load(written(place / "run.yml", mutated(rng, seeds)), code_base=rng.choice((None, None, *CODE_BASES)))

    return play


def _bases(folder: Path) -> list[bytes]:
    """Files that inherit in circles of two and three, down a chain of thirty, and from forty at once."""
    for number in range(30):
        written(folder / f"chain_{number}.yml", f"_BASE_: chain_{number + 1}.yml\n".encode())
    written(folder / "chain_30.yml", b"SEED: 1\n")
    written(folder / "back.yml", b"_BASE_: place/run.yml\n")
    written(folder / "round.yml", b"_BASE_: back.yml\n")
    wide = ", ".join(["../chain_29.yml"] * 40)
    chosen = ("../back.yml", "../round.yml", "../chain_0.yml", "../chain_25.yml", f"[{wide}]", "..\\chain_29.yml")
    return [f"_BASE_: {name}\nSEED: 1\n".encode() for name in chosen]


def overrides(folder: Path, canary: Path) -> Play:
    keys, base = [*leaves(), "SOLVER", "_BASE_", "MODEL.BACKBONE.NAME"], written(folder / "base.yml", b"SEED: 1\n")

    def play(rng: random.Random, place: Path) -> None:
        words = [
            word(rng) if rng.random() < 0.3 else rng.choice((rng.choice(keys), str(rng.randint(-9, 10 ** rng.randint(1, 30)))))
            for _ in range(rng.randint(0, 8))
        ]
        pairs = [part for key in rng.sample(keys, rng.randint(0, 3)) for part in (key, word(rng))]
        load(base, [*pairs, *words] if rng.random() < 0.5 else pairs)

    return play


def spaces(folder: Path, canary: Path) -> Play:
    seeds = [
        b"SOLVER.BASE_LR: {low: 1e-4, high: 1e-2, log: true}\nSOLVER.IMS_PER_BATCH: [32, 64]\n"
        b"INPUT.REA.PROB: {low: 0, high: 0.8, also: {INPUT.REA.ENABLED: true}}\n",
        b"schedule:\n  choices:\n    cosine: {SOLVER.SCHED: CosineAnnealingLR}\n"
        b"    two: {SOLVER.SCHED: MultiStepLR, SOLVER.STEPS: [20, 50]}\n",
    ]
    return lambda rng, place: read_space(written(place / "space.yml", mutated(rng, seeds))) and None


def logs(folder: Path, canary: Path) -> Play:
    fast = (
        "[11/23 08:02:18] fastreid.utils.events INFO:  eta: 0:02:46  epoch/iter: {e}/{i}  total_loss: 9.1  loss_cls: 6.7  "
        "loss_triplet: 2.4  time: 0.1  lr: 3.50e-04  max_mem: 100M\n"
    )
    trans = (
        "2023-01-01 10:00:10,000 transreid.train INFO: Epoch[{e}] Iteration[50/200] Loss: 7.712, Acc: 0.002, Base Lr: 3.82e-04\n"
        "2023-01-01 10:00:10,000 transreid.train INFO: mAP: 61.2%\n"
    )
    torchreid = (
        "epoch: [{e}/60][20/200]\ttime 0.135 (0.2)\tloss 6.1 (6.2)\tacc 1.5\tlr 0.000300\n"
        "** Results **\nmAP: 51.3%\nRank-1  : 71.0%\n"
    )
    jsonl = json.dumps({"epoch": 3, "total_loss": 5.5, "mAP": 0.3, "lr": 1e-4, "iteration": 400}) + "\n"
    csv_rows = "epoch,ce,triplet,lr,mAP\n" + "".join(f"{e},6.{e},0.{e},3.5e-4,0.{e}\n" for e in range(1, 9))
    seeds = ["".join(line.format(e=e, i=e * 200) for e in range(1, 6)).encode() for line in (fast, trans, torchreid)]
    seeds += [(jsonl * 5).encode(), csv_rows.encode(), csv_rows.replace(",", ";").encode(), _events()]

    def play(rng: random.Random, place: Path) -> None:
        content = mutated(rng, seeds)
        if rng.random() < 0.0003:
            content = content * (10_000_000 // max(1, len(content)))
        name = rng.choice(("log.txt", "metrics.json", "metrics.jsonl", "log.csv", "events.out.tfevents.1"))
        path = written(place / name, content)
        log = read_log(path)
        if rng.random() < _JUDGED:
            diagnose(Case(log, log.facts))

    return play


def _events() -> bytes:
    record = b"\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x05\x2a\x12\x0a\x10\x0a\x09train/mAP\x15\x00\x00\x00\x3f"
    frame = struct.pack("<Q", len(record)) + b"\0\0\0\0" + record + b"\0\0\0\0"
    return struct.pack("<Q", 24) + b"\0" * 4 + b"\x09\0\0\0\0\0\0\0\0\x1a\x0dbrain.Event:2"[:24] + b"\0" * 4 + frame * 5


def results(folder: Path, canary: Path) -> Play:
    run = {
        "system": "a",
        "seed": 1,
        "protocol": "test",
        "dataset": "Market1501",
        "average_precision": [0.2, 0.3, 0.9],
        "person_ids": [1, 2, 3],
    }
    seeds = [
        json.dumps([run, {**run, "seed": 2}]).encode(),
        b"system,seed,mAP\na,1,0.5\na,2,0.6\n",
        b"system,seed,person_id,average_precision\na,1,7,0.5\na,1,8,0.6\n",
    ]
    arrays = io.BytesIO()
    np.savez(arrays, **{key: np.array(value) for key, value in run.items()})

    def play(rng: random.Random, place: Path) -> None:
        if rng.random() < 0.3:
            content = mutated(rng, [arrays.getvalue()])
            read_results(written(place / "r.npz", rezipped(rng, content) if rng.random() < 0.5 else content))
        else:
            read_results(written(place / f"r.{rng.choice(('json', 'csv'))}", mutated(rng, seeds)))

    return play


def run_names(folder: Path, canary: Path) -> Play:
    def play(rng: random.Random, place: Path) -> None:
        pieces = [
            rng.choice((word(rng)[:130], "run", "..", ".", "/", "\\", ":", "~", "a_1", chr(rng.randrange(1, 0x2FFF))))
            for _ in range(rng.randint(0, 4))
        ]
        found = run_folder(place, "".join(pieces)).path
        if found.parent != place or found.resolve().parent != place.resolve():
            raise AssertionError(f"{found} leaves {place}")

    return play
