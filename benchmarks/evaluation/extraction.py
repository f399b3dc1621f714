"""Turning images into embeddings in every number format and memory layout: how fast, and what it changes.

    python benchmarks/evaluation/extraction.py [--networks resnet50 osnet ...] [--threads 2] [--run RUN_FOLDER] [--write FILE.md]

Speed: networks with random weights in evaluation mode, batches of noise, the ways in turn, the fastest of each. With --run, the
folder of a finished run: its best model is scored on its own test set in every way, and mAP is compared with plain single
precision's (REID_DATA says where the images are). Scores are computed in single precision in every way. A run evaluates in the
way its steps are computed in (`step_choice.json`), which is chosen by measurement.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.machine import machine_line
from benchmarks.step.choices import CPU, NETWORKS, unmeasured
from unplateau.config.load import load
from unplateau.data.find import find_items
from unplateau.engine.host_memory import keep_freed_memory
from unplateau.engine.precision import precision_of, ways
from unplateau.engine.ranks import Ranks
from unplateau.engine.scoring import RetrievalTask, Scorer
from unplateau.models.build import build_model
from unplateau.runs.layout import RunFolder
from unplateau.runs.step_choice import StepWay

BATCH, ROUNDS = 64, 5


@torch.inference_mode()
def embed(model: nn.Module, images_BCHW: Tensor, way: StepWay) -> Tensor:
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    with precision_of(way.number_format, CPU).autocast():
        embeddings_BD: Tensor = model(images_BCHW.contiguous(memory_format=layout)).embeddings_BD
    return embeddings_BD.float()


def speed_rows(name: str) -> list[str]:
    network = NETWORKS[name]
    training, _ = unmeasured(network)
    open_ways = ways(training.config, CPU, training.model)
    images_BCHW = torch.randn(BATCH, 3, *network.size_HW, generator=torch.Generator().manual_seed(0))
    plain_model, laid_out = training.model.eval(), unmeasured(network)[0].model.eval().to(memory_format=torch.channels_last)
    models = {way: laid_out if way.channels_last else plain_model for way in open_ways}
    embeddings = {way: embed(models[way], images_BCHW, way) for way in open_ways}
    seconds = dict.fromkeys(open_ways, float("inf"))
    for _ in range(ROUNDS):
        for way in open_ways:
            started = time.perf_counter()
            embed(models[way], images_BCHW, way)
            seconds[way] = min(seconds[way], time.perf_counter() - started)
    plain, lines = open_ways[0], []
    for way in open_ways:
        alike = float(torch.nn.functional.cosine_similarity(embeddings[way], embeddings[plain]).min())
        times = f"{BATCH / seconds[way]:.0f} | {seconds[plain] / seconds[way]:.2f} | {alike:.5f}"
        lines.append(f"| {network.title}, {network.size_HW[0]}×{network.size_HW[1]} | {way.name} | {times} |")
    return lines


def accuracy_rows(folder: RunFolder) -> list[str]:
    overrides = ("MODEL.DEVICE", "cpu", "SOLVER.AMP.ENABLED", "True", "MODEL.WEIGHTS", str(folder.best_model))
    config = load(folder.config, overrides).config
    model = build_model(config, num_identities=0, num_cameras=1).model.eval()
    test = find_items(config).tests[0]
    task, lines, plain = RetrievalTask("test", test.name, test.query, test.gallery), [], None
    for way in ways(config, CPU, model):
        layout = torch.channels_last if way.channels_last else torch.contiguous_format
        precision = precision_of(way.number_format, CPU)
        scorer = Scorer(config, device=CPU, precision=precision, ranks=Ranks(), channels_last=way.channels_last)
        metrics = scorer.score(model.to(memory_format=layout), task).metrics
        plain = plain or metrics
        change = 100 * (metrics.mAP - plain.mAP)
        lines.append(f"| {test.name} | {way.name} | {100 * metrics.mAP:.3f} | {change:+.3f} | {100 * metrics.cmc['1']:.2f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    load_before = os.getloadavg()[0]
    lines = ["| network, input | way | images a second | times eager | least cosine with eager |", "|---|---|---|---|---|"]
    lines += [line for name in options.networks for line in speed_rows(name)]
    if options.run:
        lines += ["", "| test set | way | mAP % | change, points | rank-1 % |", "|---|---|---|---|---|"]
        lines += accuracy_rows(RunFolder(options.run))
    head = f"{machine_line()}; batches of {BATCH}, fastest of {ROUNDS}; load average at the start {load_before:.1f}"
    command = "`python benchmarks/evaluation/extraction.py`"
    text = "\n".join(["# Embedding images", "", command, "", head, "", *lines]) + "\n"
    print(text)
    if options.write:
        options.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
