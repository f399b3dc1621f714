"""Probes of images, labels and sampling on a bench. The others, and their order: `planned_probes`.

Measures only. N images.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace

import torch
from torch import Tensor, nn

from unplateau.data.loader import Batch
from unplateau.probes.clothes_colours import clothes_colours, found_again, pairs_fit_changed
from unplateau.probes.inputs import inputs
from unplateau.probes.label_stability import label_stability, labels_and_cameras, partner_likeness
from unplateau.probes.label_structure import look_alikes_in_batch, pair_confusion, shifted_agreement, twin_labels
from unplateau.probes.labels import label_agreement, label_range
from unplateau.probes.preparation import preparation
from unplateau.probes.sampling import sampling
from unplateau.runs.record import Measurement
from unplateau.workflows.probing.bench import Bench
from unplateau.workflows.probing.meant_sampling import sampling_as_configured
from unplateau.workflows.probing.planned import Measurements

_INPUT_BATCHES, _ORDER_BATCHES, _LATER_BATCHES = 4, 4, 16
_PLAIN_IMAGES = 512


def labels_and_inputs(bench: Bench, _: Measurements) -> Measurements:
    """Range of labels, how batches are drawn, channel statistics and duplicates of the first batches."""
    person_ids_N = torch.cat([batch.person_ids_B for batch in bench.first_batches])
    images_NCHW = torch.cat([batch.images_BCHW for batch in bench.first_batches[:_INPUT_BATCHES]])
    later = [batch.person_ids_B for batch in itertools.islice(bench.parts.train_loader.epoch(2), _ORDER_BATCHES)]
    drawn = sampling([batch.person_ids_B for batch in bench.first_batches], later, num_identities=bench.num_identities)
    # a few batches do not hold every identity, which says nothing
    found = [m for m in label_range(person_ids_N, num_identities=bench.num_identities) if m.name != "labels_unused"]
    return (*found, *inputs(images_NCHW), *drawn, _cameras_in_batch(bench), *_listed(bench), *sampling_as_configured(bench))


def _listed(bench: Bench) -> Measurements:
    """How many of the classifier's people the list of files has images of."""
    if not bench.train_items:
        return ()
    labels = {item.person_id for item in bench.train_items}
    return (Measurement("labels_listed", len(labels) / bench.num_identities, "share"),)


def _cameras_in_batch(bench: Bench) -> Measurement:
    """How often two images of a label in one batch are of one camera, mean over batches."""
    pairs = [m for batch in bench.first_batches for m in labels_and_cameras(batch.person_ids_B, batch.camera_ids_B)]
    shares = [m.value for m in pairs if m.name == "same_camera_of_label" and m.value is not None]
    return Measurement("same_camera_in_batch", sum(shares) / len(shares) if shares else None, "share")


def agreement(bench: Bench, _: Measurements) -> Measurements:
    """Labels of neighbours: in the features of now, in those the training began with, and by the colours of clothes."""
    rows_N, batch = _distinct(bench.first_batches)
    ids_N, cameras_N = batch.person_ids_B, batch.camera_ids_B
    now_ND, initial_ND = (_in_pieces(bench, model, batch) for model in (bench.parts.model, bench.begun.model))
    colours_ND = clothes_colours(batch.images_BCHW, cameras_N)
    batches_N = rows_N // len(bench.first_batches[0].person_ids_B)
    others = [("initial weights", initial_ND), ("colours", colours_ND)]
    elsewhere = [replace(m, group=group) for group, others_ND in others for m in label_agreement(others_ND, ids_N)]
    return (
        *label_agreement(now_ND, ids_N, cameras_N),
        *(m for m in elsewhere if m.name == "label_agreement"),
        *shifted_agreement(colours_ND, [one.person_ids_B for one in bench.first_batches], rows_N),
        *pair_confusion(colours_ND, ids_N, cameras_N),
        *look_alikes_in_batch(colours_ND, ids_N, batches_N),
        *_stability(bench, batch, batches_N),
        *labels_and_cameras(ids_N, cameras_N),
        *partner_likeness(colours_ND, ids_N, batches_N),
        Measurement("label_images", float(len(ids_N)), "images"),
    )


def plain_view(bench: Bench, _: Measurements) -> Measurements:
    """Images of trained people as evaluation prepares them: copies, agreement of labels, and colours beside training's."""
    if bench.train_identities is None:
        return ()
    items = (*bench.train_identities.query, *bench.train_identities.gallery)[:_PLAIN_IMAGES]
    images_NCHW = bench.evaluation_images(items)
    people_N = torch.tensor([item.person_id for item in items], device=images_NCHW.device)
    cameras_N = torch.tensor([item.camera_id for item in items], device=images_NCHW.device)
    everything = Batch(images_NCHW, people_N, cameras_N)
    batch = _distinct((everything,))[1]
    found = [Measurement("copied_images", 1 - len(batch.person_ids_B) / len(items), "share", note=f"{len(items)} images")]
    colours_ND = clothes_colours(batch.images_BCHW, batch.camera_ids_B)
    now_ND, initial_ND = (_in_pieces(bench, model, batch) for model in (bench.parts.model, bench.begun.model))
    views = [("plain view", now_ND), ("plain view, initial weights", initial_ND), ("plain view, colours", colours_ND)]
    for group, view_ND in views:
        found += [replace(m, group=group) for m in label_agreement(view_ND, batch.person_ids_B) if not m.group]
    found += twin_labels(now_ND, batch.person_ids_B)
    seen = bench.first_batches
    images, cameras = torch.cat([one.images_BCHW for one in seen]), torch.cat([one.camera_ids_B for one in seen])
    found += found_again(images, cameras, batch.images_BCHW, batch.camera_ids_B)
    found += pairs_fit_changed(batch.images_BCHW, batch.person_ids_B)
    trained_NCHW = torch.cat([one.images_BCHW for one in bench.first_batches[:_INPUT_BATCHES]])
    return (*found, *preparation(trained_NCHW, images_NCHW))


def _stability(bench: Bench, batch: Batch, batches_N: Tensor) -> Measurements:
    """Labels of look-alikes within batches, among them, and in the next epoch; looks of both epochs on one scale."""
    later = _distinct(tuple(itertools.islice(bench.parts.train_loader.epoch(2), _LATER_BATCHES)))[1]
    images_NCHW = torch.cat([batch.images_BCHW, later.images_BCHW])
    colours_ND = clothes_colours(images_NCHW, torch.cat([batch.camera_ids_B, later.camera_ids_B]))
    mine_ND, theirs_MD = colours_ND.split([len(batch.person_ids_B), len(later.person_ids_B)])
    return label_stability(mine_ND, batch.person_ids_B, batches_N, theirs_MD, later.person_ids_B)


def _distinct(batches: tuple[Batch, ...]) -> tuple[Tensor, Batch]:
    """Join batches without images that are equal to the bit: a copy's neighbour is itself. Returns the rows that are left too."""
    images_NCHW = torch.cat([batch.images_BCHW for batch in batches])
    first_row: dict[bytes, int] = {}
    for row, image in enumerate(images_NCHW.cpu()):
        first_row.setdefault(hashlib.blake2b(image.contiguous().numpy().tobytes()).digest(), row)
    rows_N = torch.tensor(sorted(first_row.values()), device=images_NCHW.device)
    person_ids_N = torch.cat([batch.person_ids_B for batch in batches])
    camera_ids_N = torch.cat([batch.camera_ids_B for batch in batches])
    return rows_N, Batch(images_NCHW[rows_N], person_ids_N[rows_N], camera_ids_N[rows_N])


def _in_pieces(bench: Bench, model: nn.Module, batch: Batch) -> Tensor:
    model.eval()
    size = len(bench.first_batches[0].person_ids_B)
    pieces = zip(*(tensor.split(size) for tensor in (batch.images_BCHW, batch.person_ids_B, batch.camera_ids_B)), strict=True)
    return torch.cat([bench.outputs(Batch(*piece), model).embeddings_BD.float() for piece in pieces])
