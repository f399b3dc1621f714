"""The probe door on an experiment: watched while it trains, probed where it stands at the end, with the product's own code.

Shape legend: B batch, C/H/W image, D embedding dim.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.plateaubench.experiment import Experiment
from benchmarks.plateaubench.recipe import divide
from unplateau.data.items import Item
from unplateau.data.loader import Batch
from unplateau.data.transforms import Augmentation
from unplateau.diagnosis.case import Case
from unplateau.diagnosis.diagnose import diagnose
from unplateau.engine.parts import Parts
from unplateau.engine.scoring import RetrievalTask
from unplateau.engine.train_step import StepTerms
from unplateau.engine.watching.training_reader import TrainingReader
from unplateau.evaluation.embedded import Embedded
from unplateau.models.classifiers import LinearClassifier
from unplateau.runs.record import Measurement
from unplateau.workflows.probing.bench import Bench
from unplateau.workflows.probing.planned_probes import PLAN
from unplateau.workflows.probing.probe import run_planned, sure_finding, with_measured


@dataclass(frozen=True)
class ExperimentBench(Bench):
    """A bench that trains and scores as the experiment does, its bugs included."""

    experiment: Experiment | None = None

    def do_step(self, batch: Batch, rate: float) -> StepTerms:
        """Do one training step at this rate, as the experiment does it."""
        assert self.experiment is not None
        self.set_rate(rate)
        self.training_mode()
        return self.experiment.step(self.parts, batch)

    @torch.no_grad()
    def embed(self, images_BCHW: Tensor, camera_ids_B: Tensor | None = None) -> Tensor:
        """Return embeddings as the evaluation calls the model."""
        assert self.experiment is not None
        evaluator = self.experiment.evaluator
        model = evaluator.model_of(self.experiment)
        evaluator.set_mode(model)
        embeddings_BD: Tensor = model(images_BCHW, camera_ids_B=camera_ids_B).embeddings_BD
        return embeddings_BD

    def evaluation_images(self, items: tuple[Item, ...]) -> Tensor:
        """Return images as the evaluation hands them to the network."""
        assert self.experiment is not None
        generator = torch.Generator().manual_seed(0)
        images_NCHW: Tensor = self.experiment.evaluator.transform(self.experiment.pictures.of(items), generator)
        return images_NCHW

    def plain_images(self, items: tuple[Item, ...], size_HW: tuple[int, int]) -> Tensor:
        """Return the pictures as they are stored, normalised as configured: what no transform of the experiment touched."""
        assert self.experiment is not None
        return Augmentation.for_evaluation(self.experiment.config).apply(self.experiment.pictures.of(items))

    def embedded(self, items: tuple[Item, ...]) -> Embedded:
        """Return the embeddings of images, prepared as the evaluation prepares them."""
        assert self.experiment is not None
        found: Embedded = self.experiment.evaluator.embed(self.experiment, items)
        return found


@dataclass(frozen=True)
class Round:
    """What one probe brought."""

    name: str
    seconds: float
    """Of the processor."""
    measurements: list[Measurement]


class Probing:
    """All that the product can see of one experiment from inside."""

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        self._reader = TrainingReader(experiment.model, experiment.optimizers, every=50)
        self._initial = copied(experiment.parts())
        self._steps = 0

    def before(self) -> None:
        """Begin to watch."""
        self._reader.open()

    def step(self, terms: StepTerms) -> None:
        """Take in a finished step."""
        self._steps += 1
        self._reader.step({"total": terms.total, **terms.parts})

    def watched(self) -> tuple[Measurement, ...]:
        """Stop watching and return what was seen."""
        self._reader.close()
        return self._reader.measurements()

    def keep_state(self, path: Path) -> None:
        """Write down where the training stands: weights, optimisers, gradients."""
        experiment = self._experiment
        state = {
            "model": experiment.model.state_dict(),
            "losses": experiment.losses.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in experiment.optimizers],
            "gradients": {name: p.grad for name, p in experiment.model.named_parameters() if p.grad is not None},
            "steps": self._steps,
        }
        torch.save(state, path)

    def take_state(self, path: Path) -> None:
        """Put a training that was built anew, its fault included, where it stood."""
        experiment, state = self._experiment, torch.load(path, weights_only=True)
        experiment.model.load_state_dict(state["model"])
        experiment.losses.load_state_dict(state["losses"])
        for optimizer, held in zip(experiment.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(held)
        for name, parameter in experiment.model.named_parameters():
            parameter.grad = state["gradients"].get(name)
        self._steps = state["steps"]

    def rounds(
        self, known: Case, *, only: Sequence[str] = (), until_sure: bool = False, watched: tuple[Measurement, ...] = ()
    ) -> list[Round]:
        """Probe where the training stands: every probe of the plan, or those named.

        Args:
            known: before.
            only: names of probes; none = all.
            until_sure: stop where the product would; otherwise go on whatever the first ones say.
            watched: what was seen live, for judging whether the diagnosis is sure.
        """
        experiment, found = self._experiment, []
        bench = ExperimentBench(
            parts=experiment.parts(), schedule=experiment.schedule, step=self._steps,
            has_fresh_head=_has_fresh_head(experiment), initial=self._initial,
            validation=_held_out_task(experiment),
            train_identities=trained_task(experiment), experiment=experiment, epoch=experiment.config.SOLVER.MAX_EPOCH,
            train_items=_listed(experiment),
        )  # fmt: skip
        case = judged = known
        for planned in (planned for planned in PLAN if not only or planned.name in only):
            if until_sure and sure_finding(diagnose(judged)) is not None:
                break
            started = time.process_time()
            measured = run_planned(bench, planned, case)
            found.append(Round(planned.name, time.process_time() - started, list(measured)))
            case = replace(case, measurements=(*case.measurements, *measured))
            judged = with_measured(judged, (*measured, *watched))
        return found


def copied(parts: Parts) -> Parts:
    """Return parts whose model, losses and optimisers are copies that belong together."""
    model, losses, optimizers = copy.deepcopy((parts.model, parts.losses, parts.optimizers))
    return replace(parts, model=model, network=model, losses=losses, optimizers=optimizers)


def _has_fresh_head(experiment: Experiment) -> bool:
    return isinstance(experiment.model.head.classifier, LinearClassifier) and "cross_entropy" in experiment.losses.terms


def _listed(experiment: Experiment) -> tuple[Item, ...]:
    """The training items with the labels that the experiment lists them with."""
    rows = zip(experiment.train, experiment.labels_N.tolist(), strict=True)
    return tuple(replace(item, person_id=label) for item, label in rows)


def _held_out_task(experiment: Experiment) -> RetrievalTask:
    query, gallery = experiment.evaluator.query, experiment.evaluator.gallery
    return RetrievalTask("held-out", experiment.train[0].dataset, query, gallery)


def trained_task(experiment: Experiment) -> RetrievalTask:
    """Identities that were trained on, as the training's labels say: as many as are held out."""
    held_out = _held_out_task(experiment)
    count = len({item.person_id for item in (*held_out.query, *held_out.gallery)})
    listed = [replace(item, person_id=item.person_id + 1) for item in _listed(experiment) if item.person_id < count]
    query, gallery = divide(listed)
    return RetrievalTask("held-out", held_out.dataset, query, gallery)
