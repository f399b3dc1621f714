"""Where a bug is planted in an experiment: pixels, batches, logits, embeddings, the update. Bugs: `faults_of_*`, `unseen/`.

What is planted reads the batch, module or optimiser it is handed, so that it also acts on a copy of the training.

Shape legend: B batch, D embedding dim, I identities, C/H/W image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from benchmarks.plateaubench.backbones import convolutions_and_norms
from benchmarks.plateaubench.experiment import Experiment, Transform
from benchmarks.plateaubench.recipe import Pictures
from unplateau.data.items import Item
from unplateau.data.loader import Batch
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import StepTerms
from unplateau.evaluation.embedded import Embedded
from unplateau.evaluation.matches import find_matches
from unplateau.evaluation.ranking import Retrieval, matched_queries, measure, retrieve, summarise
from unplateau.losses.terms import LossTerms
from unplateau.models.reid import Outputs

Inject = Callable[[Experiment], None]
Plan = Callable[[Experiment, int], np.ndarray]
ExtraLoss = Callable[[Parts, Batch, Outputs], Tensor]


def change_training_pixels(experiment: Experiment, change: Transform) -> None:
    """Change uint8 pixels before the training's transform; `change` takes (pixels_BCHW, generator)."""
    usual = experiment.transform
    experiment.transform = lambda pixels_BCHW, generator: usual(change(pixels_BCHW, generator), generator)


def change_training_images(experiment: Experiment, change: Transform) -> None:
    """Change float images after the training's transform; `change` takes (images_BCHW, generator)."""
    usual = experiment.transform
    experiment.transform = lambda pixels_BCHW, generator: change(usual(pixels_BCHW, generator), generator)


def change_evaluation_pixels(experiment: Experiment, change: Callable[[Tensor], Tensor]) -> None:
    """Change uint8 pixels of queries and gallery before they are normalised."""
    usual = experiment.evaluator.transform
    experiment.evaluator.transform = lambda pixels_BCHW, generator: usual(change(pixels_BCHW), generator)


def repaint(experiment: Experiment, items: Iterable[Item], paint: Callable[[Item, Tensor], Tensor]) -> None:
    """Replace the stored picture of each item by what `paint` makes of (item, pixels_CHW)."""
    pixels_NCHW, row_of_path = experiment.pictures.pixels_NCHW.clone(), experiment.pictures.row_of_path
    for item in items:
        row = row_of_path[item.path]
        pixels_NCHW[row] = paint(item, pixels_NCHW[row])
    experiment.pictures = Pictures(pixels_NCHW, row_of_path)


def resized(pixels_BCHW: Tensor, size_HW: Sequence[int]) -> Tensor:
    """Return uint8 pixels at another size, interpolated linearly."""
    return F.interpolate(pixels_BCHW.float(), tuple(size_HW), mode="bilinear", align_corners=False).round().byte()


def change_batch(experiment: Experiment, change: Callable[[Batch], Batch]) -> None:
    """Change each batch between the loader and the step."""
    usual = experiment.step
    experiment.step = lambda parts, batch: usual(parts, change(batch))


def relabel_after_sampling(experiment: Experiment, labels_N: np.ndarray) -> None:
    """Give the images other labels, while the sampler goes on grouping them by the true ones."""
    usual, true_N = experiment.plan, experiment.labels_N
    experiment.plan = lambda experiment, epoch: usual(replace(experiment, labels_N=true_N), epoch)
    experiment.labels_N = labels_N


def draw_from(experiment: Experiment, usual: Plan, rows: np.ndarray, epoch: int) -> np.ndarray:
    """Return an epoch of the usual length by the usual sampler, from some rows of the training items only."""
    steps = len(usual(experiment, epoch))
    few = replace(experiment, labels_N=experiment.labels_N[rows], train=tuple(experiment.train[row] for row in rows))
    parts = [rows[usual(few, 1000 * epoch + part)] for part in range(steps)]
    return np.concatenate(parts)[:steps]


def change_logits(experiment: Experiment, change: Callable[[Tensor], Tensor]) -> None:
    """Change the classifier's output on its way to the loss."""
    classifier = experiment.model.head.classifier
    assert classifier is not None
    classifier.register_forward_hook(lambda module, inputs, logits_BI: change(logits_BI))


def change_output(module: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
    """Change what a module of the network gives, in training and evaluation."""
    module.register_forward_hook(lambda module, inputs, output: change(output))


def score_with(experiment: Experiment, gallery_of: Callable[[Experiment], Embedded]) -> None:
    """Let every evaluation rank the gallery that `gallery_of` gives; the queries are embedded as usual."""
    evaluator = experiment.evaluator

    def score(experiment: Experiment) -> Retrieval:
        query = evaluator.embed(experiment, evaluator.query)
        return retrieve(query, gallery_of(experiment), protocol="held-out", dataset=evaluator.query[0].dataset)

    evaluator.score = score  # type: ignore[method-assign]


def rank_by(experiment: Experiment, scores_of: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
    """Let a function of (features_QD, features_GD) give the scores_QG that are ranked; higher is more alike."""
    evaluator = experiment.evaluator

    def score(experiment: Experiment) -> Retrieval:
        query, gallery = evaluator.embed(experiment, evaluator.query), evaluator.embed(experiment, evaluator.gallery)
        matches = find_matches(query, gallery)
        rows_Q = matched_queries(matches)
        scores_QG = np.ascontiguousarray(scores_of(query.features_ND[rows_Q], gallery.features_ND), dtype=np.float32)
        parts = measure([(slice(0, len(rows_Q)), scores_QG)], matches, rows_Q)
        options = {"metric": "euclidean"}
        dataset = evaluator.query[0].dataset
        return summarise(parts, matches, query.person_ids_N, protocol="held-out", dataset=dataset, options=options)

    evaluator.score = score  # type: ignore[method-assign]


def norms(experiment: Experiment) -> list[nn.BatchNorm2d]:
    """Return the backbone's batch-norm layers, from the images on: any network of the bench has them before its rectifiers."""
    layers = convolutions_and_norms(experiment.model.backbone)
    return [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]


def before_update(experiment: Experiment, change: Callable[[list[nn.Parameter]], None]) -> None:
    """Do something with the parameters, and their gradients, just before every update."""
    experiment.optimizers[0].register_step_pre_hook(lambda optimizer, *_: _without_gradient(change, optimizer))


def after_update(experiment: Experiment, change: Callable[[list[nn.Parameter]], None]) -> None:
    """Do something with the parameters just after every update."""
    experiment.optimizers[0].register_step_post_hook(lambda optimizer, *_: _without_gradient(change, optimizer))


def regroup(experiment: Experiment, part: nn.Module, **settings: Any) -> None:
    """Move the parameters of a module into a group of their own with these settings."""
    own = {id(parameter) for parameter in part.parameters()}
    for group in list(experiment.optimizers[0].param_groups):
        inside = [p for p in group["params"] if id(p) in own]
        group["params"] = [p for p in group["params"] if id(p) not in own]
        experiment.optimizers[0].param_groups.append({**group, "params": inside, **settings})


def add_loss(experiment: Experiment, extra: ExtraLoss) -> None:
    """Add a loss of (parts, batch, outputs) to the total of every step."""

    def step(parts: Parts, batch: Batch) -> StepTerms:
        outputs = parts.network(batch.images_BCHW, person_ids_B=batch.person_ids_B)
        terms = parts.losses(outputs.features_BD, outputs.logits_BI, batch.person_ids_B)
        return update(parts, replace(terms, total=terms.total + extra(parts, batch, outputs)))

    experiment.step = step


def change_loss(experiment: Experiment, name: str, value: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    """Let another function of (features_BD, logits_BI, person_ids_B) be the loss of this name."""
    term = experiment.losses.terms[name]
    term.register_forward_hook(lambda module, inputs, term: replace(term, value=value(*inputs)))


def losses_of(parts: Parts, batch: Batch) -> LossTerms:
    """Return the losses of a batch, or of a piece of one, with their graph."""
    outputs = parts.network(batch.images_BCHW, person_ids_B=batch.person_ids_B)
    terms: LossTerms = parts.losses(outputs.features_BD, outputs.logits_BI, batch.person_ids_B)
    return terms


def update(parts: Parts, terms: LossTerms) -> StepTerms:
    """Do the rest of a step whose losses are known: gradients, update, what it leaves behind."""
    for optimizer in parts.optimizers:
        optimizer.zero_grad(set_to_none=True)
    terms.total.backward()
    for optimizer in parts.optimizers:
        optimizer.step()
    return StepTerms(terms.total.detach(), {name: part.detach() for name, part in terms.parts.items()}, terms.measurements)


def _without_gradient(change: Callable[[list[nn.Parameter]], None], optimizer: Optimizer) -> None:
    with torch.no_grad():
        change([parameter for group in optimizer.param_groups for parameter in group["params"]])
