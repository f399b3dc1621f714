"""Graphs beside steps launched singly on a GPU: how the choice went, step times, memory, kernels, the same bits, a checkpoint.

    python benchmarks/gpu/first_look.py [--device cuda] [--tiny]     (tried without a GPU: --device cpu --tiny)

For questions about one card; what is kept up to date is printed by `measure.py`, whose data and recipe this takes. Each
line is printed with the seconds since the start as soon as it is known, so that a run that is cut off has said what it knew.
"""

import argparse
import copy
import hashlib
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity
from torch.profiler import profile as profiler

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.gpu import measure
from unplateau.base.files import sync
from unplateau.config.load import load
from unplateau.data.loader import Batch
from unplateau.engine import checkpoint, graphed, step_choice
from unplateau.engine.graphed import GraphedNetwork
from unplateau.engine.parts import Parts
from unplateau.engine.precision import choose_device
from unplateau.engine.step_choice import computing, wait
from unplateau.engine.stopping import Progress
from unplateau.engine.train_step import train_step
from unplateau.runs.step_choice import StepWay
from unplateau.testing.played_graphs import PlayedRecorder
from unplateau.workflows.training.session import Session, build_session, plan_data

STARTED = time.perf_counter()
_KERNELS, _CALLS = 14, 12
GRAPH = StepWay("bf16", True, is_graphed=True)
SINGLY = GRAPH.launched_singly
SINGLE_PRECISION = replace(SINGLY, number_format="fp32")


def say(*words: object) -> None:
    print(f"[{time.perf_counter() - STARTED:6.1f}]", *words, flush=True)


def session_of(config: Any) -> Session:
    return build_session(
        config, plan_data(config), device=choose_device(config), ranks=measure.Ranks(), choose=measure.choose_step,
        choose_embedding=measure.choose_embedding,
    )  # fmt: skip


def chosen(config: Any, name: str) -> Session:
    """A session, and every time that its choice of a step measured, in milliseconds."""
    seen: dict[str, list[float]] = {}
    true_seconds = step_choice._Runner._seconds

    def seconds(runner: Any, num_steps: int) -> float:
        found = true_seconds(runner, num_steps)
        seen.setdefault(runner.timing.way.name, []).append(round(1e3 * found, 2))
        return found

    step_choice._Runner._seconds = seconds  # type: ignore[method-assign]
    try:
        session = session_of(config)
    finally:
        step_choice._Runner._seconds = true_seconds  # type: ignore[method-assign]
    say(name, session.step.line())
    for way, milliseconds in seen.items():
        print("   ", way, milliseconds)
    return session


def rates(parts: Parts, name: str, num_steps: int) -> Batch:
    """Milliseconds of a step on one batch, fed by the loader, and until it is launched; then memory."""
    parts.model.train()
    batch, on_gpu = next(measure.endless(parts)), parts.device.type == "cuda"
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    measure.steps_a_second(parts, iter(lambda: batch, None), 5)  # type: ignore[arg-type]
    bare = measure.steps_a_second(parts, iter(lambda: batch, None), num_steps)  # type: ignore[arg-type]
    fed = measure.steps_a_second(parts, measure.endless(parts), num_steps)
    wait(parts.device)
    started = time.perf_counter()
    for _ in range(num_steps):
        train_step(parts, batch)
    launched = (time.perf_counter() - started) / num_steps
    wait(parts.device)
    say(name, f"bare {1e3 / bare:.2f} ms fed {1e3 / fed:.2f} ms launching {1e3 * launched:.2f} ms")
    if on_gpu:
        free, total = torch.cuda.mem_get_info()
        peak, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
        outside = total - free - torch.cuda.memory_reserved()
        say(name, f"peak {peak / 1e6:.0f} reserved {reserved / 1e6:.0f} outside {outside / 1e6:.0f} MB")
    return batch


def profile(parts: Parts, batch: Batch, name: str, num_steps: int = 5) -> None:
    """Which kernels take the card's time, and which calls the processor's."""
    with profiler(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        for _ in range(num_steps):
            train_step(parts, batch)
        wait(parts.device)
    events = found.key_averages()
    kernels = [event for event in events if event.device_type == DeviceType.CUDA]
    say(name, f"kernels {sum(event.self_device_time_total for event in kernels) / 1e3 / num_steps:.2f} ms a step")
    for event in sorted(kernels, key=lambda one: -one.self_device_time_total)[:_KERNELS]:
        print("     ", f"{event.self_device_time_total / 1e3 / num_steps:.3f} ms", event.count // num_steps, event.key[:110])
    print("   CPU:")
    calls = [event for event in events if event.device_type == DeviceType.CPU]
    for event in sorted(calls, key=lambda one: -one.self_cpu_time_total)[:_CALLS]:
        print("     ", f"{event.self_cpu_time_total / 1e3 / num_steps:.3f} ms", event.count // num_steps, event.key[:90])


def of_ways(base: Parts, ways: tuple[StepWay, ...], name: str, num_steps: int) -> None:
    for way in ways:
        parts = computing(base, way)
        batch = rates(parts, f"{name} {way.name}", num_steps)
        if isinstance(parts.network, GraphedNetwork):
            profile(parts, batch, f"{name} {way.name}")
            parts.network.release()


def of_the_loader(base: Parts, num_steps: int) -> None:
    loader = measure.endless(base)
    next(loader)
    started = time.perf_counter()
    for _ in range(num_steps):
        next(loader)
    say(f"loader {1e3 * (time.perf_counter() - started) / num_steps:.2f} ms")
    wait(base.device)


def losses_of(base: Parts, way: StepWay, name: str) -> None:
    """The first losses and the weights after them: the same numbers where the kernels are exact."""
    model, losses, optimizers = copy.deepcopy((base.model, base.losses, base.optimizers))
    parts = computing(replace(base, model=model, network=model, losses=losses, optimizers=optimizers, average=None), way)
    parts.model.train()
    torch.manual_seed(1)
    for optimizer in parts.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = 3e-4
    batches = measure.endless(parts)
    totals = [round(float(train_step(parts, next(batches)).total), 6) for _ in range(8)]
    norm = float(sum(weights.detach().double().pow(2).sum() for weights in parts.model.parameters()))
    say("exact kernels,", name, totals, "norm", norm)
    measure.forget_graph(parts)


def of_exact_kernels(base: Parts, num_steps: int) -> None:
    measure.choose_kernels(base.config.model_copy(update={"DETERMINISTIC": True}), base.device)
    for way in (SINGLY, GRAPH):
        parts = computing(base, way)
        rates(parts, f"R50 exact {way.name}", num_steps)
        measure.forget_graph(parts)
    precise = replace(GRAPH, number_format="fp32")
    named = {"eager": SINGLE_PRECISION, "eager again": SINGLE_PRECISION, "graph": precise, "bf eager": SINGLY, "bf graph": GRAPH}
    for name, way in named.items():
        losses_of(base, way, name)
    measure.choose_kernels(base.config, base.device)


def of_a_checkpoint(session: Session, folder: Path) -> None:
    content, path = checkpoint._content(session.parts, Progress(session.schedule), {}), folder / "checkpoint.pth"
    for _ in range(2):
        times = [time.perf_counter()]
        for act in (lambda: torch.save(content, path), lambda: sync(path), lambda: hashlib.sha256(path.read_bytes())):
            act()
            times.append(time.perf_counter())
        saving, syncing, checking = (after - before for before, after in zip(times, times[1:], strict=False))
        say(f"CKPT {path.stat().st_size / 1e6:.0f} MB save {saving:.2f} fsync {syncing:.2f} sha {checking:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=measure.ROOT / "custom_configs" / "Market1501" / "bagtricks_R50.yml")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if arguments.device == "cpu":
        graphed._Recorder = PlayedRecorder  # type: ignore[assignment, misc]
    num_steps = 3 if arguments.tiny else 60
    print(measure.machine_line(), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        overrides, config = measure.configured(arguments, Path(scratch))
        measure.choose_kernels(config, choose_device(config))
        session = chosen(config, "CHOICE")
        of_ways(session.parts, (SINGLE_PRECISION, SINGLY, GRAPH), "R50", num_steps)
        of_the_loader(session.parts, num_steps)
        of_exact_kernels(session.parts, num_steps // 2 + 1)
        of_a_checkpoint(session, Path(scratch))
        mobile = chosen(load(arguments.config, (*overrides, "MODEL.BACKBONE.NAME", "mobilenetv2_100")).config, "MOBILENET")
        precise = replace(GRAPH, number_format="fp32")
        of_ways(mobile.parts, (mobile.step.way.launched_singly, GRAPH, precise), "MNV2", num_steps)


if __name__ == "__main__":
    main()
