"""Probes that do a part of the training again by plain means, from its files and configuration, and compare.

Measures only; their order: `planned_probes`. N images.
"""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from statistics import median

import torch
from torch import Tensor, nn

from unplateau.base.errors import WeightsError
from unplateau.config.schema import Config
from unplateau.data.items import Item
from unplateau.data.loader import Batch
from unplateau.data.transforms import Augmentation
from unplateau.diagnosis.case import AS_CONFIGURED
from unplateau.engine.freezing import freeze
from unplateau.engine.scoring import RetrievalTask
from unplateau.evaluation.embedded import Embedded
from unplateau.evaluation.extract import extract
from unplateau.models.build import build_model
from unplateau.optim.build import build_optimizers
from unplateau.probes.clothes_colours import clothes_colours
from unplateau.probes.evaluation_again import images_again, rows_again, score_again
from unplateau.probes.images_of_files import distinct_files, images_of_files, labels_of_files
from unplateau.probes.inputs import blank_images, noise_images
from unplateau.probes.label_structure import pair_confusion
from unplateau.probes.model_as_configured import gradients_apart, initial_weights_apart, outputs_apart, settings_apart
from unplateau.probes.sets_told_apart import sets_told_apart
from unplateau.probes.update_formula import Twin, updates_apart
from unplateau.probes.updates_kept import updates_kept
from unplateau.runs.record import Measurement
from unplateau.workflows.probing.bench import Bench
from unplateau.workflows.probing.meant_sampling import meant_rows
from unplateau.workflows.probing.planned import Measurements

UPDATES = 16
_FIRST_UPDATES = 4
_MOST_FILES = 2048
_MOST_IMAGES, _FEWEST_IMAGES = 64, 24
_PIXELS = 64 * 64 * 32  # looked for among the files, where that many images are there
_MOST_QUERIES, _MOST_GALLERY, _PIECE = 256, 1024, 256
_MOST_PEOPLED, _FEWEST_PEOPLED = 384, 48  # images whose people are looked at
_SET_IMAGES, _FEWEST_IN_SET = 128, 24


def updates(bench: Bench, _: Measurements) -> Measurements:
    """Where the weights are after some training steps at the peak rate, beside the sum of the optimisers' updates."""
    batches, rate = bench.batches(), bench.schedule.peak_rate
    steps = (lambda: bench.do_step(next(batches), rate) for _ in range(UPDATES))
    weights = [parameter for parameter in bench.parts.model.parameters() if parameter.requires_grad]
    return updates_kept(weights, bench.parts.optimizers, steps, step=bench.step)


def formula(bench: Bench, _: Measurements) -> Measurements:
    """The first updates of the optimisers, beside those of optimisers that are built from the configuration."""
    parts, rate = bench.parts, bench.schedule.peak_rate
    bench.without_decay()
    bench.begin_anew()
    twin = Twin(parts.model, lambda model: build_optimizers(parts.config, model, copy.deepcopy(parts.losses)))
    steps = [partial(bench.do_step, batch, rate) for batch in bench.first_batches[:_FIRST_UPDATES]]
    return updates_apart(dict(parts.model.named_parameters()), parts.optimizers, twin, steps, rate=rate)


def model_again(bench: Bench, _: Measurements) -> Measurements:
    """The model that trains beside one that is built from the configuration and given its weights."""
    trained, config = bench.parts.model, bench.parts.config
    cameras = bench.parts.train_loader.num_cameras
    built, has_weights = _built(config, bench.num_identities, cameras)
    begun = _begun(bench, built) if has_weights and (bench.initial or not bench.step) else ()
    configured, batch = built.to(bench.parts.device), bench.first_batches[0]
    found = (*begun, *settings_apart(trained, configured))
    if any(m.group for m in found if m.name == "modules_differ"):
        return found  # what is of another kind gives other outputs
    outputs = outputs_apart(trained, configured, lambda one: bench.outputs(batch, one))
    if any(m.value for m in outputs if m.name == "output_differs"):
        return (*found, *outputs)
    bench.training_mode()
    configured.train()
    freeze(configured, config, bench.step)
    return (*found, *outputs, *gradients_apart(trained, configured, lambda one: _features_and_logits(one, batch)))


def _features_and_logits(model: nn.Module, batch: Batch) -> list[Tensor]:
    outputs = model(batch.images_BCHW, person_ids_B=batch.person_ids_B, camera_ids_B=batch.camera_ids_B)
    return [tensor for tensor in (outputs.features_BD, outputs.logits_BI) if tensor is not None]


def _begun(bench: Bench, built: nn.Module) -> Measurements:
    asked = Measurement("pretrained_asked", float(bench.parts.config.MODEL.BACKBONE.PRETRAIN), "")
    return (asked, *initial_weights_apart(bench.begun.model, built))


def _built(config: Config, num_identities: int, num_cameras: int) -> tuple[nn.Module, bool]:
    """Return the model as configured, and whether it has the weights it should begin with: their file may be gone."""
    try:
        return build_model(config, num_identities=num_identities, num_cameras=num_cameras).model, True
    except WeightsError:
        return build_model(config, num_identities=num_identities, num_cameras=num_cameras, with_weights=False).model, False


def pictures(bench: Bench, _: Measurements) -> Measurements:
    """Training images, looked for among their files; and whether training, queries and gallery are pictures of one kind."""
    if not bench.train_items:
        return ()
    size = bench.parts.config.INPUT.SIZE_TRAIN
    items, num_images = _files_for(bench)
    found = _among_files(bench, items, bench.plain_images(items, size), num_images) if items else ()
    return (*found, *_kinds(bench))


def evaluation_again(bench: Bench, _: Measurements) -> Measurements:
    """The evaluation of the held-out people, done again from their files by the trained weights."""
    task = bench.validation
    if task is None or bench.scores_average:
        return ()
    found: list[Measurement] = []
    embedded: dict[str, Embedded] = {}
    chosen: dict[str, tuple[Item, ...]] = {}
    for name, items, most in (("query", task.query, _MOST_QUERIES), ("gallery", task.gallery, _MOST_GALLERY)):
        rows_N = torch.randperm(len(items), generator=torch.Generator().manual_seed(0))[:most].sort().values
        chosen[name] = tuple(items[row] for row in rows_N.tolist())
        # first of all: a faulty evaluation may change the model it scores
        embedded[name] = _embedded(bench, chosen[name])
        some, share = chosen[name][:_PIECE], len(chosen[name]) / max(len(items), 1)
        plain_NCHW = bench.plain_images(some, bench.parts.config.INPUT.SIZE_TEST)
        found += images_again(plain_NCHW, bench.evaluation_images(some), group=name)
        found += [replace(blank_images(plain_NCHW), group=name)]
        found += [Measurement("evaluation_share", share, "share", group=name)]
    found += score_again(embedded["query"], embedded["gallery"])
    found += _people_of(bench, task)
    for name, items in chosen.items():
        found += rows_again(embedded[name], bench.embedded(items), group=name)
    return tuple(found)


def _people_of(bench: Bench, task: RetrievalTask) -> Measurements:
    """Whether the ids of the evaluation are one person each, by the colours of clothes."""
    people: dict[int, list[Item]] = {}
    for item in (*task.query, *task.gallery):
        people.setdefault(item.person_id, []).append(item)
    items = tuple(itertools.islice((item for person, own in people.items() if person > 0 for item in own), _MOST_PEOPLED))
    if len(items) < _FEWEST_PEOPLED:
        return ()
    ids_N, cameras_N = (torch.tensor([getattr(item, name) for item in items]) for name in ("person_id", "camera_id"))
    colours_ND = clothes_colours(bench.plain_images(items, bench.parts.config.INPUT.SIZE_TEST).cpu(), cameras_N)
    found = {m.group: m for m in pair_confusion(colours_ND, ids_N, cameras_N)}
    names = {"": "evaluation", "across cameras": "evaluation, across cameras"}
    return tuple(replace(m, group=names[group]) for group, m in found.items())


def _files_for(bench: Bench) -> tuple[tuple[Item, ...], int]:
    """The files that the first training images may come from, and how many of these images to look for."""
    height, width = bench.parts.config.INPUT.SIZE_TRAIN
    size, batches = len(bench.latest_batches[0].person_ids_B), bench.latest_batches
    most = min(_MOST_IMAGES, max(_FEWEST_IMAGES, _PIXELS // (height * width)))
    if len(bench.train_items) <= _MOST_FILES:
        return bench.train_items, most
    for count in range(max(1, most // size), 0, -1):
        drawn = set(torch.cat([batch.person_ids_B for batch in batches[: count + 1]]).tolist())
        items = tuple(item for item in bench.train_items if item.person_id in drawn)
        if len(items) <= _MOST_FILES:
            return items, min(most, count * size)
    return (), 0


def _among_files(bench: Bench, items: tuple[Item, ...], files_NCHW: Tensor, num_images: int) -> Measurements:
    config = bench.parts.config.INPUT
    files = distinct_files(files_NCHW, torch.tensor([item.person_id for item in items]))
    noise = replace(noise_images(files_NCHW[:_MOST_IMAGES]), group="files")
    listed = (noise, *labels_of_files(files), *_largest_label(bench, files_NCHW, items))
    if config.CJ.ENABLED:
        return listed  # colours are changed on purpose, so that no pixel is its file's
    padding = config.PADDING.SIZE if config.PADDING.ENABLED else 0
    images_NCHW = torch.cat([batch.images_BCHW for batch in bench.latest_batches])[:num_images].cpu()
    labels_N = torch.cat([batch.person_ids_B for batch in bench.latest_batches])[:num_images].cpu()
    if images_NCHW.shape[1:] != files_NCHW.shape[1:]:
        return (*listed, Measurement("pixels_of_file", 0.0, "share", note="another size"))
    normalisation = (bench.parts.config.MODEL.PIXEL_MEAN, bench.parts.config.MODEL.PIXEL_STD)
    found = (*listed, *images_of_files(images_NCHW, labels_N, files, padding=padding, normalisation=normalisation))
    found = (*found, Measurement("images_unchanged", _left_alone(bench.parts.config), "share", group=AS_CONFIGURED))
    rows = meant_rows(bench, seed=0)
    if rows is None:
        return found
    drawn = rows.flatten()[:num_images]
    return (*found, Measurement("files_in_batch", len(drawn.unique()) / len(drawn), "share", group=AS_CONFIGURED))


def _left_alone(config: Config) -> float:
    """Share of the images that the configured augmentation leaves as they are."""
    asked = Augmentation.from_config(config)
    return (1 - asked.flip_probability) * (1 - asked.erase_probability) / (2 * asked.padding + 1) ** 2


def _largest_label(bench: Bench, files_NCHW: Tensor, items: tuple[Item, ...]) -> Measurements:
    """Whether the label with the most images is one person: images that nobody knew a label for end up under one."""
    counts = Counter(item.person_id for item in bench.train_items)
    largest, count = max(counts.items(), key=lambda pair: pair[1])
    inside = [row for row, item in enumerate(items) if item.person_id == largest][:_SET_IMAGES]
    outside = [row for row, item in enumerate(items) if item.person_id != largest]
    rows = [*inside, *outside[:: max(1, len(outside) // _SET_IMAGES)]]
    cameras_N = torch.tensor([items[row].camera_id for row in rows])
    ids_N = torch.tensor([-1 if place < len(inside) else place for place in range(len(rows))])  # nobody else has a partner
    colours_ND = clothes_colours(files_NCHW[rows].cpu(), cameras_N)
    confused = [replace(m, group="largest label") for m in pair_confusion(colours_ND, ids_N, cameras_N) if not m.group]
    return (Measurement("largest_label", count / median(counts.values()), "times the median"), *confused)


def _kinds(bench: Bench) -> Measurements:
    """Pictures of a held-out split are of one kind; those of a test set may come from elsewhere."""
    task, config = bench.validation, bench.parts.config.INPUT
    if task is None or task.protocol != "held-out":
        return ()
    sets = [tuple(items[row] for row in _spread(len(items))) for items in (task.query, task.gallery, bench.train_items)]
    if min(len(items) for items in sets) < _FEWEST_IN_SET:
        return ()
    query, gallery, trained = (bench.plain_images(items, config.SIZE_TEST).cpu() for items in sets)
    return (
        *sets_told_apart(query, gallery, group="queries | gallery"),
        *sets_told_apart(trained, torch.cat([query, gallery]), group="training | evaluation"),
    )


def _spread(count: int) -> list[int]:
    """At most so many rows, evenly spaced."""
    return [count * place // min(count, _SET_IMAGES) for place in range(min(count, _SET_IMAGES))]


def _embedded(bench: Bench, items: tuple[Item, ...]) -> Embedded:
    """The trained weights' embeddings of files that are prepared as configured."""
    network: nn.Module = bench.parts.model
    network.eval()
    size = bench.parts.config.INPUT.SIZE_TEST

    def batches() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        for start in range(0, len(items), _PIECE):
            part = items[start : start + _PIECE]
            people, cameras = (torch.tensor([getattr(item, name) for item in part]) for name in ("person_id", "camera_id"))
            yield bench.plain_images(part, size), people, cameras

    def embed(images_BCHW: Tensor, camera_ids_B: Tensor) -> Tensor:
        return bench.outputs(Batch(images_BCHW, torch.zeros_like(camera_ids_B), camera_ids_B), network).embeddings_BD.float()

    return extract(embed, batches(), flip=bench.parts.config.TEST.FLIP.ENABLED)
