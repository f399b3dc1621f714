"""Scores a model on a retrieval task, on one process or several: extract, gather, rank. D embedding dim, N images."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import nn

from unplateau.config.schema import Config
from unplateau.data.image_source import ImageSource, open_images
from unplateau.data.items import Item, spread
from unplateau.data.loader import Batch, EvaluationLoader
from unplateau.engine.embedding import IMAGES_COMPARED, embed, embedding_network
from unplateau.engine.precision import precision_of
from unplateau.engine.ranks import Ranks
from unplateau.engine.smaller_batches import SmallerBatches
from unplateau.evaluation.embedded import Embedded
from unplateau.evaluation.extract import extract
from unplateau.evaluation.rank_lists import rank_lists
from unplateau.evaluation.ranking import Retrieval, retrieve
from unplateau.evaluation.reranking import Reranking, retrieve_reranked
from unplateau.runs.embed_choice import EmbedWay


@dataclass(frozen=True)
class RetrievalTask:
    """Who is looked for and where: a held-out split, or a data set's query and gallery."""

    protocol: str
    """"held-out" or "test"."""
    dataset: str
    query: tuple[Item, ...]
    gallery: tuple[Item, ...]


class Scorer:
    """Scores models on tasks; keeps a task's loaders, so that images are decoded once."""

    def __init__(self, config: Config, *, device: torch.device, ranks: Ranks, way: EmbedWay) -> None:
        self._config = config
        self._device, self._ranks, self._way = device, ranks, way
        self._smaller = SmallerBatches()
        self._loaders: dict[tuple[Item, ...], EvaluationLoader] = {}
        self._few: dict[tuple[Item, ...], Batch] = {}

    def open(self, task: RetrievalTask, *, images: ImageSource | None = None) -> None:
        """Make the task's loaders, on `images` where they have them, so that nothing is decoded twice."""
        for items in (task.query, task.gallery):
            if items in self._loaders:
                continue
            source = images or open_images((*task.query, *task.gallery), self._config.INPUT.SIZE_TEST, self._config)
            loader = self._loader(items[self._ranks.rank :: self._ranks.world_size], source)
            self._loaders[items], images = loader, loader.images

    def some_images(self, task: RetrievalTask, *, most: int) -> Batch:
        """Return a few of the gallery's images, the same ones on every rank."""
        self.open(task)
        return next(iter(self._loader(spread(task.gallery, most), self._loaders[task.gallery].images)))

    def score(self, model: nn.Module, task: RetrievalTask, *, rerank: bool = False) -> Retrieval:
        """Return how well `model` finds the task's queries. To be called on every rank; each extracts its share.

        Raises:
            DataError: an image cannot be read, or a feature is not finite.
        """
        self.open(task)
        was_training = model.training
        network = self._network(model.eval(), task)
        query, gallery = self._embed(network, task.query), self._embed(network, task.gallery)
        model.train(was_training)
        test, kind = self._config.TEST, {"protocol": task.protocol, "dataset": task.dataset}
        if rerank:
            settings = Reranking(test.RERANK.K1, test.RERANK.K2, test.RERANK.LAMBDA, metric=test.METRIC)
            result = retrieve_reranked(query, gallery, settings, **kind)
        else:
            result = retrieve(query, gallery, metric=test.METRIC, protocol=task.protocol, dataset=task.dataset)
            result = replace(result, rank_lists=rank_lists(query, gallery, result, metric=test.METRIC))
        if not test.FLIP.ENABLED:
            return result
        return replace(result, metrics=replace(result.metrics, options={**result.metrics.options, "flip": "on"}))

    def _loader(self, items: tuple[Item, ...], images: ImageSource) -> EvaluationLoader:
        return EvaluationLoader(items, self._config, device=self._device, channels_last=self._way.channels_last, images=images)

    def _network(self, model: nn.Module, task: RetrievalTask) -> nn.Module:
        def few() -> Batch:
            if task.gallery not in self._few:
                self._few[task.gallery] = self.some_images(task, most=IMAGES_COMPARED)
            return self._few[task.gallery]

        return embedding_network(model, self._way, few)

    def _embed(self, network: nn.Module, items: tuple[Item, ...]) -> Embedded:
        """Return the embeddings of all items, in their order, on every rank."""
        batches = ((batch.images_BCHW, batch.person_ids_B, batch.camera_ids_B) for batch in self._loaders[items])
        share = extract(
            partial(self._smaller.embed, partial(embed, network)),
            batches,
            flip=self._config.TEST.FLIP.ENABLED,
            autocast=precision_of(self._way.number_format, self._device).dtype,
        )
        return _interleave(self._ranks.gather(share), len(items))


def _interleave(shares: list[Embedded], num_items: int) -> Embedded:
    if len(shares) == 1:
        return shares[0]
    features_ND = np.empty((num_items, shares[0].features_ND.shape[1]), dtype=np.float32)
    person_ids_N, camera_ids_N = np.empty(num_items, dtype=np.int64), np.empty(num_items, dtype=np.int64)
    for rank, share in enumerate(shares):
        features_ND[rank :: len(shares)] = share.features_ND
        person_ids_N[rank :: len(shares)] = share.person_ids_N
        camera_ids_N[rank :: len(shares)] = share.camera_ids_N
    return Embedded(features_ND, person_ids_N, camera_ids_N)
