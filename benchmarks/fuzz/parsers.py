"""What is fuzzed: each reader of files or words that strangers write, with good inputs that are then spoilt."""

import io
import json
import random
import shutil
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save as to_safetensors

from benchmarks.fuzz import run_folders
from benchmarks.fuzz.hostile import hostile_files, rezipped
from benchmarks.fuzz.mutating import mutated, word
from unplateau.config.foreign_defaults import CODE_BASES
from unplateau.config.load import load
from unplateau.config.tree import leaves
from unplateau.data.decode import decode
from unplateau.data.find import find_dataset
from unplateau.engine.checkpoint import load_checkpoint
from unplateau.evaluation.features_file import read_query_and_gallery
from unplateau.models.weight_files import read_weights
from unplateau.runs.foreign_logs.read import read_log
from unplateau.runs.layout import RunFolder, run_folder
from unplateau.runs.results_file import read_results
from unplateau.search.space_file import read_space

ROOT = Path(__file__).parents[2]
Play = Callable[[random.Random, Path], None]
"""Makes one input in a scratch folder and reads it. Any exception but ours is a finding."""


@dataclass(frozen=True)
class Parser:
    """One reader."""

    name: str
    what: str
    prepare: Callable[[Path, Path], Play]
    """Given a scratch folder and the canary's path, returns how one input is played."""


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _spoilt(rng: random.Random, seeds: list[bytes]) -> bytes:
    """A seed, spoilt in half of the cases: what is packed anew afterwards must first be whole."""
    return mutated(rng, seeds) if rng.random() < 0.5 else rng.choice(seeds)


def _configurations(folder: Path, canary: Path) -> Play:
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
    ]
    (folder / "canary_code.py").write_text(f"import os\nos.mkdir({str(canary)!r})\ndef run(*a, **k): pass\n", encoding="utf-8")

    def play(rng: random.Random, place: Path) -> None:
        load(_written(place / "run.yml", mutated(rng, seeds)), code_base=rng.choice((None, None, *CODE_BASES)))

    return play


def _overrides(folder: Path, canary: Path) -> Play:
    keys, base = [*leaves(), "SOLVER", "_BASE_", "MODEL.BACKBONE.NAME"], _written(folder / "base.yml", b"SEED: 1\n")

    def play(rng: random.Random, place: Path) -> None:
        words = [
            word(rng) if rng.random() < 0.3 else rng.choice((rng.choice(keys), str(rng.randint(-9, 10 ** rng.randint(1, 30)))))
            for _ in range(rng.randint(0, 8))
        ]
        pairs = [part for key in rng.sample(keys, rng.randint(0, 3)) for part in (key, word(rng))]
        load(base, [*pairs, *words] if rng.random() < 0.5 else pairs)

    return play


def _spaces(folder: Path, canary: Path) -> Play:
    seeds = [
        b"SOLVER.BASE_LR: {low: 1e-4, high: 1e-2, log: true}\nSOLVER.IMS_PER_BATCH: [32, 64]\n"
        b"INPUT.REA.PROB: {low: 0, high: 0.8, also: {INPUT.REA.ENABLED: true}}\n",
        b"schedule:\n  choices:\n    cosine: {SOLVER.SCHED: CosineAnnealingLR}\n"
        b"    two: {SOLVER.SCHED: MultiStepLR, SOLVER.STEPS: [20, 50]}\n",
    ]
    return lambda rng, place: read_space(_written(place / "space.yml", mutated(rng, seeds))) and None


def _logs(folder: Path, canary: Path) -> Play:
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
        if rng.random() < 0.002:
            content = content * (30_000_000 // max(1, len(content)))
        name = rng.choice(("log.txt", "metrics.json", "metrics.jsonl", "log.csv", "events.out.tfevents.1"))
        read_log(_written(place / name, content))

    return play


def _events() -> bytes:
    record = b"\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x05\x2a\x12\x0a\x10\x0a\x09train/mAP\x15\x00\x00\x00\x3f"
    frame = struct.pack("<Q", len(record)) + b"\0\0\0\0" + record + b"\0\0\0\0"
    return struct.pack("<Q", 24) + b"\0" * 4 + b"\x09\0\0\0\0\0\0\0\0\x1a\x0dbrain.Event:2"[:24] + b"\0" * 4 + frame * 5


def _results(folder: Path, canary: Path) -> Play:
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
            read_results(_written(place / "r.npz", rezipped(rng, content) if rng.random() < 0.5 else content))
        else:
            read_results(_written(place / f"r.{rng.choice(('json', 'csv'))}", mutated(rng, seeds)))

    return play


def _features(folder: Path, canary: Path) -> Play:
    arrays, pickled = io.BytesIO(), io.BytesIO()
    given = {
        f"{part}_{name}": np.ones((4, 3) if name == "features" else 4)
        for part in ("query", "gallery")
        for name in ("features", "person_ids", "camera_ids")
    }
    np.savez(arrays, **given)
    np.savez(pickled, **given, extra=np.array([{"a": 1}], dtype=object), allow_pickle=True)

    def play(rng: random.Random, place: Path) -> None:
        content = _spoilt(rng, [arrays.getvalue(), pickled.getvalue()])
        read_query_and_gallery(_written(place / "f.npz", rezipped(rng, content) if rng.random() < 0.6 else content))

    return play


def _weights(folder: Path, canary: Path) -> Play:
    state = {"conv.weight": torch.ones(4, 3), "bn.num_batches_tracked": torch.tensor(7), "fc.weight": torch.zeros(2, 2).half()}
    good = []
    for content in (state, {"state_dict": state, "epoch": 3}, {"model": {"state_dict": state}}):
        for is_zip in (True, False):
            stream = io.BytesIO()
            torch.save(content, stream, _use_new_zipfile_serialization=is_zip)
            good.append(stream.getvalue())
    hostile, safe = hostile_files(canary, state), to_safetensors(state)

    def play(rng: random.Random, place: Path) -> None:
        kind = rng.random()
        if kind < 0.25:
            read_weights(_written(place / "w.safetensors", mutated(rng, [safe])))
            return
        content = rng.choice(hostile) if kind < 0.35 else _spoilt(rng, hostile if kind < 0.6 else good)
        read_weights(_written(place / "w.pth", rezipped(rng, content) if rng.random() < 0.4 else content))

    return play


def _checkpoints(folder: Path, canary: Path) -> Play:
    whole = run_folders.checkpoints()
    hostile = hostile_files(canary, {"epoch": 2, "model": {}})

    def play(rng: random.Random, place: Path) -> None:
        run = RunFolder(place / "run")
        shutil.rmtree(run.path, ignore_errors=True)
        run.checkpoints.mkdir(parents=True)
        for name, content in whole.items():
            spoilt = rng.choice(hostile) if rng.random() < 0.2 else rezipped(rng, content) if rng.random() < 0.4 else content
            (run.checkpoints / name).write_bytes(mutated(rng, [spoilt]) if rng.random() < 0.3 else spoilt)
        is_right = rng.random() < 0.6  # the stranger writes checksums that fit
        manifest = run_folders.manifest(run) if is_right else mutated(rng, [run_folders.manifest(run)])
        run.checkpoint_manifest.write_bytes(manifest)
        load_checkpoint(run)

    return play


def _images(folder: Path, canary: Path) -> Play:
    rng, seeds = np.random.default_rng(0), []
    for mode, kinds in {
        "RGB": "JPEG PNG BMP GIF TIFF WEBP PPM TGA ICO",
        "L": "PNG JPEG",
        "CMYK": "JPEG TIFF",
        "I;16": "PNG TIFF",
        "P": "GIF PNG",
        "RGBA": "PNG WEBP",
        "F": "TIFF",
        "1": "PNG",
    }.items():
        pixels = Image.fromarray(rng.integers(0, 255, (12, 8, 3), dtype=np.uint8))
        image = Image.fromarray(rng.integers(0, 65535, (12, 8)).astype(np.uint16)) if mode == "I;16" else pixels.convert(mode)
        for kind in kinds.split():
            stream = io.BytesIO()
            image.save(stream, kind, **({"save_all": True, "append_images": [image, image]} if kind in ("GIF", "WEBP") else {}))
            seeds.append(stream.getvalue())
    huge = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(huge, "PNG")
    one = io.BytesIO()
    Image.new("RGB", (1, 1)).save(one, "PNG")
    seeds += [one.getvalue(), huge.getvalue(), b"GIF89a" + struct.pack("<HH", 65535, 65535) + b"\0" * 20]

    def play(rng: random.Random, place: Path) -> None:
        chosen = rng.choice(seeds)
        path = _written(place / "image.jpg", chosen if rng.random() < 0.05 else mutated(rng, [chosen]))
        pixels_HW3 = decode(str(path), (16, 8))
        if pixels_HW3.shape != (16, 8, 3) or pixels_HW3.dtype != np.uint8:
            raise AssertionError(f"decoded to {pixels_HW3.shape} {pixels_HW3.dtype}")

    return play


def _folders(folder: Path, canary: Path) -> Play:
    splits = (
        "train",
        "query",
        "gallery",
        "bounding_box_train",
        "bounding_box_test",
        "val",
        "0001",
        "Market-1501-v15.09.15",
        "images",
    )
    names = (
        "0001_c1s1_000151_00.jpg",
        "-1_c3s2_000000_00.jpg",
        "0000_c1.png",
        "a.jpg",
        "0002_c99999999999999999999_1.jpg",
        "c1.jpeg",
        ".jpg",
        "Thumbs.db",
        "0001.JPG",
        "１_c１.jpg",
        "x" * 200 + ".jpg",
    )

    def play(rng: random.Random, place: Path) -> None:
        root = place / "set"
        shutil.rmtree(root, ignore_errors=True)
        for _ in range(rng.randint(0, 12)):
            parts = [_file_name(rng, rng.choice(splits)) for _ in range(rng.randint(0, 2))]
            target = root.joinpath(*parts, _file_name(rng, rng.choice(names)))
            _touch(target)
        if rng.random() < 0.4:
            rows = "path,person,camera,split\n" + "".join(
                f"{rng.choice(names)},{rng.randint(-2, 5)},{rng.randint(-2, 9)},train\n" for _ in range(5)
            )
            _touch(root / "t.csv")
            find_dataset(f"csv:{_written(root / 't.csv', mutated(rng, [rows.encode()]))}", root)
        find_dataset(rng.choice((f"folder:{root}", "Market1501", "MSMT17", "DukeMTMC", "CUHK03")), rng.choice((root, place)))

    return play


def _file_name(rng: random.Random, usual: str) -> str:
    name = usual if rng.random() < 0.8 else word(rng)[:60]
    return name.replace("/", "_").replace("\0", "_") if name.strip(". \0/") else usual


def _touch(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except (OSError, UnicodeEncodeError):
        return  # this system has no such name


def _run_names(folder: Path, canary: Path) -> Play:
    def play(rng: random.Random, place: Path) -> None:
        pieces = [
            rng.choice((word(rng)[:130], "run", "..", ".", "/", "\\", ":", "~", "a_1", chr(rng.randrange(1, 0x2FFF))))
            for _ in range(rng.randint(0, 4))
        ]
        found = run_folder(place, "".join(pieces)).path
        if found.parent != place or found.resolve().parent != place.resolve():
            raise AssertionError(f"{found} leaves {place}")

    return play


PARSERS = (
    Parser("configuration", "YAML: bombs, cycles of _BASE_, tags, wrong types, other code bases' files", _configurations),
    Parser("overrides", "KEY VALUE pairs of a command line", _overrides),
    Parser("search space", "YAML of a search space", _spaces),
    Parser("logs", "logs of six trainers and TensorBoard's files: cut, mixed encodings, 30 MB", _logs),
    Parser("results", "results of other trainers: JSON, CSV, npz", _results),
    Parser("features", "arrays of features: npz, also with pickles", _features),
    Parser("weights", "weight files: torch archives, old pickles, safetensors; programs among them", _weights),
    Parser("checkpoints", "resume checkpoints and their list, checksums made to fit; programs among them", _checkpoints),
    Parser("images", "nine formats, eight colour modes; 1 x 1, 20,000 x 20,000, animated, cut", _images),
    Parser("image folders", "data sets as folders and tables: odd names, empty, mixed layouts", _folders),
    Parser("run names", "names that try to leave the output folder", _run_names),
    Parser("run folders", "records of a run, and the page that is made of them: no script may come in", run_folders.prepare),
)
