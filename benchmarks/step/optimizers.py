"""The optimiser's update alone: one fused kernel, torch's foreach kernels, and a plain loop over the parameters.

    python benchmarks/step/optimizers.py [--threads 2] [--write benchmarks/results/optimizers.md]

Parameters and drawn gradients of two networks, in the product's groups; the three ways in turn, the fastest update of each. A run
uses the fused kernel wherever all parameters are floating point on a CPU or a CUDA device (`unplateau.optim.build`).
"""

import argparse
import copy
import os
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.machine import machine_line
from benchmarks.step.choices import NETWORKS, unmeasured
from unplateau.config.schema import Config
from unplateau.optim.build import build_optimizers

WAYS = {
    "fused": {"fused": True, "foreach": False},
    "foreach": {"fused": False, "foreach": True},
    "loop": {"fused": False, "foreach": False},
}
ROUNDS = 15


def milliseconds(network: str, kind: str) -> dict[str, float]:
    """Return the time of an update in each way."""
    training, _ = unmeasured(NETWORKS[network])
    optimizers = {}
    for way, flags in WAYS.items():
        model = copy.deepcopy(training.model)
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter) if parameter.requires_grad else None
        settings = training.config.model_dump()
        settings["SOLVER"]["OPT"] = kind
        (optimizer,) = build_optimizers(Config.model_validate(settings), model, training.losses)
        for group in optimizer.param_groups:
            group.update(flags)
        optimizer.step()
        optimizers[way] = optimizer
    fastest = dict.fromkeys(WAYS, float("inf"))
    for _ in range(ROUNDS):
        for way, optimizer in optimizers.items():
            started = time.perf_counter()
            optimizer.step()
            fastest[way] = min(fastest[way], 1e3 * (time.perf_counter() - started))
    return fastest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    load = os.getloadavg()[0]
    lines = [
        "| network | optimiser | fused, ms | foreach, ms | loop, ms | foreach / fused | loop / fused |",
        "|---|---|---|---|---|---|---|",
    ]
    for network in ("resnet50", "mobilenetv2"):
        for kind in ("Adam", "AdamW", "SGD"):
            took = milliseconds(network, kind)
            ratios = f"{took['foreach'] / took['fused']:.1f} | {took['loop'] / took['fused']:.1f}"
            times = " | ".join(f"{took[way]:.1f}" for way in WAYS)
            lines.append(f"| {NETWORKS[network].title} | {kind} | {times} | {ratios} |")
            print(lines[-1], flush=True)
    head = f"{machine_line()}; fastest of {ROUNDS}; load average at the start {load:.1f}"
    text = "\n".join(["# The optimiser's update", "", "`python benchmarks/step/optimizers.py`", "", head, "", *lines]) + "\n"
    if options.write:
        options.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
