"""Training on a GPU: images a second beside what the card allows, the loader's share, 60 epochs with validation, little memory.

    python benchmarks/gpu/measure.py [--config custom_configs/Market1501/bagtricks_R50.yml] [--device cuda] [--epochs 3]
        [--write benchmarks/results/gpu.md]     (tried without a GPU: --device cpu --tiny)

No data set is needed: persons are drawn, as many images as Market-1501 trains on (with --tiny a few), and the network has random
weights; the arithmetic is that of real ones. Four parts:

- Step: the product's own step in the way it chooses on this machine, on one batch that is there already; where that is a graph,
  also launched singly; and on a GPU as DETERMINISTIC computes it. Beside it the limit: the
  operations of convolutions and matrix products (counted by torch.utils.flop_counter) at the speed of a large matrix product
  here, and the bytes of every operation's inputs and outputs, as the network is written, at the speed of a large copy here; the
  sum, over all operations, of the larger of the two times. What fuses operations may be faster than that.
- Loader: the same steps fed by the loader, and the loader alone.
- Run: a real run of a few epochs through the product, records and checkpoints written; its last epoch, times 60.
- Memory: predicted and used; and, on a GPU, whether a step in three quarters of that memory goes on with a memory plan.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.gpu.limits import Work, limits_of
from benchmarks.machine import machine_line
from unplateau.base.files import read_json
from unplateau.config.load import load
from unplateau.config.schema import Config
from unplateau.data.loader import Batch
from unplateau.engine.embed_choice import choose_embedding
from unplateau.engine.forecast import ForecastError, blank_batch, forecast_memory
from unplateau.engine.graphed import GraphedNetwork
from unplateau.engine.kernels import choose_kernels
from unplateau.engine.memory_plan import PLAIN, StepMemory
from unplateau.engine.parts import Parts
from unplateau.engine.precision import choose_device
from unplateau.engine.ranks import Ranks
from unplateau.engine.step_choice import choose_step, computing, wait
from unplateau.engine.train_step import train_step
from unplateau.testing.small_market import draw_market
from unplateau.workflows.doctor import read_machine
from unplateau.workflows.forecast import ALLOCATOR_SLACK, forecast
from unplateau.workflows.training.request import TrainRequest
from unplateau.workflows.training.session import Session, build_session, plan_data
from unplateau.workflows.training.train import run_training

ROOT = Path(__file__).resolve().parents[2]
EPOCHS, IMAGES_EACH = 60, 6  # images_each: of `draw_market`
MARKET1501_IMAGES = 12_936
_LESS_MEMORY = 0.75


def steps_a_second(parts: Parts, batches: Iterator[Batch], num_steps: int) -> float:
    """Return steps a second over so many steps in a row; the device is waited for at the ends only."""
    train_step(parts, next(batches))
    wait(parts.device)
    started = time.perf_counter()
    for _ in range(num_steps):
        train_step(parts, next(batches))
    wait(parts.device)
    return num_steps / (time.perf_counter() - started)


def endless(parts: Parts) -> Iterator[Batch]:
    epoch = 0
    while True:
        epoch += 1
        yield from parts.train_loader.epoch(epoch)


def step_rows(session: Session, num_steps: int) -> list[str]:
    """Step beside the limit, and the loader's share of it."""
    parts, config = session.parts, session.parts.config
    parts.model.train()
    batch, num_images = next(endless(parts)), config.SOLVER.IMS_PER_BATCH
    limits, singly = limits_of(parts.device, session.step.way), replace(parts, network=parts.model)
    bare = steps_a_second(parts, iter(lambda: batch, None), num_steps)  # type: ignore[arg-type]
    fed = steps_a_second(parts, endless(parts), num_steps)
    loader = endless(parts)
    next(loader)
    started = time.perf_counter()
    for _ in range(num_steps):
        next(loader)
    wait(parts.device)
    of_loader = (time.perf_counter() - started) / num_steps
    with Work(limits) as work, FlopCounterMode(display=False) as counted:
        train_step(singly, batch)
    operations = counted.get_total_flops()
    others = (
        {"launched singly": steps_a_second(singly, iter(lambda: batch, None), num_steps)}
        if singly.network is not parts.network
        else {}
    )  # type: ignore[arg-type]
    if parts.device.type == "cuda":
        others["with exact kernels (DETERMINISTIC)"] = exact_steps_a_second(session, batch, num_steps)
    return [
        f"{config.MODEL.BACKBONE.NAME}, {config.INPUT.SIZE_TRAIN[0]}x{config.INPUT.SIZE_TRAIN[1]}, batch {num_images}. "
        + session.step.line(),
        "",
        "| | |",
        "|---|---|",
        f"| a large matrix product here | {limits.operations_a_second / 1e12:.2f} T operations a second |",
        f"| a large copy here | {limits.bytes_a_second / 1e9:.0f} GB a second |",
        f"| operations of a step | {operations / 1e9:.1f} G |",
        f"| bytes of a step, nothing fused | {work.num_bytes / 1e9:.2f} GB |",
        f"| limit of the card | {num_images / work.seconds:.0f} images a second |",
        f"| **step** | **{num_images * bare:.0f}** images a second, {work.seconds * bare:.2f} of the limit |",
        *(f"| {name} | {num_images * rate:.0f} images a second |" for name, rate in others.items()),
        f"| step fed by the loader | {num_images * fed:.0f} images a second: the loader costs {100 * (1 - fed / bare):.1f} % |",
        f"| loader alone | {1e3 * of_loader:.2f} ms a batch, {100 * of_loader * bare:.1f} % of a step |",
    ]


def exact_steps_a_second(session: Session, batch: Batch, num_steps: int) -> float:
    """Return steps a second in the same way with exact kernels only; the kernels are chosen freely again afterwards."""
    config, parts = session.parts.config, replace(session.parts, network=session.parts.model)
    choose_kernels(config.model_copy(update={"DETERMINISTIC": True}), parts.device)
    exact = computing(parts, session.step.way)
    rate = steps_a_second(exact, iter(lambda: batch, None), num_steps)  # type: ignore[arg-type]
    forget_graph(exact)
    choose_kernels(config, parts.device)
    return rate


def forget_graph(parts: Parts) -> None:
    """Give back what a recorded graph holds; the next step records anew."""
    if isinstance(parts.network, GraphedNetwork):
        parts.network.release()


def run_rows(config_file: Path, overrides: tuple[str, ...], folder: Path, epochs: int) -> list[str]:
    """A real run; its last epoch stands for the others."""
    length = ("SOLVER.MAX_EPOCH", str(epochs), "SOLVER.STEPS", f"[{max(epochs - 1, 1)}]", "VALIDATION.SCORE_TEST", "False")
    started = time.perf_counter()
    ended: list[float] = []
    request = TrainRequest(config_file, "run", (*overrides, *length, "OUTPUT_DIR", str(folder)), is_quiet=True,
                           on_epoch=lambda record: ended.append(time.perf_counter()))  # fmt: skip
    outcome = run_training(request)
    whole = time.perf_counter() - started
    last = read_json(outcome.folder.history)["epochs"][-1]
    training, validation = last["train_seconds"], last["validation_seconds"]
    an_epoch = ended[-1] - ended[-2] if len(ended) > 1 else training + validation
    return [
        "| | seconds |",
        "|---|---|",
        f"| training of the last of {epochs} epochs | {training:.2f} |",
        f"| its validation | {validation:.2f} |",
        f"| records and checkpoint (SOLVER.CHECKPOINT_PERIOD says how often) | {max(an_epoch - training - validation, 0):.2f} |",
        f"| **{EPOCHS} epochs** | **{whole - epochs * an_epoch + EPOCHS * an_epoch:.0f}** (goal on an H200: 300) |",
        "",
        f"{outcome.reason.headline}. "
        + read_json(outcome.folder.path / "embed_choice.json")["way"]["number_format"]
        + " in embedding.",
    ]


def memory_rows(session: Session) -> list[str]:
    """Predicted and used memory of a step, and whether it goes on in less."""
    parts = session.parts
    config = parts.config
    on_cpu = replace(parts, device=torch.device("cpu"))
    blank = blank_batch(config.SOLVER.IMS_PER_BATCH, config.DATALOADER.NUM_INSTANCE, config.INPUT.SIZE_TRAIN)
    if parts.device.type != "cuda":
        try:
            [found] = forecast_memory(on_cpu, blank, [PLAIN])
        except ForecastError as error:
            return [f"Not predicted: {error}"]
        return [f"Predicted: {found.peak_bytes / 1e6:.0f} MB of tensors. Use is measured on a GPU only."]
    batch = next(endless(parts))
    forget_graph(parts)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    for _ in range(2):
        train_step(parts, batch)
    used, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    total = torch.cuda.get_device_properties(parts.device).total_memory
    free = torch.cuda.mem_get_info(parts.device)[0]
    outside = total - free - torch.cuda.memory_reserved()
    forget_graph(parts)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(_LESS_MEMORY * used / total)
    less = replace(parts, memory=StepMemory.from_config(config, 1))
    train_step(less, batch)  # a graph that finds no room is said in the log, and launched singly
    torch.cuda.set_per_process_memory_fraction(1.0)
    told = " ".join(less.memory.told) or "It fitted all the same."
    return [
        *forecast_rows(config, used, reserved, outside),
        f"In {_LESS_MEMORY:.0%} of the tensors' memory: {told}",
    ]


def forecast_rows(config: Config, used: int, reserved: int, outside: int) -> list[str]:
    """What `unplateau doctor --config` says of the same training, beside what it takes."""
    found = forecast(config, read_machine(config, is_asked=False))
    predicted = found.plans[0].peak_bytes
    return [
        "| | predicted | measured | ratio |",
        "|---|---|---|---|",
        f"| tensors and the gaps between them, MB | {predicted / 1e6:.0f} | {reserved / 1e6:.0f} | {predicted / reserved:.2f} |",
        f"| tensors alone, MB | {predicted / ALLOCATOR_SLACK / 1e6:.0f} | {used / 1e6:.0f} "
        f"| {predicted / ALLOCATOR_SLACK / used:.2f} |",
        f"| context and libraries, MB | {found.outside_bytes / 1e6:.0f} | {outside / 1e6:.0f} "
        f"| {found.outside_bytes / max(outside, 1):.2f} |",
        f"| a step, its images included, ms | {1e3 * found.seconds_a_step:.1f} | above | |",
        f"| validation of an epoch, s | {found.validation_seconds:.2f} | below | |",
        "",
    ]


def configured(arguments: argparse.Namespace, folder: Path) -> tuple[tuple[str, ...], Config]:
    """Draw the data; return the overrides that name it, and the configuration."""
    identities = 24 if arguments.tiny else MARKET1501_IMAGES // IMAGES_EACH
    draw_market(folder, train_identities=identities)
    overrides = ["MODEL.DEVICE", arguments.device, "MODEL.BACKBONE.PRETRAIN", "False"]
    overrides += ["DATASETS.ROOT", str(folder), "DATALOADER.CACHE_DIR", str(folder / "cache")]
    overrides += ["DATASETS.NAMES", "[Market1501]", "DATASETS.TESTS", "[Market1501]"]
    if arguments.tiny:
        small = ["MODEL.BACKBONE.NAME", "build_tiny_backbone", "INPUT.SIZE_TRAIN", "[64,32]", "INPUT.SIZE_TEST", "[64,32]"]
        overrides += [*small, "SOLVER.IMS_PER_BATCH", "16", "VALIDATION.MIN_IDENTITIES", "6"]
    return tuple(overrides), load(arguments.config, tuple(overrides)).config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=ROOT / "custom_configs" / "Market1501" / "bagtricks_R50.yml")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        overrides, config = configured(arguments, folder)
        device = choose_device(config)
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read once: the exact steps come later
        choose_kernels(config, device)
        session = build_session(
            config, plan_data(config), device=device, ranks=Ranks(), choose=choose_step, choose_embedding=choose_embedding
        )
        session = replace(session, parts=computing(session.parts, session.step.way))
        sections = {"Step and loader": step_rows(session, arguments.steps), "Memory": memory_rows(session)}
        del session
        sections["Run"] = run_rows(arguments.config, overrides, folder / "logs", arguments.epochs)
    title = (
        "# Training on a GPU" if device.type == "cuda" else "# Training on a GPU: tried without one, so its numbers say nothing"
    )
    lines = [title, "", f"{machine_line()}; load average at the start {load_before:.1f}"]
    for name, rows in sections.items():
        lines += ["", f"## {name}", "", *rows]
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.write:
        arguments.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
