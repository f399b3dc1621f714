"""An experiment: everything of one training that a bug can touch, laid open before the first step.

A fault changes it below the configuration, which goes on saying what its author believes. Running it: `training`.

Shape legend: B batch, N images, S steps of an epoch, C/H/W image, D embedding dim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from benchmarks.plateaubench.data_sets import STANDARD
from benchmarks.plateaubench.recipe import Pictures, load, recipe, with_data
from unplateau.base.randomness import stream_seed
from unplateau.config.schema import Config
from unplateau.data.items import Item
from unplateau.data.loader import Batch, TrainLoader
from unplateau.data.samplers import BatchShape, Population, plan_epoch
from unplateau.data.transforms import Augmentation
from unplateau.engine.parts import Parts
from unplateau.engine.precision import choose_precision
from unplateau.engine.ranks import Ranks
from unplateau.engine.train_step import StepTerms, train_step
from unplateau.evaluation.extract import extract
from unplateau.evaluation.ranking import Retrieval, retrieve
from unplateau.losses.build import build_losses
from unplateau.losses.combine import Losses
from unplateau.models.build import build_model
from unplateau.models.reid import ReidModel
from unplateau.optim.build import build_optimizers
from unplateau.optim.schedules import Schedule

Transform = Callable[[Tensor, torch.Generator], Tensor]
"""(uint8 images_BCHW, generator) -> float images_BCHW."""
_BATCH = 256  # images embedded at once


@dataclass
class Evaluator:
    """How a model is scored: each field is a place where evaluation goes wrong."""

    query: tuple[Item, ...]
    gallery: tuple[Item, ...]
    transform: Transform
    set_mode: Callable[[nn.Module], object]
    """Called before features are taken; puts the model into evaluation mode."""
    model_of: Callable[[Experiment], ReidModel]
    """Which weights are scored."""

    def embed(self, experiment: Experiment, items: tuple[Item, ...]) -> Any:
        """Return the embeddings of items, as retrieval sees them."""
        model = self.model_of(experiment)
        was_training = model.training
        self.set_mode(model)
        generator = torch.Generator().manual_seed(0)
        batches = _evaluation_batches(items, experiment.pictures, self.transform, generator)
        embedded = extract(lambda images, cameras: model(images, camera_ids_B=cameras).embeddings_BD, batches)
        model.train(was_training)
        return embedded

    def score(self, experiment: Experiment) -> Retrieval:
        """Return how well the queries find their person."""
        query, gallery = self.embed(experiment, self.query), self.embed(experiment, self.gallery)
        return retrieve(query, gallery, protocol="held-out", dataset=self.query[0].dataset)


@dataclass
class Experiment:
    """One training before its first step. A fault may change any field."""

    config: Config
    """What the person believes to be training."""
    pictures: Pictures
    """Pixels; a fault takes a copy of its own."""
    train: tuple[Item, ...]
    labels_N: np.ndarray
    """Label of each training item, 0..I-1."""
    transform: Transform
    """Augmentation and normalisation in training."""
    plan: Callable[[Experiment, int], np.ndarray]
    """(experiment, epoch) -> rows of the training items, (S, B): the sampler."""
    model: ReidModel
    losses: Losses
    optimizers: tuple[Optimizer, ...]
    schedule: Schedule
    step: Callable[[Parts, Batch], StepTerms]
    evaluator: Evaluator

    @property
    def num_identities(self) -> int:
        """I, of the classifier."""
        classifier = self.model.head.classifier
        assert classifier is not None
        return len(classifier.weight)

    def parts(self) -> Parts:
        """Return the engine's view of this training."""
        device = torch.device("cpu")
        return Parts(
            config=self.config, device=device, precision=choose_precision(self.config, device), ranks=Ranks(), model=self.model,
            network=self.model, losses=self.losses, optimizers=self.optimizers, average=None,
            train_loader=cast(TrainLoader, Batches(self)), validate=None,
        )  # fmt: skip


class Batches:
    """Batches of an experiment, with the interface of `data.loader.TrainLoader`."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self.num_identities = experiment.num_identities
        self.num_cameras = 1 + max(item.camera_id for item in experiment.train)
        self.person_of_label = tuple(sorted({item.person_id for item in experiment.train}))
        self.steps_per_epoch = len(experiment.plan(experiment, 1))
        self.notes: tuple[str, ...] = ()

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of one epoch; they depend on (seed, epoch) only."""
        experiment = self._experiment
        generator = torch.Generator().manual_seed(stream_seed(experiment.config.SEED, "augmentation", epoch, 0))
        for rows_B in experiment.plan(experiment, epoch):
            yield batch_of(experiment, rows_B, experiment.transform, generator)


def batch_of(experiment: Experiment, rows_B: np.ndarray, transform: Transform, generator: torch.Generator) -> Batch:
    """Return the training batch of these items."""
    items = [experiment.train[row] for row in rows_B]
    images_BCHW = transform(experiment.pictures.of(items), generator)
    cameras_B = torch.tensor([item.camera_id for item in items])
    return Batch(images_BCHW, torch.from_numpy(experiment.labels_N[rows_B]), cameras_B)


def build(changes: dict[str, Any] | None = None, *, seed: int = 0, data: str = STANDARD) -> Experiment:
    """Return a healthy experiment on a data set: the recipe with some dotted keys changed."""
    split, pictures = load(data)
    config = recipe(with_data(changes, data), seed=seed)
    persons = sorted({item.person_id for item in split.train})
    labels_N = np.array([persons.index(item.person_id) for item in split.train], dtype=np.int64)
    model = build_model(config, num_identities=len(persons), num_cameras=6).model.to(memory_format=torch.channels_last)
    losses = build_losses(config, num_identities=len(persons), feature_dim=model.feature_dim)
    evaluator = Evaluator(
        split.query,
        split.gallery,
        plain(Augmentation.for_evaluation(config)),
        nn.Module.eval,
        lambda experiment: experiment.model,
    )
    experiment = Experiment(
        config=config, pictures=pictures, train=split.train, labels_N=labels_N,
        transform=random(Augmentation.from_config(config)), plan=sampler(config.DATALOADER.SAMPLER_TRAIN), model=model,
        losses=losses, optimizers=build_optimizers(config, model, losses), schedule=Schedule.from_config(config, 1),
        step=train_step, evaluator=evaluator,
    )  # fmt: skip
    return replace(experiment, schedule=Schedule.from_config(config, len(experiment.plan(experiment, 1))))


def sampler(name: str, **changes: int) -> Callable[[Experiment, int], np.ndarray]:
    """Return a plan by the product's sampler of this name; `changes` are fields of its `BatchShape`."""

    def plan(experiment: Experiment, epoch: int) -> np.ndarray:
        shape = replace(BatchShape.from_config(experiment.config), **changes)
        present, labels_N = np.unique(experiment.labels_N, return_inverse=True)
        population = Population(labels_N.astype(np.int64), np.array([item.camera_id for item in experiment.train]))
        return plan_epoch(name, population, shape, seed=experiment.config.SEED, epoch=epoch)

    return plan


def random(augmentation: Augmentation) -> Transform:
    """Return the transform that draws augmentations and normalises."""

    def transform(pixels_BCHW: Tensor, generator: torch.Generator) -> Tensor:
        num_images, _, height, width = pixels_BCHW.shape
        draws = None if augmentation.is_identity else augmentation.draw((num_images, height, width), generator)
        return augmentation.apply(pixels_BCHW, draws, channels_last=True)

    return transform


def plain(augmentation: Augmentation) -> Transform:
    """Return the transform that only normalises."""
    return lambda pixels_BCHW, generator: augmentation.apply(pixels_BCHW, channels_last=True)


def _evaluation_batches(
    items: tuple[Item, ...], pictures: Pictures, transform: Transform, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    for start in range(0, len(items), _BATCH):
        part = items[start : start + _BATCH]
        persons, cameras = torch.tensor([item.person_id for item in part]), torch.tensor([item.camera_id for item in part])
        yield transform(pictures.of(part), generator), persons, cameras
