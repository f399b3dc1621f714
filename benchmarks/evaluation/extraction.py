"""Turning images into embeddings in every way that a run may choose: how fast, where the time goes, and what it changes.

    python benchmarks/evaluation/extraction.py [--networks resnet50 osnet ...] [--threads 2] [--run RUN_FOLDER] [--write FILE.md]

Speed: networks with random weights in evaluation mode, images of noise, the ways of `unplateau.engine.embed_choice` in turn, the
fastest pass of each. Bold is what a run would choose from these times; a run times smaller batches. With --run, the folder of a
finished run: its best model is scored on its own test set in every way; mAP beside that of plain single precision (REID_DATA
says where the images are). Scores are computed in single precision in every way.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.machine import machine_line
from benchmarks.step.choices import CPU, NETWORKS, Network, unmeasured
from unplateau.config.load import load
from unplateau.data.find import find_items
from unplateau.data.loader import Batch
from unplateau.engine.embed_choice import ToEmbed, embed_ways, winner
from unplateau.engine.embedding import embed, embedding_network, layout_of
from unplateau.engine.host_memory import keep_freed_memory
from unplateau.engine.precision import precision_of
from unplateau.engine.ranks import Ranks
from unplateau.engine.scoring import RetrievalTask, Scorer
from unplateau.models.build import build_model
from unplateau.runs.embed_choice import EmbedTiming, EmbedWay
from unplateau.runs.layout import RunFolder
from unplateau.runs.step_choice import StepWay

BATCH, ROUNDS = 64, 5


@torch.inference_mode()
def passed(network: nn.Module, batch: Batch, way: EmbedWay) -> Tensor:
    """Embed the images, which lie as the way has them."""
    with precision_of(way.number_format, CPU).autocast():
        return embed(network, batch.images_BCHW, batch.camera_ids_B).float()


def networks_of(network: Network) -> tuple[dict[EmbedWay, nn.Module], dict[EmbedWay, Batch]]:
    """Return the network and the images of each way."""
    training, _ = unmeasured(network)
    model = training.model.eval()
    images_BCHW = torch.randn(BATCH, 3, *network.size_HW, generator=torch.Generator().manual_seed(0))
    ids_B = torch.zeros(BATCH, dtype=torch.int64)
    few = Batch(images_BCHW[:4], ids_B[:4], ids_B[:4])
    task = ToEmbed(training.config, CPU, Ranks(), model, StepWay("fp32", False), 0, lambda: few)
    ways = embed_ways(task)
    batches = {way: Batch(images_BCHW.contiguous(memory_format=layout_of(way)), ids_B, ids_B) for way in ways}
    return {way: embedding_network(model, way, lambda: few) for way in ways}, batches


def speed_rows(
    network: Network, networks: dict[EmbedWay, nn.Module], batches: dict[EmbedWay, Batch]
) -> tuple[list[str], EmbedWay]:
    """Return a line of each way, and which is to be chosen."""
    embeddings = {way: passed(networks[way], batches[way], way) for way in networks}
    seconds = dict.fromkeys(networks, float("inf"))
    for _ in range(ROUNDS):
        for way, one in networks.items():
            started = time.perf_counter()
            passed(one, batches[way], way)
            seconds[way] = min(seconds[way], time.perf_counter() - started)
    plain, lines = next(iter(networks)), []
    chosen = winner(tuple(EmbedTiming(way, seconds[way]) for way in networks))
    for way in networks:
        one, other = (torch.nn.functional.normalize(embeddings[each].double(), eps=1e-150) for each in (way, plain))
        alike = float((one * other).sum(1).min())
        times = f"{BATCH / seconds[way]:.0f} | {seconds[plain] / seconds[way]:.2f} | {alike:.5f}"
        name = f"**{way.name}**" if way == chosen else way.name
        lines.append(f"| {network.title}, {network.size_HW[0]}×{network.size_HW[1]} | {name} | {times} |")
    return lines, chosen


def profile_table(network: nn.Module, batch: Batch, way: EmbedWay) -> list[str]:
    """Return the operations in which a pass spends its processor time."""
    passed(network, batch, way)
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        passed(network, batch, way)
    averages = sorted(seen.key_averages(), key=lambda one: one.self_cpu_time_total, reverse=True)
    total = sum(one.self_cpu_time_total for one in averages)
    lines = [f"{way.name}: {total / BATCH / 1e3:.1f} ms an image of processor time (with the profiler on)", ""]
    lines += ["| operation | share | ms an image | calls |", "|---|---|---|---|"]
    for one in averages[:6]:
        milliseconds = one.self_cpu_time_total / BATCH / 1e3
        lines.append(f"| {one.key} | {100 * one.self_cpu_time_total / total:.0f} % | {milliseconds:.2f} | {one.count} |")
    return [*lines, ""]


def accuracy_rows(folder: RunFolder) -> list[str]:
    overrides = ("MODEL.DEVICE", "cpu", "SOLVER.AMP.ENABLED", "True", "SOLVER.CHANNELS_LAST", "auto")
    overrides = (*overrides, "MODEL.WEIGHTS", str(folder.best_model))
    config = load(folder.config, overrides).config
    model = build_model(config, num_identities=0, num_cameras=1).model.eval()
    test = find_items(config).tests[0]
    task, lines, plain = RetrievalTask("test", test.name, test.query, test.gallery), [], None
    nothing = cast("Batch", None)
    for way in embed_ways(ToEmbed(config, CPU, Ranks(), model, StepWay("fp32", False), 0, lambda: nothing)):
        metrics = Scorer(config, device=CPU, ranks=Ranks(), way=way).score(model, task).metrics
        plain = plain or metrics
        change = 100 * (metrics.mAP - plain.mAP)
        lines.append(f"| {test.name} | {way.name} | {100 * metrics.mAP:.3f} | {change:+.3f} | {100 * metrics.cmc['1']:.2f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--profiles", nargs="*", default=["resnet50", "osnet"], choices=list(NETWORKS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    load_before, started = os.getloadavg()[0], time.perf_counter()
    lines = ["| network, input | way | images a second | times eager | least cosine with eager |", "|---|---|---|---|---|"]
    profiles: list[str] = []
    for name in options.networks:
        networks, batches = networks_of(NETWORKS[name])
        rows, chosen = speed_rows(NETWORKS[name], networks, batches)
        print("\n".join(rows), flush=True)
        lines += rows
        if name in options.profiles:
            profiles += [f"## Where the time goes: {NETWORKS[name].title}", ""]
            for way in (next(iter(networks)), chosen):
                profiles += profile_table(networks[way], batches[way], way)
    if options.run:
        lines += ["", "| test set | way | mAP % | change, points | rank-1 % |", "|---|---|---|---|---|"]
        lines += accuracy_rows(RunFolder(options.run))
    head = f"{machine_line()}; batches of {BATCH}, fastest of {ROUNDS}; load average at the start {load_before:.1f}"
    took = f"; took {time.perf_counter() - started:.0f} s"
    command = "`python benchmarks/evaluation/extraction.py`"
    text = "\n".join(["# Embedding images", "", command, "", head + took, "", *lines, "", *profiles]).rstrip() + "\n"
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
