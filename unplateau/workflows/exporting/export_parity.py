"""Embeds the same images with the trained and with the exported model. The verdict: `export.parity`.

The trained model goes the evaluation's way (its loader, its transforms, its averaging of mirror images), the exported one that of
whoever uses the export, from the image file on. N images, D embedding dim.
"""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unplateau.base.errors import UsageError
from unplateau.base.randomness import stream_seed
from unplateau.config.schema import Config
from unplateau.data.items import Item
from unplateau.data.loader import EvaluationLoader
from unplateau.data.transforms import Augmentation
from unplateau.engine.scoring import RetrievalTask
from unplateau.evaluation.extract import extract
from unplateau.export.parity import Parity, compare
from unplateau.export.search_gallery import ExportedModel, read_picture
from unplateau.models.reid import ReidModel
from unplateau.workflows.training.session import plan_data

_FIRST_BATCHES = (1, 3)
_BATCH = 64
_NOISE_IMAGES = 68  # one batch of each size


def parity_on_images(model: ReidModel, exported: ExportedModel, config: Config, *, num_images: int) -> Parity:
    """Compare on a sample of the images that the run validates on, else of its test set.

    Raises:
        DataNotFoundError: they are not there.
        UsageError: the run has neither.
    """
    plan = plan_data(config)
    task = plan.validation or next(iter(plan.tests), None)
    if task is None:
        raise UsageError("The run validates on nothing and has no test set. Name one: DATASETS.TESTS Market1501")
    query, gallery = sample(task, num_images)
    items = (*query, *gallery)
    loader = EvaluationLoader(items, config, device="cpu")
    batches = ((batch.images_BCHW, batch.person_ids_B, batch.camera_ids_B) for batch in loader)
    before = extract(_embed_with(model), batches, flip=config.TEST.FLIP.ENABLED)
    after_ND = _exported_embeddings(exported, items)
    return compare(before, after_ND, num_queries=len(query), metric=config.TEST.METRIC)


def parity_on_noise(model: ReidModel, exported: ExportedModel, config: Config) -> Parity:
    """Compare on images of noise: embeddings only, since there is nobody to find in them."""
    rng = np.random.default_rng(stream_seed(config.SEED, "export noise"))
    pixels_NHW3 = rng.integers(0, 256, (_NOISE_IMAGES, *config.INPUT.SIZE_TEST, 3), np.uint8)
    images_NCHW = Augmentation.for_evaluation(config).apply(torch.from_numpy(pixels_NHW3).permute(0, 3, 1, 2))
    cameras_N = np.full(_NOISE_IMAGES, -1)
    before = extract(_embed_with(model), [(images_NCHW, cameras_N, cameras_N)], flip=config.TEST.FLIP.ENABLED)
    after_ND = np.concatenate([exported.embed(pixels_NHW3[piece]) for piece in _pieces(_NOISE_IMAGES)])
    return compare(before, after_ND, num_queries=0, metric=config.TEST.METRIC)


def sample(task: RetrievalTask, num_images: int) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Return query and gallery images of as many whole identities as make up `num_images`, two identities at least.

    Args:
        task: what to draw from; the same task gives the same sample.
        num_images: about so many in all; 0 = all.
    """
    persons = np.unique([item.person_id for item in task.query])
    order = np.random.default_rng(stream_seed(0, "export sample")).permutation(persons).tolist()
    sizes = {person: sum(item.person_id == person for item in (*task.query, *task.gallery)) for person in order}
    totals = accumulate(sizes[person] for person in order)
    is_needed = [place < 2 or total <= num_images or num_images == 0 for place, total in enumerate(totals)]
    chosen = {person for person, needed in zip(order, is_needed, strict=True) if needed}
    query, gallery = (tuple(item for item in items if item.person_id in chosen) for items in (task.query, task.gallery))
    return query, gallery


def _embed_with(model: ReidModel):  # type: ignore[no-untyped-def]
    def embed(images_BCHW: Tensor, camera_ids_B: Tensor) -> Tensor:
        embeddings_BD: Tensor = model(images_BCHW, camera_ids_B=camera_ids_B).embeddings_BD
        return embeddings_BD

    return embed


def _exported_embeddings(exported: ExportedModel, items: Sequence[Item]) -> np.ndarray:
    pixels_NHW3 = np.stack([read_picture(Path(item.path), exported.size_HW) for item in items])
    cameras_N = np.array([item.camera_id for item in items], np.int64)
    return np.concatenate([exported.embed(pixels_NHW3[piece], cameras_N[piece]) for piece in _pieces(len(items))])


def _pieces(num_images: int) -> list[slice]:
    """Batches of one, of three, then of 64: a batch size that does not work shows."""
    starts = [0, *accumulate(_FIRST_BATCHES)]
    starts += range(starts[-1] + _BATCH, num_images, _BATCH)
    ends = [*starts[1:], num_images]
    return [slice(start, end) for start, end in zip(starts, ends, strict=True) if start < min(end, num_images)]
