"""Real run 1: the product on full Market-1501, all identities, several seeds; its training time beside a bare loop's.

    python benchmarks/market1501/real_run.py WEIGHTS [--config FILE] [--seeds 3] [--bare-loop SCRIPT DATA]
        [--write FILE] [KEY VALUE ...]

Set REID_DATA to the folder that holds Market-1501-v15.09.15. WEIGHTS is torchvision's mobilenet_v2-b0353104.pth. A bare loop
is any script called with (DATA, WEIGHTS, epochs) that prints "... N s training" after each epoch; an epoch of it runs before
each seed, so that both sides see the same machine. Finished seeds are not run again.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.machine import machine_line
from unplateau.config.load import load
from unplateau.runs.step_choice import StepWay

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "custom_configs" / "market1501_mobilenetv2_cpu.yml"
BARE_EPOCHS = 1


def train(config: Path, weights: str, seed: int, overrides: list[str]) -> Path:
    """Train one seed with the product's own command and return its run folder."""
    name = f"real_run_{config.stem}_seed{seed}"
    folder = Path("logs/market1501") / f"{name}_refit"
    resume = ["--resume"] if (folder / "checkpoints" / "manifest.json").exists() else []
    command = [sys.executable, str(ROOT / "train_research_grade.py"), "--config-file", str(config), "--run-name", name, "--refit"]
    settings = ["MODEL.BACKBONE.PRETRAIN_PATH", weights, "SEED", str(seed), *overrides]
    subprocess.run([*command, *resume, *settings], check=True)
    return folder


def bare_seconds(script: str, data: str, weights: str) -> float:
    """Return the bare loop's training seconds an epoch."""
    output = subprocess.run(
        [sys.executable, script, data, weights, str(BARE_EPOCHS)], check=True, capture_output=True, text=True
    ).stdout
    return float(re.findall(r"(\d+) s training", output)[-1]) / BARE_EPOCHS


def summary(runs: list[Path], bare: list[float]) -> list[str]:
    lines = ["| seed | test mAP | rank-1 | epochs | training s an epoch | bare loop | ratio |", "|---|---|---|---|---|---|---|"]
    maps, firsts, ratios = [], [], []
    for seed, run in enumerate(runs):
        info = json.loads((run / "model_info.json").read_text(encoding="utf-8"))
        epochs = json.loads((run / "training_history.json").read_text(encoding="utf-8"))["epochs"]
        test = info["test"][0]
        seconds = statistics.median(epoch["train_seconds"] for epoch in epochs)
        maps.append(100 * test["mAP"])
        firsts.append(100 * test["cmc"]["1"])
        beside = f"{bare[seed]:.1f} | {seconds / bare[seed]:.2f}" if seed < len(bare) else "- | -"
        ratios += [seconds / bare[seed]] if seed < len(bare) else []
        lines.append(f"| {seed} | {maps[-1]:.2f} | {firsts[-1]:.2f} | {len(epochs)} | {seconds:.1f} | {beside} |")
    if len(maps) == 1:
        lines += ["", f"Test mAP {maps[0]:.2f} %, rank-1 {firsts[0]:.2f} %: one seed, so its spread is not known."]
    else:
        score = f"Test mAP {statistics.mean(maps):.2f} ± {statistics.stdev(maps):.2f}, rank-1 {statistics.mean(firsts):.2f}"
        lines += ["", f"{score} (mean ± standard deviation over {len(maps)} seeds, %)."]
    if ratios:
        lines.append(f"Training time over the bare loop's: {statistics.median(ratios):.2f} (median).")
    return lines


def speed(run: Path, seconds: float) -> str:
    """How steps were computed, and how fast they were."""
    epochs = json.loads((run / "training_history.json").read_text(encoding="utf-8"))["epochs"]
    way = json.loads((run / "step_choice.json").read_text(encoding="utf-8"))["way"]
    images = statistics.median(epoch["images_per_second"] for epoch in epochs)
    return (
        f"Seed 0: steps in {StepWay(**way).name}, {images:.0f} images a second (median of the epochs). The whole command, from "
        f"the image files to the test scores, took {seconds:.0f} s."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights")
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--bare-loop", nargs=2, metavar=("SCRIPT", "DATA"))
    parser.add_argument("--write", type=Path)
    arguments, overrides = parser.parse_known_args()
    runs, bare, seconds = [], [], []
    for seed in range(arguments.seeds):
        if arguments.bare_loop:
            bare.append(bare_seconds(*arguments.bare_loop, arguments.weights))
        started = time.perf_counter()
        runs.append(train(arguments.config, arguments.weights, seed, overrides))
        seconds.append(time.perf_counter() - started)
    config = load(arguments.config).config
    height, width = config.INPUT.SIZE_TRAIN
    recipe = f"`custom_configs/{arguments.config.name}` with `--refit`, ImageNet weights of torchvision, "
    recipe += f"{config.SOLVER.MAX_EPOCH} epochs, query/gallery scored once."
    lines = [f"# Market-1501, MobileNetV2, {height}x{width}, all identities", "", recipe, "", machine_line(), ""]
    text = "\n".join([*lines, *summary(runs, bare), "", speed(runs[0], seconds[0])]) + "\n"
    print(text)
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
