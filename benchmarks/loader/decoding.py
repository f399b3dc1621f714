"""Decoding JPEG files with simplejpeg and with Pillow alone, in turn: microseconds an image, and whether any pixel differs.

    python benchmarks/loader/decoding.py FOLDER [--images 2000] [--rounds 5] [--write benchmarks/results/decoding.md]

FOLDER holds .jpg files, such as Market-1501's bounding_box_train. Images are read by the product's own function at their own
size, so nothing is resized. Needs the extra `jpeg`. One process; the files are in memory after the first, uncounted round.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import Image
from PIL import __version__ as pillow_version

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.machine import machine_line
from unplateau.data import decode as decoding
from unplateau.data.fast_jpeg import decode_jpeg


def without(path: str, *, max_pixels: int) -> None:
    """Stand in for an extra that is not installed."""


def microseconds(paths: list[str], sizes: list[tuple[int, int]]) -> float:
    started = time.process_time()
    for path, size_HW in zip(paths, sizes, strict=True):
        decoding.decode(path, size_HW)
    return 1e6 * (time.process_time() - started) / len(paths)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    paths = sorted(map(str, options.folder.glob("*.jpg")))
    paths = paths[:: max(1, len(paths) // options.images)]
    sizes = [Image.open(path).size[::-1] for path in paths]
    ways = {"simplejpeg": decode_jpeg, "Pillow": without}
    pixels, times = {}, {name: [] for name in ways}  # type: ignore[var-annotated]
    for number in range(options.rounds + 1):
        for name, way in ways.items():
            decoding.decode_jpeg = way  # type: ignore[assignment]
            if number == 0:
                pixels[name] = [decoding.decode(*one) for one in zip(paths, sizes, strict=True)]
            else:
                times[name].append(microseconds(paths, sizes))
    differ = sum(not np.array_equal(*pair) for pair in zip(*pixels.values(), strict=True))
    ratios = sorted(slow / fast for fast, slow in zip(times["simplejpeg"], times["Pillow"], strict=True))
    fast, slow = (statistics.median(times[name]) for name in ways)
    versions = f"simplejpeg {simplejpeg.__version__}, Pillow {pillow_version}; load average at the end {os.getloadavg()[0]:.1f}"
    lines = ["# Decoding JPEG files", "", "`python benchmarks/loader/decoding.py`", "", f"{machine_line()}; {versions}", ""]
    lines += ["| images | Pillow, us | simplejpeg, us | times as fast (range) | images that differ |", "|---|---|---|---|---|"]
    ratio = f"**{statistics.median(ratios):.1f}** ({ratios[0]:.1f}–{ratios[-1]:.1f})"
    lines.append(f"| {len(paths)} | {slow:.0f} | {fast:.0f} | {ratio} | {differ} |")
    text = "\n".join([*lines, "", "Processor time of one image, reading the file included."]) + "\n"
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
