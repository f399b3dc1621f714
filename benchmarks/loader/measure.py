"""How fast batches arrive: our cache, decoding on the fly, and torchvision's per-image transforms, side by side in one run.

    python benchmarks/loader/measure.py DATA [--images 3000] [--rounds 3] [--results benchmarks/results/loader.md]

DATA is a folder of .jpg files named like Market-1501's (such as bounding_box_train). Batches of 64, PK 16 x 4, flip and
pad-crop; the lines marked REA and CJ add random erasing and colour jitter. One computing thread. Ways are measured in turn,
`rounds` times; the table shows the median round: wall time and this process's CPU time a batch (a busy machine lengthens
the first). Nothing consumes the batches.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import PIL
import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as T

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.machine import processor
from unplateau.base.files import write_text
from unplateau.config.schema import Config
from unplateau.data.items import Item
from unplateau.data.loader import TrainLoader
from unplateau.data.samplers import BatchShape, Population, plan_epoch

BATCH = 64
SIZES = ((128, 64), (256, 128))
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ON = {"ENABLED": True}
SWITCHES = {"": (), " + REA": ("REA",), " + REA + CJ": ("REA", "CJ")}


@dataclass(frozen=True)
class Way:
    name: str
    epoch: Callable[[int], Iterator[object]]
    steps: int


class PerImage(Dataset[torch.Tensor]):
    """Decode and augment one image, as torchreid and fast-reid do."""

    def __init__(self, paths: list[str], size: tuple[int, int], switches: tuple[str, ...]) -> None:
        jitter = [T.RandomApply([T.ColorJitter(0.15, 0.15, 0.1, 0.1)], 0.5)] if "CJ" in switches else []
        erasing = [T.RandomErasing(0.5)] if "REA" in switches else []
        self.paths = paths
        self.transform = T.Compose(
            [
                T.Resize(size, interpolation=T.InterpolationMode.BICUBIC),
                T.RandomHorizontalFlip(),
                T.Pad(10),
                T.RandomCrop(size),
                *jitter,
                T.ToTensor(),
                T.Normalize(MEAN, STD),
                *erasing,
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.paths[index]) as image:
            return self.transform(image.convert("RGB"))


def config_for(size: tuple[int, int], cache_folder: str, switches: tuple[str, ...], **dataloader: object) -> Config:
    augmentation = {"FLIP": ON, "PADDING": ON} | dict.fromkeys(switches, ON)
    return Config.model_validate(
        {
            "INPUT": {"SIZE_TRAIN": size, **augmentation},
            "DATALOADER": {"SAMPLER_TRAIN": "NaiveIdentitySampler", "CACHE_DIR": cache_folder, **dataloader},
            "SOLVER": {"IMS_PER_BATCH": BATCH},
        }
    )


def ours(name: str, items: list[Item], config: Config) -> Way:
    loader = TrainLoader(items, config, device="cpu", channels_last=True)
    return Way(name, loader.epoch, loader.steps_per_epoch)


def per_image(name: str, items: list[Item], size: tuple[int, int], switches: tuple[str, ...], workers: int) -> Way:
    persons = sorted({item.person_id for item in items})
    labels = torch.tensor([persons.index(item.person_id) for item in items]).numpy()
    population, shape = Population(labels, labels * 0), BatchShape(BATCH, 4)
    dataset = PerImage([item.path for item in items], size, switches)

    def epoch(number: int) -> Iterator[object]:
        plan = plan_epoch("NaiveIdentitySampler", population, shape, seed=0, epoch=number)
        return iter(DataLoader(dataset, batch_sampler=plan.tolist(), num_workers=workers))

    return Way(name, epoch, shape.steps(len(items)))


def time_epoch(way: Way, number: int) -> tuple[float, float]:
    """Return wall and CPU milliseconds a batch; CPU time of finished worker processes included."""
    wall, cpu = time.perf_counter(), sum(os.times()[:4])
    for _ in way.epoch(number):
        pass
    return (time.perf_counter() - wall) / way.steps * 1e3, (sum(os.times()[:4]) - cpu) / way.steps * 1e3


def ways_at(size: tuple[int, int], items: list[Item], cache_folder: str) -> tuple[list[Way], float]:
    started = time.perf_counter()
    ours("", items, config_for(size, cache_folder, ()))
    build_seconds = time.perf_counter() - started
    ways = [ours(f"cache{word}", items, config_for(size, cache_folder, names)) for word, names in SWITCHES.items()]
    for workers in (0, 2):
        config = config_for(size, cache_folder, (), CACHE="off", NUM_WORKERS=workers)
        ways.append(ours(f"on the fly, {workers} workers", items, config))
        ways.append(per_image(f"torchvision per image, {workers} workers", items, size, (), workers))
    ways += [
        per_image(f"torchvision per image, 0 workers{word}", items, size, names, 0) for word, names in SWITCHES.items() if names
    ]
    return ways, build_seconds


def measure(size: tuple[int, int], items: list[Item], rounds: int) -> list[str]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache_folder:
        ways, build_seconds = ways_at(size, items, cache_folder)
        times: dict[str, list[tuple[float, float]]] = {way.name: [] for way in ways}
        for number in range(1, rounds + 1):
            for way in ways:
                times[way.name].append(time_epoch(way, number))
    lines = [
        f"\n**{size[0]} x {size[1]}**, {len(items)} images; the cache was built in {build_seconds:.1f} s "
        f"({len(items) / build_seconds:.0f} images a second)\n",
        "| way | images a second | ms a batch | CPU ms a batch |",
        "|---|---|---|---|",
    ]
    for name, pairs in times.items():
        wall, cpu = (statistics.median(column) for column in zip(*pairs, strict=True))
        lines.append(f"| {name} | {BATCH / wall * 1e3:,.0f} | {wall:.1f} | {cpu:.1f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path(__file__).parents[1] / "results" / "loader.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    paths = [path for path in sorted(arguments.data.glob("*.jpg")) if not path.name.startswith("-1")][: arguments.images]
    items = [Item(str(path), int(path.name[:4]), int(path.name[6]) - 1, "measured") for path in paths]
    load = f", {os.getloadavg()[0]:.1f} processes running at the start" if hasattr(os, "getloadavg") else ""
    lines = [
        "# Loading batches",
        "",
        f"`benchmarks/loader/measure.py`, {arguments.rounds} rounds in turn, median. "
        f"{processor()}, {os.cpu_count()} cores{load}; Python {platform.python_version()}, torch {torch.__version__}, "
        f"torchvision {torchvision.__version__}, Pillow {PIL.__version__}. "
        f"Batches of {BATCH}, one computing thread.",
    ]
    for size in SIZES:
        lines += measure(size, items, arguments.rounds)
    text = "\n".join(lines) + "\n"
    print(text)
    write_text(arguments.results, text)


if __name__ == "__main__":
    main()
