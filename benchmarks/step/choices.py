"""The training step in every number format and memory layout, as a run measures it, and where its time goes before and after.

    python benchmarks/step/choices.py [--networks resnet50 osnet ...] [--threads 2] [--write benchmarks/results/step.md]

Networks with random weights and drawn images (the arithmetic is that of real ones), cross-entropy and hard triplet, fused
Adam. The timing is the product's own (`unplateau.engine.step_choice`): one checked step, then the ways in turn, the fastest
step of each. "Eager" is contiguous single precision. "Cosine": the backbone's
gradient with eager's on the same weights and batch, and the head's.
"""

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.machine import machine_line
from unplateau.config.schema import Config
from unplateau.data.loader import Batch, TrainLoader
from unplateau.engine.host_memory import keep_freed_memory
from unplateau.engine.precision import ways
from unplateau.engine.ranks import Ranks
from unplateau.engine.step_choice import computing, measure_ways, rehearsal, winner
from unplateau.engine.step_rule import Unmeasured
from unplateau.engine.train_step import train_step
from unplateau.losses.build import build_losses
from unplateau.models.build import build_model
from unplateau.runs.step_choice import StepTiming, StepWay

IDENTITIES, IMAGES_EACH = 751, 4
NUM_STEPS = 24_000  # of a run: 120 epochs of Market-1501
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Network:
    title: str
    backbone: dict[str, Any]
    size_HW: tuple[int, int]
    batch: int


NETWORKS = {
    "resnet50": Network("ResNet-50", {"NAME": "build_resnet_backbone", "DEPTH": "50x", "LAST_STRIDE": 1}, (256, 128), 16),
    "osnet": Network("OSNet x0.25", {"NAME": "build_osnet_backbone", "DEPTH": "x0_25"}, (256, 128), 32),
    "osnet_small": Network("OSNet x0.25", {"NAME": "build_osnet_backbone", "DEPTH": "x0_25"}, (128, 64), 64),
    "mobilenetv2": Network("MobileNetV2", {"NAME": "mobilenetv2_100"}, (128, 64), 64),
    "quarter": Network("MobileNetV1 x0.25", {"NAME": "benchmarks.protocol.quarter_mobilenet:build"}, (128, 64), 64),
}


def unmeasured(network: Network) -> tuple[Unmeasured, Batch]:
    """Return a training of this network as a run has it before its step is chosen, and a batch of noise."""
    config = Config.model_validate(
        {
            "MODEL": {
                "DEVICE": "cpu",
                "BACKBONE": {**network.backbone, "PRETRAIN": False},
                "HEADS": {"WITH_BNNECK": True},
                "LOSSES": {"NAME": ("CrossEntropyLoss", "TripletLoss"), "TRI": {"HARD_MINING": True}},
            },
            "INPUT": {"SIZE_TRAIN": network.size_HW, "SIZE_TEST": network.size_HW},
            "SOLVER": {"AMP": {"ENABLED": True}, "IMS_PER_BATCH": network.batch},
        }
    )
    model = build_model(config, num_identities=IDENTITIES, num_cameras=1).model
    losses = build_losses(config, num_identities=IDENTITIES, feature_dim=model.feature_dim)
    persons_B = torch.arange(network.batch // IMAGES_EACH).repeat_interleave(IMAGES_EACH)
    images_BCHW = drawn_images(network.batch, network.size_HW)
    loader = cast(TrainLoader, None)  # the batch is given
    return Unmeasured(config, CPU, Ranks(), model, losses, loader), Batch(images_BCHW, persons_B, torch.zeros_like(persons_B))


def drawn_images(num_images: int, size_HW: tuple[int, int]) -> Tensor:
    """Return images of coloured patterns, one a person, each image otherwise: of pure noise all features are nearly the same."""
    generator = torch.Generator().manual_seed(0)

    def patterns(num: int) -> Tensor:
        return F.interpolate(torch.randn(num, 3, 16, 8, generator=generator), size=size_HW, mode="bilinear")

    persons = patterns(num_images // IMAGES_EACH).repeat_interleave(IMAGES_EACH, 0)
    return persons + 0.3 * patterns(num_images) + 0.1 * torch.randn(num_images, 3, *size_HW, generator=generator)


def rows(network: Network, timings: tuple[StepTiming, ...]) -> list[str]:
    eager, chosen = timings[0], winner(timings)
    name = f"{network.title}, {network.size_HW[0]}×{network.size_HW[1]}, {network.batch}"
    lines = []
    for timing in timings:
        speed = f"{network.batch / timing.seconds:.1f} | {1e3 * timing.seconds:.0f} | {eager.seconds / timing.seconds:.2f}"
        marked = f"**{timing.way.name}**" if timing.way == chosen else timing.way.name
        cosines = f"{timing.gradient_agreement:.3f} | {timing.head_agreement:.3f}"
        check = f"{100 * timing.loss_difference:.2f} % | {cosines} | {timing.problem or 'ok'}"
        lines.append(f"| {name} | {marked} | {speed} | {check} |")
    return lines


def profile_table(training: Unmeasured, batch: Batch, way: StepWay, steps: int = 3) -> list[str]:
    """Return the operations in which a step of this way spends its processor time."""
    parts = computing(rehearsal(training, channels_last=way.channels_last), way)
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    laid_out = Batch(batch.images_BCHW.contiguous(memory_format=layout), batch.person_ids_B, batch.camera_ids_B)
    train_step(parts, laid_out)
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        for _ in range(steps):
            train_step(parts, laid_out)
    averages = sorted(seen.key_averages(), key=lambda one: one.self_cpu_time_total, reverse=True)
    total = sum(one.self_cpu_time_total for one in averages)
    lines = [
        f"{way.name}: {total / steps / 1e3:.0f} ms a step (with the profiler on)",
        "",
        "| operation | share | ms a step | calls |",
    ]
    lines.append("|---|---|---|---|")
    for one in averages[:8]:
        milliseconds = one.self_cpu_time_total / steps / 1e3
        lines.append(f"| {one.key} | {100 * one.self_cpu_time_total / total:.0f} % | {milliseconds:.1f} | {one.count // steps} |")
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--profiles", nargs="*", default=["resnet50", "osnet"], choices=list(NETWORKS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()  # as every run does
    load, started = os.getloadavg()[0], time.perf_counter()
    head = [
        "| network, input, batch | way | images a second | ms a step | times eager | loss differs | gradient cosine | head's | |"
    ]
    head.append("|---|---|---|---|---|---|---|---|---|")
    profiles: list[str] = []
    for name in options.networks:
        training, batch = unmeasured(NETWORKS[name])
        open_ways = ways(training.config, CPU, training.model)
        timings = measure_ways(training, open_ways, batch, num_steps=NUM_STEPS)
        head += rows(NETWORKS[name], timings)
        print("\n".join(rows(NETWORKS[name], timings)), flush=True)
        if name in options.profiles:
            profiles += [f"## Where the time goes: {NETWORKS[name].title}", ""]
            profiles += [line for way in (open_ways[0], winner(timings)) for line in profile_table(training, batch, way)]
    took = f"{machine_line()}; load average at the start {load:.1f}; took {time.perf_counter() - started:.0f} s."
    head.append("\nBold: what a run would choose.")
    text = "\n".join(
        ["# The training step", "", "`python benchmarks/step/choices.py`", "", took, "", *head, "", *profiles]
    ).rstrip()
    print(text)
    if options.write:
        options.write.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
