"""Builds a training from its configuration: finds the data, holds identities out, makes model, losses, optimisers and loaders.

What happens with it is `train`. Everything that can be wrong with a configuration on this machine is found here, before training.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

from unplateau.base.errors import ConfigError, DataError
from unplateau.config.schema import Config
from unplateau.data.find import find_items
from unplateau.data.fingerprint import fingerprint
from unplateau.data.image_source import ImageSource, open_images
from unplateau.data.items import Found, Item
from unplateau.data.lint import lint, render
from unplateau.data.loader import TrainLoader
from unplateau.data.samplers import BatchShape
from unplateau.engine.embed_choice import ToEmbed, embedding_by_rule, images_as_evaluated
from unplateau.engine.freezing import check_frozen_layers, freeze, unseen_by_losses
from unplateau.engine.frozen_format import frozen_format
from unplateau.engine.graphed import GraphedNetwork
from unplateau.engine.memory_plan import StepMemory, ladder, plan_named
from unplateau.engine.parts import Parts
from unplateau.engine.precision import precision_of
from unplateau.engine.ranks import Ranks
from unplateau.engine.scoring import RetrievalTask, Scorer
from unplateau.engine.step_rule import Unmeasured, step_by_rule
from unplateau.engine.stopping import is_validated, last_epoch
from unplateau.evaluation.protocols import HeldOut, NotHeldOut, hold_out
from unplateau.evaluation.ranking import Retrieval
from unplateau.losses.build import build_losses
from unplateau.models.build import build_model, check_backbone
from unplateau.models.weights import WeightReport
from unplateau.optim.build import build_optimizers
from unplateau.optim.moving_average import MovingAverage
from unplateau.optim.schedules import Schedule
from unplateau.runs.embed_choice import EmbedChoice
from unplateau.runs.step_choice import StepChoice, StepWay

ChooseStep = Callable[[Unmeasured], StepChoice]
ChooseEmbedding = Callable[[ToEmbed], EmbedChoice]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataPlan:
    """Which images are trained on, validated on and tested on."""

    train: tuple[Item, ...]
    all_train: tuple[Item, ...]
    """The images trained on and those held out: decoded together."""
    validation: RetrievalTask | None
    train_identities: RetrievalTask | None
    """As many identities that are trained on, under the validation's protocol: for the gap between seen and unseen."""
    tests: tuple[RetrievalTask, ...]
    fingerprint: str
    notes: tuple[str, ...]
    lint: str = ""
    """What is odd about the data, by names and sizes; empty for nothing."""


@dataclass(frozen=True)
class Session:
    """A training, ready to run."""

    parts: Parts
    schedule: Schedule
    plan: DataPlan
    scorer: Scorer
    weights: WeightReport | None
    has_fresh_head: bool
    notes: tuple[str, ...]
    step: StepChoice
    """In which number format and layout it computes."""
    embedding: EmbedChoice
    """How its scorer embeds images."""


def plan_data(config: Config) -> DataPlan:
    """Find the images and decide who is trained on, validated on and tested on.

    Raises:
        DataNotFoundError: a data set is not where it was looked for.
        DataError: it is there and cannot be used.
    """
    found = find_items(config)
    if not found.train:
        raise DataError(f"{', '.join(config.DATASETS.NAMES)}: no training image was found.")
    tests = tuple(RetrievalTask("test", test.name, test.query, test.gallery) for test in found.tests)
    notes = list(found.notes)
    train, validation, seen = _validation(config, found, tests, notes)
    return DataPlan(train, found.train, validation, seen, tests, fingerprint(found.train), tuple(notes), lint=render(lint(found)))


def _validation(
    config: Config, found: Found, tests: Sequence[RetrievalTask], notes: list[str]
) -> tuple[tuple[Item, ...], RetrievalTask | None, RetrievalTask | None]:
    if config.VALIDATION.ON_TEST:
        notes.append("Validation on query/gallery was asked for: every number chosen by it is optimistic.")
        return found.train, _first_test(tests), None
    if config.VALIDATION.HELD_OUT == 0:
        notes.append("No identities are held out: nothing is validated during training, and the last epoch is the best model.")
        return found.train, None, None
    held = _hold_out(config, found.train)
    if isinstance(held, NotHeldOut):
        notes.append(f"Validation is on query/gallery, because {held.reason}: every number chosen by it is optimistic.")
        return found.train, _first_test(tests), None
    train = tuple(found.train[row] for row in held.train_rows.tolist())
    seen = _hold_out(config, train)
    name = "+".join(config.DATASETS.NAMES)
    return train, _task(held, found.train, name), None if isinstance(seen, NotHeldOut) else _task(seen, train, name)


def _hold_out(config: Config, items: Sequence[Item]) -> HeldOut | NotHeldOut:
    person_ids_N = np.array([item.person_id for item in items])
    camera_ids_N = np.array([item.camera_id for item in items])
    settings = config.VALIDATION
    return hold_out(person_ids_N, camera_ids_N, share=settings.HELD_OUT, minimum=settings.MIN_IDENTITIES, seed=settings.SEED)


def _task(held: HeldOut, items: Sequence[Item], name: str) -> RetrievalTask:
    query, gallery = (tuple(items[row] for row in rows.tolist()) for rows in (held.query_rows, held.gallery_rows))
    return RetrievalTask("held-out", name, query, gallery)


def _first_test(tests: Sequence[RetrievalTask]) -> RetrievalTask:
    if not tests:
        raise ConfigError(["There is nothing to validate on: set VALIDATION.HELD_OUT 0.1, or name a test set in DATASETS.TESTS."])
    return tests[0]


def build_session(
    config: Config, plan: DataPlan, *, device: torch.device, ranks: Ranks, choose: ChooseStep = step_by_rule,
    choose_embedding: ChooseEmbedding = embedding_by_rule,
) -> Session:  # fmt: skip
    """Build everything a training needs. Same configuration, same seed: the same model to the bit.

    Args:
        config: the whole configuration.
        plan: of `plan_data`.
        device: where it trains.
        ranks: the processes that train together.
        choose: says in which number format and layout; the default measures nothing.
        choose_embedding: says so of embedding images for scores.

    Raises:
        ConfigError, DataError, WeightsError: with what to change.
    """
    check_backbone(config)
    _check_processes(config, ranks)
    num_identities = len({item.person_id for item in plan.train})
    _check_identity_count(config, num_identities)
    built = build_model(config, num_identities=num_identities, num_cameras=1 + max(item.camera_id for item in plan.train))
    model = built.model.to(device)
    check_frozen_layers(model, config)
    if config.SOLVER.FREEZE_ITERS == 0:
        freeze(model, config, step=0)
    losses = build_losses(config, num_identities=num_identities, feature_dim=model.feature_dim).to(device)
    images = open_images(plan.all_train, config.INPUT.SIZE_TRAIN, config)
    shape = BatchShape.from_config(config, rank=ranks.rank, world_size=ranks.world_size)
    loader = TrainLoader(plan.train, config, device=device, shape=shape, images=images)
    step = choose(Unmeasured(config, device, ranks, model, losses, loader))
    precision, channels_last = precision_of(step.way.number_format, device), step.way.channels_last
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    loader = loader.laid_out(channels_last)
    images_of_evaluation = partial(images_as_evaluated, plan.all_train, config, device)
    to_embed = ToEmbed(config, device, ranks, model, step.way, images_to_embed(config, plan), images_of_evaluation)
    embedding = choose_embedding(to_embed)
    scorer = Scorer(config, device=device, ranks=ranks, way=embedding.way)
    _open_tasks(scorer, plan, images)
    parts = Parts(
        config=config,
        device=device,
        precision=precision,
        ranks=ranks,
        model=model,
        network=model,
        losses=losses,
        optimizers=build_optimizers(config, model, losses),
        average=MovingAverage(model, decay=config.SOLVER.EMA.DECAY) if config.SOLVER.EMA.ENABLED else None,
        train_loader=loader,
        validate=_validator(scorer, plan.validation),
        frozen=frozen_format(model, config, step.way.frozen_format, device),
        memory=StepMemory.from_config(config, ranks.world_size),
    )
    schedule = Schedule.from_config(config, loader.steps_per_epoch)
    notes = (*plan.notes, *built.notes, *loader.notes)
    return Session(parts, schedule, plan, scorer, built.report, _has_fresh_head(config), notes, step, embedding)


def _has_fresh_head(config: Config) -> bool:
    model = config.MODEL
    return model.HEADS.CLS_LAYER == "Linear" and not model.WEIGHTS and "CrossEntropyLoss" in model.LOSSES.NAME


def _open_tasks(scorer: Scorer, plan: DataPlan, images: ImageSource) -> None:
    for task in (plan.validation, plan.train_identities):
        if task is not None:
            scorer.open(task, images=images if task.protocol == "held-out" else None)


def images_to_embed(config: Config, plan: DataPlan) -> int:
    """Return how many images the whole run embeds for its scores, mirrored ones included."""
    num_validations = sum(is_validated(config, epoch) for epoch in range(1, last_epoch(config) + 1))
    validated = [plan.validation] * num_validations if plan.validation is not None else []
    tested = plan.tests if config.VALIDATION.SCORE_TEST else ()
    tasks = [*validated, *tested, *([plan.train_identities] if plan.train_identities is not None else [])]
    return (2 if config.TEST.FLIP.ENABLED else 1) * sum(len(task.query) + len(task.gallery) for task in tasks)


def wrapped_network(parts: Parts, way: StepWay) -> nn.Module:
    """Return what the training step calls: the model, graphed, compiled or distributed as way, configuration and ranks ask."""
    if way.is_graphed:
        return GraphedNetwork(parts.model, parts.precision)
    network: nn.Module = parts.model
    if parts.config.SOLVER.COMPILE:
        network = torch.compile(network)  # type: ignore[assignment]
    if parts.ranks.world_size > 1:
        devices = [parts.device] if parts.device.type == "cuda" else None
        may_miss = bool(parts.config.SOLVER.FREEZE_ITERS or unseen_by_losses(parts.config))
        network = nn.parallel.DistributedDataParallel(network, device_ids=devices, find_unused_parameters=may_miss)
    return network


def _validator(scorer: Scorer, task: RetrievalTask | None) -> Callable[[nn.Module], Retrieval] | None:
    if task is None:
        return None

    def validate(model: nn.Module) -> Retrieval:
        return scorer.score(model, task)

    return validate


def _check_processes(config: Config, ranks: Ranks) -> None:
    """Refuse what would silently differ on several processes."""
    if ranks.world_size == 1:
        return
    if "CenterLoss" in config.MODEL.LOSSES.NAME:
        raise ConfigError(["CenterLoss keeps its centres on one process: use it with a single process, or leave it out."])
    each = config.SOLVER.IMS_PER_BATCH // ranks.world_size
    if plan_named(config.SOLVER.MEMORY_PLAN) not in ladder(each):
        raise ConfigError([
            f"SOLVER.MEMORY_PLAN is {config.SOLVER.MEMORY_PLAN}, but each of {ranks.world_size} processes has only {each} images "
            f"a step, and a micro-batch needs 2. Use {ladder(each)[-1].name} or less."
        ])  # fmt: skip
    if config.MODEL.FREEZE_LAYERS and config.SOLVER.FREEZE_ITERS:
        raise ConfigError(["SOLVER.FREEZE_ITERS thaws layers during the run, which works on a single process only. Use 0."])


def _check_identity_count(config: Config, num_identities: int) -> None:
    stated = config.MODEL.HEADS.NUM_CLASSES
    if stated not in (0, num_identities):
        raise ConfigError(
            [
                f"MODEL.HEADS.NUM_CLASSES is {stated}, but {num_identities} identities are trained on "
                "(those held out for validation are not). Use 0: it is counted from the data."
            ]
        )
