"""k-reciprocal re-ranking (Zhong et al. 2017, "Re-ranking Person Re-identification with k-reciprocal Encoding"), sparse.

The final distance of query and gallery image is lambda times the original distance plus (1 - lambda) times the Jaccard
distance of their neighbourhoods (equations 10 to 12). As in the authors' code the original distance is the squared
Euclidean one divided by the largest of its row; under cosine it is that of normalised features. Query and gallery
images that no query counts (junk) are part of the neighbourhoods, which know nothing of labels.

Nothing of the size of all against all is held: neighbours are found block by block, and neighbourhoods are sparse.

Shapes: Q queries, G gallery, N both, D embedding dim, B queries of a block.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from unplateau.base.errors import UsageError
from unplateau.evaluation.embedded import Embedded
from unplateau.evaluation.matches import find_matches
from unplateau.evaluation.neighbours import Space, nearest, space_of
from unplateau.evaluation.ranking import Retrieval, check_pair, matched_queries, measure, summarise
from unplateau.evaluation.reciprocal import neighbourhoods
from unplateau.evaluation.scores import DEFAULT_MEMORY_MEGABYTES, block_rows, check_metric
from unplateau.evaluation.sparse_rows import SparseRows, from_row, mean_of_rows, transpose

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

_BYTES_A_MERGED_ENTRY = 64


@dataclass(frozen=True)
class Reranking:
    """Settings of re-ranking; the defaults are the authors' for Market-1501."""

    k1: int = 20
    """Size of the reciprocal neighbourhood, 1 or more."""
    k2: int = 6
    """Neighbourhoods averaged (local query expansion), 1 = none."""
    lambda_value: float = 0.3
    """Weight of the original distance, 0 to 1."""
    metric: str = "cosine"
    memory_megabytes: float = DEFAULT_MEMORY_MEGABYTES
    """Bound on every step's work space; a copy of the features and the neighbourhoods (1 to 4 kB an image) come on top."""

    def __post_init__(self) -> None:
        if self.k1 < 1 or self.k2 < 1 or not 0 <= self.lambda_value <= 1:
            raise UsageError(
                f"Re-ranking has k1 {self.k1}, k2 {self.k2}, lambda {self.lambda_value}; expected k1 and k2 of 1 or more and "
                "a lambda from 0 to 1. The published setting is 20, 6, 0.3."
            )
        check_metric(self.metric)


def rerank(query: Embedded, gallery: Embedded, settings: Reranking | None = None) -> Floats:
    """Return the final distances_QG, all at once. For metrics alone use `retrieve_reranked`, which holds a block at a time.

    Raises:
        DataError: there is nothing to rank, or a feature is not finite.
    """
    check_pair(query, gallery)
    distances_QG = np.empty((len(query), len(gallery)), np.float32)
    graph = _graph(query, gallery, settings or Reranking())
    for rows, scores_BG in graph.score_blocks(np.arange(len(query))):
        np.negative(scores_BG, out=distances_QG[rows])
    return distances_QG


def retrieve_reranked(
    query: Embedded, gallery: Embedded, settings: Reranking | None = None, *, protocol: str = "test", dataset: str = ""
) -> Retrieval:
    """Rank the gallery by re-ranked distance and measure as `ranking.retrieve` does.

    Raises:
        DataError: there is nothing to rank, no query has a right answer, or a feature is not finite.
    """
    settings = settings or Reranking()
    check_pair(query, gallery)
    matches = find_matches(query, gallery)
    query_rows_Q = matched_queries(matches)
    graph = _graph(query, gallery, settings, other_numbers_a_row=16 * matches.most_own)
    parts = measure(graph.score_blocks(query_rows_Q), matches, query_rows_Q)
    options = {
        "metric": settings.metric,
        "rerank": f"k1 {settings.k1}, k2 {settings.k2}, lambda {settings.lambda_value:g}",
    }
    return summarise(parts, matches, query.person_ids_N, protocol=protocol, dataset=dataset, options=options)


@dataclass(frozen=True)
class _Graph:
    """All that the final distances are made of."""

    space: Space
    """Queries, then gallery."""
    num_queries: int
    lambda_value: float
    neighbourhoods_NN: SparseRows  # noqa: N815
    members_NG: SparseRows  # noqa: N815
    """For each image, the gallery images whose neighbourhood holds it."""
    squares_Q: Floats  # noqa: N815
    """What the squared distance adds to minus twice the score."""
    farthest_Q: Floats  # noqa: N815
    num_rows: int

    def score_blocks(self, rows_Q: Rows) -> Iterator[tuple[slice, Floats]]:
        """Give (slice of `rows_Q`, negative final distances_BG)."""
        blocks = self.space.score_blocks(rows_Q, self.num_queries, self.num_rows)
        for block, scores_BG in blocks:
            for scores_G, query in zip(scores_BG, rows_Q[block].tolist(), strict=True):
                self._finish(scores_G, query)
            yield block, scores_BG

    def _finish(self, scores_G: Floats, query: int) -> None:
        """Turn one query's scores into negative final distances, in place (equations 10 and 12).

        With s the score, the squared distance is `square - 2 s`; with c what the neighbourhoods have in common, the
        Jaccard distance is 1 - c / (2 - c).
        """
        farthest = float(self.farthest_Q[query])
        weight = self.lambda_value / farthest if farthest > 0 else 0.0
        scores_G *= 2 * weight
        scores_G -= weight * float(self.squares_Q[query]) + 1 - self.lambda_value
        common_G = self._in_common(query)
        common_G /= 2 - common_G
        common_G *= 1 - self.lambda_value
        scores_G += common_G

    def _in_common(self, query: int) -> Floats:
        """Return how much of the query's neighbourhood each gallery image's shares: the sum of the smaller weights."""
        own = slice(*self.neighbourhoods_NN.offsets[query : query + 2])
        members, weights = self.neighbourhoods_NN.columns[own], self.neighbourhoods_NN.values[own]
        places, sizes = self.members_NG.entry_places(members)
        smaller = np.minimum(self.members_NG.values[places], np.repeat(weights, sizes))
        return np.bincount(
            self.members_NG.columns[places], smaller, minlength=len(self.space.features_ND) - self.num_queries
        ).astype(np.float32)


def _graph(query: Embedded, gallery: Embedded, settings: Reranking, other_numbers_a_row: int = 0) -> _Graph:
    memory = settings.memory_megabytes
    space = space_of(np.concatenate((query.features_ND, gallery.features_ND)), check_metric(settings.metric))
    num_images, num_queries = len(space.features_ND), len(query)
    num_neighbours = min(max(settings.k1 + 1, settings.k2), num_images)
    neighbours = nearest(space, num_neighbours, memory_megabytes=memory)
    weights_NN = neighbourhoods(neighbours, settings.k1, space, memory_megabytes=memory)
    if settings.k2 > 1:
        at_once = int(memory * 2**20 // _BYTES_A_MERGED_ENTRY)
        weights_NN = mean_of_rows(weights_NN, neighbours.rows_NK[:, : settings.k2], entries_at_once=at_once)
    return _Graph(
        space=space,
        num_queries=num_queries,
        lambda_value=settings.lambda_value,
        neighbourhoods_NN=weights_NN,
        members_NG=transpose(from_row(weights_NN, num_queries), num_images),
        squares_Q=space.double_or_plain_squares_N[:num_queries],
        farthest_Q=neighbours.farthest_N[:num_queries],
        num_rows=block_rows(*gallery.features_ND.shape, memory_megabytes=memory, other_numbers_a_row=other_numbers_a_row),
    )
