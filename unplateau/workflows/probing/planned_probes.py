"""Every probe on a bench, in the order of what they cost: B is one forward and backward pass, F one forward pass.

Measures only. When to stop: `probe`; judging: `unplateau.diagnosis.rules.probed_table`.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from unplateau.data.loader import Batch
from unplateau.engine.preflight import preflight
from unplateau.evaluation.embedded import Embedded
from unplateau.evaluation.ranking import retrieve
from unplateau.losses.build import build_losses
from unplateau.losses.combine import Losses
from unplateau.models.reid import Outputs
from unplateau.probes.batch_norms import batch_norms
from unplateau.probes.blank_input import blank_input
from unplateau.probes.classifier_scale import classifier_scale
from unplateau.probes.dead_units import dead_units, zero_weights
from unplateau.probes.evaluation_self_check import (
    batch_invariance,
    embedding_difference,
    gallery_in_itself,
    independent_evaluation,
    same_camera_first,
    shuffled_features,
)
from unplateau.probes.features import features
from unplateau.probes.forward_noise import forward_noise
from unplateau.probes.loss_hypotheses import Batch as Seen
from unplateau.probes.loss_hypotheses import explanations
from unplateau.probes.losses_as_configured import loss_gradients, losses_as_configured
from unplateau.probes.lr_range import lr_range
from unplateau.probes.overfit_batch import overfit_batch
from unplateau.probes.train_identity_gap import train_identity_gap
from unplateau.probes.triplets import triplets
from unplateau.runs.record import Measurement
from unplateau.workflows.probing.bench import Bench
from unplateau.workflows.probing.planned import Measurements, Planned
from unplateau.workflows.probing.planned_data_probes import agreement, labels_and_inputs, plain_view
from unplateau.workflows.probing.planned_gradient_probes import (
    conflict,
    delivery,
    gradient_noise,
    motion,
    slopes,
)
from unplateau.workflows.probing.planned_twin_probes import evaluation_again, formula, model_again, pictures, updates

_GEOMETRY_BATCHES, _LOSS_BATCHES, _BLANK_STEPS = 4, 3, 12
_RANGE_STEPS, _OVERFIT_STEPS = 60, 60
_INVARIANCE_IMAGES = 8
_QUERIES = 50
_OWN_IMAGES = 64


def first_step(bench: Bench, _: Measurements) -> Measurements:
    """Preflight, as the training began: logits, pairs, and the first loss beside theory."""
    measured = preflight(bench.begun, bench.schedule, has_fresh_head=bench.has_fresh_head)
    return tuple(m for m in measured if not m.group)  # motion by group is measured anew, on more updates


def as_configured(bench: Bench, _: Measurements) -> Measurements:
    """The losses of some batches beside those the configuration asks for, and what would explain a difference."""
    bench.training_mode()
    batches, parts, model = bench.first_batches[:_LOSS_BATCHES], bench.parts, bench.parts.model
    configured = build_losses(parts.config, num_identities=bench.num_identities, feature_dim=model.feature_dim).to(parts.device)
    outputs = [bench.outputs(batch) for batch in batches]
    rows = [losses_as_configured(parts.losses, configured, o, b.person_ids_B) for o, b in zip(outputs, batches, strict=True)]
    found = (*rows[0], *_explanations(bench, outputs, rows), *_loss_gradients(bench, configured, outputs))
    weight_ID = getattr(model.head.classifier, "weight", None)
    if outputs[0].logits_BI is not None and weight_ID is not None:
        found = (*found, *classifier_scale(outputs[0].logits_BI, outputs[0].embeddings_BD, weight_ID))
    return (*found, Measurement("embedding_dim", float(outputs[0].embeddings_BD.shape[1]), "dimensions"))


def geometry(bench: Bench, _: Measurements) -> Measurements:
    """Batch statistics, triplets of the first batch, and the space that features use, as the losses see them."""
    bench.training_mode()
    batches = bench.first_batches[:_GEOMETRY_BATCHES]
    # first of all: every pass in training mode moves the running statistics
    norms = batch_norms(bench.parts.model, lambda: [bench.outputs(batch) for batch in batches], step=bench.step)
    outputs = [bench.outputs(batch) for batch in batches]
    margin = bench.parts.config.MODEL.LOSSES.TRI.MARGIN
    features_ND = torch.cat([output.features_BD for output in outputs])
    found = triplets(outputs[0].features_BD, batches[0].person_ids_B, margin=margin, step=bench.step)
    noise = forward_noise(outputs[0].features_BD, bench.outputs(batches[0]).features_BD, step=bench.step)
    dead = dead_units(bench.parts.model, lambda: [bench.outputs(batch) for batch in batches], step=bench.step)
    steps = Measurement("steps_trained", float(bench.step), "steps", bench.step)
    zeros = zero_weights(bench.parts.model, step=bench.step)
    return (
        steps,
        *zeros,
        *norms,
        *found,
        *features(features_ND, step=bench.step),
        *noise,
        *dead,
        *_dead_at_start(bench, batches),
    )


def evaluation(bench: Bench, _: Measurements) -> Measurements:
    """Whether the evaluation contradicts itself."""
    batch = bench.first_batches[0]
    found = batch_invariance(bench.embed, batch.images_BCHW[:_INVARIANCE_IMAGES])
    scored_BD = bench.embed(batch.images_BCHW)
    bench.parts.model.eval()
    found = (*found, *embedding_difference(bench.outputs(batch).embeddings_BD.float(), scored_BD))
    if bench.validation is None:
        return found
    query, gallery = bench.embedded(bench.validation.query), bench.embedded(bench.validation.gallery)
    shuffled = shuffled_features(query, gallery, seed=bench.parts.config.SEED)
    itself = gallery_in_itself(query, gallery, most_queries=10 * _QUERIES)
    other = independent_evaluation(query, gallery, most_queries=_QUERIES)
    # a run that scores a moving average logs the average's mAP, which says nothing of these weights
    weights_of = (
        ()
        if bench.epoch is None or bench.scores_average
        else (Measurement("epoch_of_weights", float(bench.epoch), "epochs", bench.step),)
    )
    own = (*_own_embeddings(bench, "query", query), *_own_embeddings(bench, "gallery", gallery))
    return (*found, *own, *itself, *shuffled, *same_camera_first(query, gallery), *other, *weights_of)


def gap(bench: Bench, _: Measurements) -> Measurements:
    """Retrieval among trained identities beside retrieval among others."""
    if bench.validation is None or bench.train_identities is None:
        return ()
    seen, unseen = (
        retrieve(bench.embedded(task.query), bench.embedded(task.gallery), protocol=task.protocol).metrics
        for task in (bench.train_identities, bench.validation)
    )
    return train_identity_gap(seen, unseen, step=bench.step)


def blank(bench: Bench, _: Measurements) -> Measurements:
    """The loss trained on images beside the loss trained on blank ones."""
    batches = [(batch.images_BCHW, batch) for batch in bench.first_batches[:_BLANK_STEPS]]
    by_ids = {id(batch.person_ids_B): batch for _, batch in batches}

    def step(images_BCHW: Tensor, person_ids_B: Tensor) -> float:
        return bench.train(replace(by_ids[id(person_ids_B)], images_BCHW=images_BCHW), bench.schedule.peak_rate)

    return blank_input(step, [(images, batch.person_ids_B) for images, batch in batches], bench.untouched)


def rate_range(bench: Bench, _: Measurements) -> Measurements:
    """The loss while the rate rises."""
    batches = bench.batches()
    found = lr_range(lambda rate: bench.train(next(batches), rate), num_steps=_RANGE_STEPS)
    return (*found, Measurement("probed_rate", bench.schedule.peak_rate, "learning rate"))


def one_batch(bench: Bench, before: Measurements) -> Measurements:
    """One batch learned by heart at the run's peak rate; at the range test's rate too where it was not."""
    bench.without_decay()
    found = [*_overfit(bench, bench.schedule.peak_rate, ""), Measurement("overfit_floor", bench.floor, "nats")]
    first, last = found[0].value, found[1].value
    best = next((m.value for m in before if m.name == "rate_of_steepest_descent"), None)
    if best is not None and first is not None and last is not None and first - last < 0.5 * (first - bench.floor):
        found += _overfit(bench, best, "best rate")
    return tuple(found)


PLAN: tuple[Planned, ...] = (
    Planned("labels and inputs", "32 batches", labels_and_inputs, steps=3),
    Planned("first step", "2 F + 1 B", first_step, steps=3),
    Planned("motion", "5 B", motion, steps=7),
    Planned("delivered gradient", "6 to 12 B", delivery, steps=12),
    Planned("updates as configured", "4 B", formula, steps=6),
    Planned("losses as configured", "3 F", as_configured, steps=2),
    Planned("model as configured", "4 F + 2 B", model_again, steps=7),
    Planned("numeric gradient", "6 F + 1 B of 4 images, 100 F where they differ", slopes, steps=4),
    Planned("triplets and features", "17 F", geometry, steps=6),
    Planned("label agreement", "64 F", agreement, steps=15),
    Planned("plain view", "32 F", plain_view, steps=11),
    Planned("pictures of files", "a sample of files", pictures, steps=48),
    Planned("updates kept", "16 B", updates, steps=20),
    Planned("loss conflict", "4 F, 8 backward passes", conflict, steps=4),
    Planned("noise scale", "8 B", gradient_noise, steps=6),
    Planned("evaluation self-check", "1 evaluation", evaluation, steps=1, evaluations=2),
    Planned("evaluation again", "1 evaluation", evaluation_again, steps=3, evaluations=2),
    Planned("blank input", "24 B", blank, steps=24),
    Planned("learning-rate range", "60 B", rate_range, steps=60),
    Planned("one batch", "60 to 120 B", one_batch, steps=120),
    Planned("train-identity gap", "2 evaluations", gap, evaluations=4),
)
"""The cheapest information first, the pipeline before the rest."""


def _explanations(bench: Bench, outputs: list[Outputs], rows: list[Measurements]) -> Measurements:
    """For each loss whose value differs in any batch, every known mistake that may explain it."""
    losses = bench.parts.config.MODEL.LOSSES
    found: list[Measurement] = []
    for name in {m.group for m in rows[0] if m.name == "loss_trained"}:
        values = [{m.name: m.value or 0.0 for m in row if m.group == name} for row in rows]
        if all(v["loss_trained"] == v["loss_configured"] for v in values):
            continue
        seen = [
            Seen(o.features_BD.float(), None if o.logits_BI is None else o.logits_BI.float(), b.person_ids_B, v["loss_trained"],
                 v["loss_configured"])
            for o, b, v in zip(outputs, bench.first_batches, values, strict=False)
        ]  # fmt: skip
        found += explanations(name, seen, smoothing=losses.CE.EPSILON, margin=losses.TRI.MARGIN, step=bench.step)
    return tuple(found)


def _loss_gradients(bench: Bench, configured: Losses, outputs: list[Outputs]) -> Measurements:
    """Each loss's gradient, of the first batch on which it has one as configured."""
    found: dict[tuple[str, str], Measurement] = {}
    for output, batch in zip(outputs, bench.first_batches, strict=False):
        for m in loss_gradients(bench.parts.losses, configured, output, batch.person_ids_B):
            found.setdefault((m.name, m.group), m)
    return tuple(found.values())


def _dead_at_start(bench: Bench, batches: tuple[Batch, ...]) -> Measurements:
    if bench.initial is None:
        return ()
    model = bench.initial.model
    was_training = model.training
    model.train()
    found = dead_units(model, lambda: [bench.outputs(batch, model) for batch in batches], step=0)
    model.train(was_training)
    return tuple(replace(m, group=f"initial weights, {m.group}") for m in found if m.group)


def _own_embeddings(bench: Bench, name: str, embedded: Embedded) -> Measurements:
    """The trained weights' embeddings of the images the evaluation prepared, beside those it ranks; not with flipped copies."""
    assert bench.validation is not None
    if bench.parts.config.TEST.FLIP.ENABLED or bench.scores_average:
        return ()
    items = getattr(bench.validation, name)[:_OWN_IMAGES]
    images_NCHW = bench.evaluation_images(items)
    cameras_N = torch.tensor([item.camera_id for item in items], device=images_NCHW.device)
    bench.parts.model.eval()
    own_ND = bench.outputs(Batch(images_NCHW, torch.zeros_like(cameras_N), cameras_N)).embeddings_BD.float().cpu()
    return embedding_difference(own_ND, torch.from_numpy(embedded.features_ND[: len(items)]).float(), group=name)


def _overfit(bench: Bench, rate: float, group: str) -> list[Measurement]:
    batch = bench.first_batches[0]
    with bench.untouched():
        found = overfit_batch(lambda: bench.train(batch, rate), num_steps=_OVERFIT_STEPS)
    return [replace(m, group=group) for m in found]
