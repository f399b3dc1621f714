"""Readers of images, and of data sets as folders, tables and lists of them."""

import io
import json
import random
import shutil
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.fuzz.mutating import mutated, word
from benchmarks.fuzz.parser import Play, written
from unplateau.data.decode import decode
from unplateau.data.find import find_dataset

_ROWS = ([], [[]], 5, None, {"a": 1}, "rows", [["1_001_1_01.png", 1e999, 0]], [["1_001_1_01.png", 10**400, 0]], [[5, 5, 5]])


def images(folder: Path, canary: Path) -> Play:
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
        path = written(place / "image.jpg", chosen if rng.random() < 0.05 else mutated(rng, [chosen]))
        pixels_HW3 = decode(str(path), (16, 8))
        if pixels_HW3.shape != (16, 8, 3) or pixels_HW3.dtype != np.uint8:
            raise AssertionError(f"decoded to {pixels_HW3.shape} {pixels_HW3.dtype}")

    return play


def folders(folder: Path, canary: Path) -> Play:
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
            find_dataset(f"csv:{written(root / 't.csv', mutated(rng, [rows.encode()]))}", root)
        if rng.random() < 0.3:
            find_dataset(_listed(rng, root), root)
        find_dataset(rng.choice((f"folder:{root}", "Market1501", "MSMT17", "DukeMTMC", "CUHK03")), rng.choice((root, place)))

    return play


def _listed(rng: random.Random, root: Path) -> str:
    """Make a data set that is read by lists, MSMT17 or CUHK03, with lists that are spoilt; return its name."""
    if rng.random() < 0.5:
        line = "0000/0000_000_01_0303morning_0015_0.jpg 0\n0001/0001_000_12_0303noon_0015_0.jpg 1\n"
        for name in ("train", "test"):
            (root / name).mkdir(parents=True, exist_ok=True)
        for name in ("train", "val", "query", "gallery"):
            written(root / f"list_{name}.txt", mutated(rng, [line.encode()]) if rng.random() < 0.4 else line.encode())
        return "MSMT17"
    rows = [["x/1_001_1_01.png", 0, 0], ["x/1_001_2_06.png", 0, 1]]
    split = dict.fromkeys(("train", "query", "gallery"), rows) | {rng.choice(("train", "query")): rng.choice(_ROWS)}
    for row in rows:
        _touch(root / "images_labeled" / Path(str(row[0])).name)
    content = json.dumps([split] if rng.random() < 0.8 else rng.choice(_ROWS)).encode()
    written(root / "splits_new_labeled.json", mutated(rng, [content]) if rng.random() < 0.7 else content)
    return "CUHK03Labeled"


def _file_name(rng: random.Random, usual: str) -> str:
    name = usual if rng.random() < 0.8 else word(rng)[:60]
    return name.replace("/", "_").replace("\0", "_") if name.strip(". \0/") else usual


def _touch(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except (OSError, UnicodeEncodeError):
        return  # this system has no such name
