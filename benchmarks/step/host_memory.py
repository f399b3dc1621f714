"""What keeping freed memory is worth in a CPU training step: the same step in fresh processes, with and without, in turn.

    python benchmarks/step/host_memory.py [--pairs 5] [--write benchmarks/results/host_memory.md]

MobileNetV2, batch 64 at 128x64, channels last, fused Adam, one thread. Prints processor seconds and page faults a step.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

STEPS = 6


def measure(kept: bool) -> dict[str, float]:
    """Return processor seconds and page faults a step; runs in a process of its own."""
    import timm
    import torch

    from unplateau.engine.host_memory import keep_freed_memory

    if kept and not keep_freed_memory():
        raise SystemExit("this C library cannot be told to keep freed memory")
    torch.set_num_threads(1)
    network = timm.create_model("mobilenetv2_100", num_classes=751).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    images_BCHW = torch.randn(64, 3, 128, 64).contiguous(memory_format=torch.channels_last)
    labels_B = torch.randint(0, 751, (64,))

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images_BCHW), labels_B).backward()
        optimizer.step()

    step(), step()
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(STEPS):
        step()
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"seconds": seconds / STEPS, "faults": (after.ru_minflt - before.ru_minflt) / STEPS}


def in_fresh_process(kept: bool) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", "kept" if kept else "plain"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--measure", choices=("kept", "plain"))
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure == "kept")))
        return
    from benchmarks.machine import machine_line

    pairs = [(in_fresh_process(False), in_fresh_process(True)) for _ in range(arguments.pairs)]
    lines = ["# Keeping freed memory between training steps", "", machine_line(), ""]
    lines += ["| pair | plain: s, faults a step | kept: s, faults a step | time ratio |", "|---|---|---|---|"]
    for number, (plain, kept) in enumerate(pairs):
        ratio = kept["seconds"] / plain["seconds"]
        sides = " | ".join(f"{side['seconds']:.3f}, {side['faults']:.0f}" for side in (plain, kept))
        lines.append(f"| {number} | {sides} | {ratio:.2f} |")
    ratios = [kept["seconds"] / plain["seconds"] for plain, kept in pairs]
    lines += ["", f"Median ratio of processor time: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})."]
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
