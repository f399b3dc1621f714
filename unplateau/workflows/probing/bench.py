"""What probes work on: a training, standing somewhere, on which anything may be tried because all of it is put back.

Building it from a run folder or from parts, and its batches and steps. What is tried: `planned_probes`.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from unplateau.config.load import load
from unplateau.curves.landmarks import cosine_floor, label_smoothing_floor
from unplateau.data.decode import decode
from unplateau.data.items import Item
from unplateau.data.loader import Batch, EvaluationLoader
from unplateau.data.transforms import Augmentation
from unplateau.engine.checkpoint import has_checkpoint, load_checkpoint, restore
from unplateau.engine.freezing import freeze
from unplateau.engine.model_file import load_state
from unplateau.engine.parts import Parts
from unplateau.engine.precision import choose_device, ways
from unplateau.engine.ranks import Ranks
from unplateau.engine.scoring import RetrievalTask
from unplateau.engine.step_rule import Unmeasured, step_by_rule, way_of_run
from unplateau.engine.train_step import StepTerms, train_step
from unplateau.evaluation.embedded import Embedded
from unplateau.evaluation.extract import extract
from unplateau.models.reid import Outputs
from unplateau.optim.schedules import Schedule, write_rate
from unplateau.probes.leave_no_trace import Stateful, untouched
from unplateau.runs.layout import RunFolder
from unplateau.runs.step_choice import StepChoice, read_step_choice
from unplateau.workflows.training.session import ChooseStep, build_session, plan_data


@dataclass(frozen=True)
class Bench:
    """A training to be probed."""

    parts: Parts
    schedule: Schedule
    step: int = 0
    """Updates done so far."""
    has_fresh_head: bool = False
    """Before the first step, the classifier was new, linear and unscaled."""
    initial: Parts | None = None
    """As the training began; None where `parts` stand there themselves."""
    validation: RetrievalTask | None = None
    train_identities: RetrievalTask | None = None
    epoch: int | None = None
    """Epochs finished with these weights; None where that is not known."""
    scores_average: bool = False
    """The run scores a moving average of its weights, which is not probed."""
    train_items: tuple[Item, ...] = ()
    """The images that are trained on; their person ids are the labels 0..I-1 that the list of files gives them."""

    @cached_property
    def first_batches(self) -> tuple[Batch, ...]:
        """The first batches of an epoch, at most 32, held in memory."""
        return tuple(itertools.islice(self.parts.train_loader.epoch(1), 32))

    @cached_property
    def latest_batches(self) -> tuple[Batch, ...]:
        """The first batches of the epoch in which the training stands, at most 32: what it draws may change on the way."""
        if (self.epoch or 1) <= 1:
            return self.first_batches
        return tuple(itertools.islice(self.parts.train_loader.epoch(self.epoch or 1), 32))

    @property
    def begun(self) -> Parts:
        """The parts as the training began."""
        return self.initial or self.parts

    @property
    def num_identities(self) -> int:
        """Identities trained on."""
        return self.parts.train_loader.num_identities

    @property
    def floor(self) -> float:
        """The lowest value of the main loss."""
        config, losses = self.parts.config.MODEL, self.parts.config.MODEL.LOSSES
        if self.main_term != "cross_entropy":
            return 0.0
        if config.HEADS.CLS_LAYER == "CosineLinear":
            return cosine_floor(self.num_identities, config.HEADS.SCALE, label_smoothing=losses.CE.EPSILON)
        return label_smoothing_floor(self.num_identities, losses.CE.EPSILON)

    @property
    def main_term(self) -> str:
        """The loss that is watched while a probe trains: cross-entropy where it is trained, else the first in use."""
        used = [name for name, scale in self.parts.losses.scales.items() if scale > 0]
        return "cross_entropy" if "cross_entropy" in used else used[0]

    def batches(self) -> Iterator[Batch]:
        """Yield training batches without end."""
        for epoch in itertools.count(1):
            yield from self.parts.train_loader.epoch(epoch)

    def untouched(self) -> AbstractContextManager[None]:
        """Open a block after which everything a step changes is as before."""
        scaler = self.parts.precision.scaler
        others: list[Stateful] = [*self.parts.optimizers, *([scaler] if scaler is not None else [])]
        return untouched([self.parts.model, self.parts.losses], others)

    def train(self, batch: Batch, rate: float) -> float:
        """Do one training step at this rate and return the main loss before it."""
        return float(self.do_step(batch, rate).parts[self.main_term])

    def do_step(self, batch: Batch, rate: float) -> StepTerms:
        """Do one training step at this rate, as the training does it."""
        self.set_rate(rate)
        self.training_mode()
        return train_step(self.parts, batch)

    def set_rate(self, rate: float) -> None:
        """Write the rate into the optimisers, as the schedule does; `untouched` restores it."""
        write_rate(self.parts.optimizers, rate)

    def without_decay(self) -> None:
        """Set the weight decay of every optimiser to 0; `untouched` restores it."""
        for optimizer in self.parts.optimizers:
            for group in optimizer.param_groups:
                group["weight_decay"] = 0.0

    def begin_anew(self) -> None:
        """Put the weights where the training began and empty the optimisers; `untouched` restores both."""
        if self.initial is not None:
            self.parts.model.load_state_dict(self.initial.model.state_dict())
        for optimizer in self.parts.optimizers:
            optimizer.state.clear()

    def training_mode(self) -> None:
        """Put model and frozen layers in the modes a training step has."""
        self.parts.model.train()
        freeze(self.parts.model, self.parts.config, self.step)

    @torch.no_grad()
    def outputs(self, batch: Batch, model: nn.Module | None = None) -> Outputs:
        """Return what a model gives for a batch, in the mode it is in."""
        network = model or self.parts.model
        with self.parts.number_formats(network) if network.training else self.parts.precision.autocast():
            found: Outputs = network(batch.images_BCHW, person_ids_B=batch.person_ids_B, camera_ids_B=batch.camera_ids_B)
        return found

    @torch.no_grad()
    def embed(self, images_BCHW: Tensor, camera_ids_B: Tensor | None = None) -> Tensor:
        """Return embeddings as the evaluation calls the model."""
        self.parts.scored_model.eval()
        with self.parts.precision.autocast():
            found: Tensor = self.parts.scored_model(images_BCHW, camera_ids_B=camera_ids_B).embeddings_BD
        return found.float()

    def evaluation_images(self, items: tuple[Item, ...]) -> Tensor:
        """Return images as the evaluation hands them to the network, (N, C, H, W)."""
        return torch.cat([batch.images_BCHW for batch in EvaluationLoader(items, self.parts.config, device=self.parts.device)])

    def plain_images(self, items: tuple[Item, ...], size_HW: tuple[int, int]) -> Tensor:
        """Return pictures decoded file by file and normalised as configured, past every cache and loader, (N, C, H, W)."""
        pixels_NHWC = torch.from_numpy(np.stack([decode(item.path, size_HW) for item in items]))
        pixels_NCHW = pixels_NHWC.permute(0, 3, 1, 2).to(self.parts.device)
        return Augmentation.for_evaluation(self.parts.config).apply(pixels_NCHW)

    def embedded(self, items: tuple[Item, ...]) -> Embedded:
        """Return the embeddings of images, prepared as the evaluation prepares them."""
        loader = EvaluationLoader(items, self.parts.config, device=self.parts.device)
        batches = ((batch.images_BCHW, batch.person_ids_B, batch.camera_ids_B) for batch in loader)
        return extract(self.embed, batches, flip=self.parts.config.TEST.FLIP.ENABLED)


def bench_of_run(folder: RunFolder) -> Bench:
    """Build a run's training anew and put it where its last checkpoint stands, or its best model.

    Raises:
        ConfigError, DataError, CheckpointError: what the run needs is missing or does not fit.
    """
    config = load(folder.config).config
    device = choose_device(config)
    session = build_session(config, plan_data(config), device=device, ranks=Ranks(), choose=_as_the_run(folder))
    step, initial, epoch = 0, None, None
    if has_checkpoint(folder):
        initial = _copied(session.parts)
        progress = restore(session.parts, load_checkpoint(folder), config)
        step, epoch = progress.step, progress.epoch
    elif folder.best_model.exists():
        initial = _copied(session.parts)
        load_state(folder.best_model, session.parts.model)
        step = 1
    # the average is what is scored, but probes train the weights themselves
    parts = replace(session.parts, average=None)
    return Bench(
        parts, session.schedule, step, session.has_fresh_head, initial, session.plan.validation, session.plan.train_identities,
        epoch, session.parts.average is not None, _labelled(session.plan.train),
    )  # fmt: skip


def _as_the_run(folder: RunFolder) -> ChooseStep:
    def choose(training: Unmeasured) -> StepChoice:
        open_ways = ways(training.config, training.device, training.model)
        return replace(step_by_rule(training), way=way_of_run(read_step_choice(folder), open_ways))

    return choose


def _copied(parts: Parts) -> Parts:
    model, losses, optimizers = copy.deepcopy((parts.model, parts.losses, parts.optimizers))
    return replace(parts, model=model, network=model, losses=losses, optimizers=optimizers, average=None)


def _labelled(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Items with labels 0..I-1 for person ids, in the order of the persons, as the loader gives them."""
    label_of = {person: label for label, person in enumerate(sorted({item.person_id for item in items}))}
    return tuple(replace(item, person_id=label_of[item.person_id]) for item in items)
