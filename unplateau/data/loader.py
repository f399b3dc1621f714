"""Batches for training and for evaluation: a plan from `samplers`, pixels from `image_source`, augmentation from `transforms`.

No thread fetches ahead: from the cache a batch takes about a millisecond of this process, and a GPU works on while it does.

Legend: B images of a batch, S steps of an epoch, C channels, H height, W width.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from unplateau.base.errors import DataError
from unplateau.base.randomness import stream_seed
from unplateau.config.schema import Config
from unplateau.data.image_source import ImageSource, open_images
from unplateau.data.items import Item
from unplateau.data.samplers import BatchShape, Population, check, plan_epoch
from unplateau.data.transforms import Augmentation


@dataclass(frozen=True)
class Batch:
    """What a step sees.

    Attributes:
        images_BCHW: float32, normalised, on the training device.
        person_ids_B: int64, on the training device; labels 0..I-1 in training, the data set's own ids in evaluation.
        camera_ids_B: int64, on the training device; -1 = unknown.
    """

    images_BCHW: Tensor
    person_ids_B: Tensor
    camera_ids_B: Tensor


class TrainLoader:
    """Augmented batches of training images, as `DATALOADER.SAMPLER_TRAIN` draws them.

    Attributes:
        person_of_label: the data set's own id of each label 0..I-1.
        num_identities: I.
        num_cameras: highest camera id plus one, the rows a camera embedding needs.
        steps_per_epoch: floor(images / IMS_PER_BATCH), at least 1, the same in every process.
        images: where pixels come from; hand it to an `EvaluationLoader` of the same images and size.
        notes: sentences worth a line in the log.
    """

    def __init__(
        self,
        items: Sequence[Item],
        config: Config,
        *,
        device: torch.device | str,
        shape: BatchShape | None = None,
        channels_last: bool = False,
        images: ImageSource | None = None,
    ) -> None:
        """Check that batches can be drawn, and open the images.

        Args:
            items: the training images.
            config: the whole configuration.
            device: where augmentation happens and batches lie.
            shape: of a batch, and which part of it is this process's; None = the configuration's, all of it.
            channels_last: memory layout of the images.
            images: a source of `open_images`; used if it has `items` at `INPUT.SIZE_TRAIN`, else one is opened.

        Raises:
            ConfigError: the batch cannot be divided among identities and processes.
            DataError: there are too few identities, or images cannot be read.
        """
        self._config = config
        self._place = _Place(torch.device(device), channels_last)
        self._shape = shape or BatchShape.from_config(config)
        self._paths = [item.path for item in items]
        self.person_of_label, self._population = _label(items)
        check(config.DATALOADER.SAMPLER_TRAIN, self._population, self._shape)
        self.num_identities = len(self.person_of_label)
        self.num_cameras = int(self._population.cameras_N.max()) + 1
        self.steps_per_epoch = self._shape.steps(len(items))
        self.images = _source(images, items, config.INPUT.SIZE_TRAIN, config)
        self.notes = self.images.notes
        self._augmentation = Augmentation.from_config(config)

    def laid_out(self, channels_last: bool) -> "TrainLoader":
        """Return the same loader with this memory layout of its images."""
        other = copy.copy(self)
        other._place = replace(self._place, channels_last=channels_last)
        return other

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of one epoch, counted from 1; they depend on (SEED, epoch, rank) and the items only."""
        seed, rank = self._config.SEED, self._shape.rank
        plan_SB = plan_epoch(self._config.DATALOADER.SAMPLER_TRAIN, self._population, self._shape, seed=seed, epoch=epoch)
        generator = torch.Generator().manual_seed(stream_seed(seed, "augmentation", epoch, rank))
        batches_of_paths = [[self._paths[index] for index in indices_B] for indices_B in plan_SB]
        batches_of_pixels = self.images.batches(batches_of_paths, pinned=self._place.pinned)
        for indices_B, pixels_BHW3 in zip(plan_SB, batches_of_pixels, strict=True):
            num_images, height, width, _ = pixels_BHW3.shape
            draws = None if self._augmentation.is_identity else self._augmentation.draw((num_images, height, width), generator)
            images_BCHW = self._augmentation.apply(
                self._place.send(pixels_BHW3).permute(0, 3, 1, 2), draws, channels_last=self._place.channels_last
            )
            yield self._place.batch(images_BCHW, self._population.labels_N[indices_B], self._population.cameras_N[indices_B])


class EvaluationLoader:
    """Normalised batches in the order of the items; iterate as often as needed.

    Attributes:
        images: where pixels come from.
        notes: sentences worth a line in the log.
    """

    def __init__(
        self,
        items: Sequence[Item],
        config: Config,
        *,
        device: torch.device | str,
        channels_last: bool = False,
        images: ImageSource | None = None,
    ) -> None:
        """Open the images.

        Args:
            items: the images.
            config: the whole configuration.
            device: where batches lie.
            channels_last: memory layout of the images.
            images: a source such as a `TrainLoader`'s; used if it has `items` at `INPUT.SIZE_TEST`, else one is opened.

        Raises:
            DataError: there is no image, or images cannot be read.
        """
        if not items:
            raise DataError("There is no image to evaluate. Check DATASETS.TESTS and the folder of the data set.")
        self._place = _Place(torch.device(device), channels_last)
        self._paths = [item.path for item in items]
        self._person_ids_N = np.array([item.person_id for item in items], dtype=np.int64)
        self._camera_ids_N = np.array([item.camera_id for item in items], dtype=np.int64)
        self._batch_size = config.TEST.IMS_PER_BATCH
        self.images = _source(images, items, config.INPUT.SIZE_TEST, config)
        self.notes = self.images.notes
        self._normalisation = Augmentation.for_evaluation(config)

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self._paths) // self._batch_size)

    def __iter__(self) -> Iterator[Batch]:
        pieces = [slice(start, start + self._batch_size) for start in range(0, len(self._paths), self._batch_size)]
        batches_of_pixels = self.images.batches([self._paths[piece] for piece in pieces], pinned=self._place.pinned)
        for piece, pixels_BHW3 in zip(pieces, batches_of_pixels, strict=True):
            images_BCHW = self._normalisation.apply(
                self._place.send(pixels_BHW3).permute(0, 3, 1, 2), channels_last=self._place.channels_last
            )
            yield self._place.batch(images_BCHW, self._person_ids_N[piece], self._camera_ids_N[piece])


@dataclass(frozen=True)
class _Place:
    """Where batches go, and in which layout."""

    device: torch.device
    channels_last: bool

    @property
    def pinned(self) -> bool:
        return self.device.type == "cuda"

    def send(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, non_blocking=self.pinned)

    def batch(self, images_BCHW: Tensor, person_ids_B: np.ndarray, camera_ids_B: np.ndarray) -> Batch:
        return Batch(images_BCHW, self.send(torch.tensor(person_ids_B)), self.send(torch.tensor(camera_ids_B)))


def _label(items: Sequence[Item]) -> tuple[tuple[int, ...], Population]:
    """Number the identities 0..I-1 in the order of their ids."""
    persons, labels_N = np.unique([item.person_id for item in items], return_inverse=True)
    cameras_N = np.array([item.camera_id for item in items], dtype=np.int64)
    if not len(items):
        raise DataError("The training set has no image. Check DATASETS.NAMES and the folder of the data set.")
    return tuple(int(person) for person in persons), Population(labels_N.astype(np.int64), cameras_N)


def _source(images: ImageSource | None, items: Sequence[Item], size_HW: tuple[int, int], config: Config) -> ImageSource:
    """Return the given source where it has these images in this size, else one of their own."""
    if images is not None and images.size_HW == size_HW and images.covers(item.path for item in items):
        return images
    return open_images(items, size_HW, config)
