"""What a configuration's training would take: peak memory under each plan, from the network alone, and the time of an epoch,
from a few real steps on a few of its real images. For `unplateau doctor`; the judgement is made there."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from unplateau.config.delta import with_values
from unplateau.config.schema import Config
from unplateau.data.items import Item
from unplateau.data.loader import Batch
from unplateau.data.samplers import BatchShape
from unplateau.doctor.facts import Forecast, Machine, PlanNeed
from unplateau.engine.burst import batches_from
from unplateau.engine.embed_choice import ToEmbed, choose_embedding
from unplateau.engine.forecast import blank_batch, forecast_memory
from unplateau.engine.freezing import freeze
from unplateau.engine.host_memory import keep_freed_memory
from unplateau.engine.memory_plan import MemoryPlan, ladder
from unplateau.engine.parts import Parts
from unplateau.engine.precision import Precision, choose_device, choose_precision, ways
from unplateau.engine.ranks import Ranks
from unplateau.engine.step_choice import computing
from unplateau.engine.step_rule import Unmeasured, ways_to_time
from unplateau.engine.train_step import train_step
from unplateau.workflows.training.session import DataPlan, Session, build_session, plan_data

CONTEXT_BYTES = 830_000_000  # of a CUDA process: context, libraries, workspaces; benchmarks/gpu/measure.py on an H200
PROCESS_BYTES = 800_000_000  # of Python with torch and all that a training imports, on the CPU; benchmarks/memory/predict.py
ALLOCATOR_SLACK = 1.15  # gaps beside the tensors; chosen on two networks of benchmarks/memory/predict.py, checked on the others
_STEPS, _LONGEST_SECONDS = 8, 30.0  # timed; the first is left out
_BATCHES_OF_IMAGES = 3  # so many are decoded for the timed steps


def forecast(config: Config, machine: Machine, *, card_bytes: int | None = None) -> Forecast:
    """Return what training by this configuration on this machine would take.

    Args:
        config: with data and weights that are there.
        machine: its memory and GPUs.
        card_bytes: memory of a card that need not be here; the plans are for it then, the times still for this machine.

    Raises:
        ConfigError, DataError, WeightsError: as a training would.
        ForecastError: the network cannot be run without values.
    """
    device = choose_device(config)
    if device.type == "cpu":
        keep_freed_memory()
    plan = plan_data(config)
    with tempfile.TemporaryDirectory(prefix="unplateau-forecast-", ignore_cleanup_errors=True) as folder:
        session = build_session(_small(config, Path(folder)), _a_few(plan, config), device=device, ranks=Ranks())
        found = _with_memory(_described(config, session), config, plan, machine, card_bytes=card_bytes, device=device)
        seconds, validation_seconds = _times(session, plan)
    steps = BatchShape.from_config(config).steps(len(plan.train))
    note = "" if card_bytes is None else "Time is that of this machine."
    return replace(
        found, seconds_a_step=seconds, steps_an_epoch=steps, validation_seconds=validation_seconds / config.TEST.EVAL_PERIOD,
        num_epochs=config.SOLVER.MAX_EPOCH, device=_name(device), note=note,
    )  # fmt: skip


def _small(config: Config, folder: Path) -> Config:
    """The configuration with a cache of its own, and weights that do not matter."""
    unlike = {"MODEL.BACKBONE.PRETRAIN": False, "MODEL.WEIGHTS": "", "MODEL.HEADS.NUM_CLASSES": 0}
    return with_values(config, {"DATALOADER.CACHE_DIR": folder.as_posix(), **unlike})


def _a_few(plan: DataPlan, config: Config) -> DataPlan:
    """Keep the images of so many identities as the timed steps need."""
    by_person: dict[int, list[Item]] = {}
    for item in plan.train:
        by_person.setdefault(item.person_id, []).append(item)
    kept: list[Item] = []
    least = max(_BATCHES_OF_IMAGES * config.SOLVER.IMS_PER_BATCH, 1)
    for number, items in enumerate(by_person.values()):
        if len(kept) >= least and number >= config.SOLVER.IMS_PER_BATCH // config.DATALOADER.NUM_INSTANCE:
            break
        kept += items
    return replace(plan, train=tuple(kept), all_train=tuple(kept), validation=None, train_identities=None, tests=())


def _described(config: Config, session: Session) -> Forecast:
    height, width = config.INPUT.SIZE_TRAIN
    batch, precision = config.SOLVER.IMS_PER_BATCH, session.parts.precision.name
    return Forecast(what=f"{config.MODEL.BACKBONE.NAME}, {batch} images of {height}x{width} a step, {precision}")


def _with_memory(
    found: Forecast, config: Config, plan: DataPlan, machine: Machine, *, card_bytes: int | None, device: torch.device
) -> Forecast:
    """Add what the plans take, the most first, down to one that fits."""
    is_card = card_bytes is not None or device.type == "cuda"
    gpus = machine.torch.gpus if machine.torch is not None else ()
    has_bytes, whose = machine.free_memory_bytes, "free on this machine"
    if device.type == "cuda" and gpus:
        gpu = gpus[device.index or 0]
        has_bytes, whose = gpu.memory_bytes, gpu.name
    if card_bytes is not None:
        has_bytes, whose = card_bytes, "the card asked for"
    outside = CONTEXT_BYTES if is_card else PROCESS_BYTES
    parts = _parts_on_cpu(config, plan, is_card=is_card)
    size, batch_size = config.INPUT.SIZE_TRAIN, config.SOLVER.IMS_PER_BATCH
    batch = blank_batch(batch_size, config.DATALOADER.NUM_INSTANCE, size)
    needs: list[PlanNeed] = []
    for memory_plan in _plans(config, batch_size):
        [need] = forecast_memory(parts, batch, [memory_plan])
        peak_bytes = int(ALLOCATOR_SLACK * need.peak_bytes)
        needs.append(PlanNeed(memory_plan.name, memory_plan.words(batch_size), peak_bytes))
        if len(needs) > 1 and peak_bytes + outside <= has_bytes:
            break
    return replace(found, plans=tuple(needs), outside_bytes=outside, has_bytes=has_bytes, whose=whose)


def _plans(config: Config, batch_size: int) -> Iterator[MemoryPlan]:
    """The plans that the training may take."""
    name = config.SOLVER.MEMORY_PLAN
    for plan in ladder(batch_size):
        if name == "auto" or plan.name == {"off": "plain"}.get(name, name):
            yield plan


def _parts_on_cpu(config: Config, plan: DataPlan, *, is_card: bool) -> Parts:
    """A training of all identities, in the number format of the card."""
    cpu = torch.device("cpu")
    config = with_values(config, {"MODEL.BACKBONE.PRETRAIN": False, "MODEL.WEIGHTS": "", "MODEL.DEVICE": "cpu"})
    precision = choose_precision(config, cpu) if not is_card else _card_precision(config)
    no_images = replace(plan, validation=None, train_identities=None, tests=())
    session = build_session(with_values(config, {"DATALOADER.CACHE": "off"}), no_images, device=cpu, ranks=Ranks())
    return replace(session.parts, precision=precision, validate=None)


def _card_precision(config: Config) -> Precision:
    return Precision("cpu", torch.bfloat16 if config.SOLVER.AMP.ENABLED else None, None)  # fp16 takes as many bytes


def _times(session: Session, plan: DataPlan) -> tuple[float, float]:
    """Return the seconds of a step, its images included, and those of embedding the whole validation."""
    parts = _as_likely(session)
    parts.model.train()
    begun, batches = time.perf_counter(), batches_from(parts.train_loader, 1)
    seconds: list[float] = []
    session.schedule.apply(parts.optimizers, 0)
    while len(seconds) <= _STEPS and (len(seconds) < 2 or time.perf_counter() - begun < _LONGEST_SECONDS):
        started = time.perf_counter()
        batch = next(batches)
        freeze(parts.model, parts.config, 0)
        float(train_step(parts, batch).total)  # waits for the device
        seconds.append(time.perf_counter() - started)
    num_validated = len(plan.validation.query) + len(plan.validation.gallery) if plan.validation is not None else 0
    embedding = _seconds_an_embedding(parts, batch, num_validated) if num_validated else 0.0
    return statistics.median(seconds[1:]), embedding * num_validated


def _as_likely(session: Session) -> Parts:
    """The parts computing as a run will probably choose: by rule, and on a GPU as a graph."""
    parts = session.parts
    training = Unmeasured(parts.config, parts.device, parts.ranks, parts.model, parts.losses, parts.train_loader)
    return computing(parts, ways_to_time(training)[-1])


def _seconds_an_embedding(parts: Parts, batch: Batch, num_validated: int) -> float:
    """Seconds for each image, in the way that the training will choose for its validations."""
    config, passes = parts.config, 2 if parts.config.TEST.FLIP.ENABLED else 1
    parts.model.eval()
    num_images = passes * num_validated * max(1, config.SOLVER.MAX_EPOCH // config.TEST.EVAL_PERIOD)
    likely = ways(config, parts.device, parts.model)[-1]
    choice = choose_embedding(ToEmbed(config, parts.device, Ranks(), parts.model, likely, num_images, lambda: batch))
    chosen = [timing for timing in choice.timings if timing.way == choice.way]
    return passes * (chosen[0].seconds / choice.num_images if chosen else _seconds_as_steps(parts, batch))


@torch.inference_mode()
def _seconds_as_steps(parts: Parts, batch: Batch) -> float:
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        with parts.precision.autocast():
            float(parts.model(batch.images_BCHW, camera_ids_B=batch.camera_ids_B).embeddings_BD.sum())
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) / len(batch.person_ids_B)


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} processor thread(s)" if device.type == "cpu" else str(device)
