"""Retrieval: how high a query's person ranks in the gallery. CMC, mAP, mINP and the average precision of each query.

Only the ranks of the right answers are needed, so nothing is sorted that need not be: a right answer's rank is its
place among the right answers plus the number of wrong answers that score at least as much. "At least" breaks ties
against the query: a model that gives every image the same feature scores below chance, not 1.0.

mAP as in Zheng et al. 2015 (the precision at each right answer, averaged; no interpolation), CMC for several right
answers as there (the first one counts), mINP as in Ye et al. 2021, equation 3. Which images count: `matches`.

Shapes: Q queries that have a right answer, G gallery, B queries of a block, R right answers of one query,
P right answers of a block.
"""

import os
from collections.abc import Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from unplateau.base.errors import DataError
from unplateau.evaluation.chance import chance_average_precision
from unplateau.evaluation.counting import count_at_least
from unplateau.evaluation.embedded import JUNK_PERSON, Embedded
from unplateau.evaluation.matches import Matches, find_matches
from unplateau.evaluation.ranked_rows import RankedRows
from unplateau.evaluation.scores import DEFAULT_MEMORY_MEGABYTES, MOST_THREADS, block_rows, check_metric, score_blocks
from unplateau.runs.record import RetrievalMetrics

Doubles = NDArray[np.float64]
Rows = NDArray[np.int64]
Floats = NDArray[np.float32]
Blocks = Iterable[tuple[slice, Floats]]

CMC_RANKS = (1, 5, 10)
_NUM_THREADS = min(MOST_THREADS, os.cpu_count() or 1)  # NumPy computes outside Python's lock


@dataclass(frozen=True)
class Retrieval:
    """Metrics of a data set, and for each query that has a right answer what they are the means of."""

    metrics: RetrievalMetrics
    average_precision_Q: Doubles  # noqa: N815
    inverse_negative_penalty_Q: Doubles  # noqa: N815
    """Right answers by the rank of the last of them."""
    first_match_rank_Q: Rows  # noqa: N815
    """From 1."""
    query_rows_Q: Rows  # noqa: N815
    """Which queries these are; those missing have no right answer and do not count."""
    rank_lists: tuple[RankedRows, ...] = ()
    """Some queries with their first answers, where they were asked for."""


def retrieve(
    query: Embedded,
    gallery: Embedded,
    *,
    metric: str = "cosine",
    protocol: str = "test",
    memory_megabytes: float = DEFAULT_MEMORY_MEGABYTES,
    dataset: str = "",
) -> Retrieval:
    """Rank the gallery for every query and measure where its person ends up.

    Args:
        query, gallery: embeddings of one dim.
        metric: "cosine" (features are normalised here) or "euclidean".
        protocol: "test" or "held-out", written on the metrics.
        memory_megabytes: bound on what ranking holds at once beside the features; two rows of scores at least.
        dataset: name, written on the metrics.

    Returns:
        Metrics as shares, 0 to 1, and their parts for each query.

    Raises:
        DataError: there is nothing to rank, no query has a right answer, or a feature is not finite.
        UsageError: there is no such metric.

    >>> gallery = Embedded(np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]), np.array([7, 8, 7]), np.array([1, 2, 2]))
    >>> query = gallery.rows(np.array([0]))  # its own image has its camera and is left out, so 8 is ahead of 7
    >>> retrieve(query, gallery).metrics.mAP
    0.5
    """
    name = check_metric(metric)
    check_pair(query, gallery)
    matches = find_matches(query, gallery)
    query_rows_Q = matched_queries(matches)
    num_rows = block_rows(
        *gallery.features_ND.shape, memory_megabytes=memory_megabytes, other_numbers_a_row=16 * matches.most_own
    )
    query_QD = features_of(query, query_rows_Q)
    blocks = score_blocks(query_QD, gallery.features_ND, metric=name, num_rows=num_rows)
    parts = measure(blocks, matches, query_rows_Q)
    return summarise(parts, matches, query.person_ids_N, protocol=protocol, dataset=dataset, options={"metric": name})


@dataclass(frozen=True)
class Parts:
    """What the metrics are made of, for each query that has a right answer."""

    average_precision_Q: Doubles  # noqa: N815
    inverse_negative_penalty_Q: Doubles  # noqa: N815
    first_match_rank_Q: Rows  # noqa: N815
    query_rows_Q: Rows  # noqa: N815


def measure(blocks: Blocks, matches: Matches, query_rows_Q: Rows) -> Parts:
    """Measure every query from its scores, block by block; any maker of scores will do.

    Args:
        blocks: (slice of `query_rows_Q`, scores_BG), higher is more alike; the scores are overwritten.
        matches: right answers and left-out images of all queries.
        query_rows_Q: the queries that the blocks are of, each with a right answer.
    """
    parts = np.empty((3, len(query_rows_Q)))
    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        for rows, scores_BG in blocks:
            parts[:, rows] = _parts_of(*_wrong_answers_ahead(scores_BG, matches, query_rows_Q[rows], pool))
    return Parts(parts[0], parts[1], parts[2].astype(np.int64), query_rows_Q)


def summarise(
    parts: Parts, matches: Matches, person_ids: Rows, *, protocol: str, dataset: str, options: dict[str, str]
) -> Retrieval:
    """Average the parts over the queries. `person_ids` are those of all queries."""
    rows_Q, first_Q = parts.query_rows_Q, parts.first_match_rank_Q
    chance_Q = chance_average_precision(matches.num_positives_Q[rows_Q], matches.num_counted_Q[rows_Q])
    metrics = RetrievalMetrics(
        protocol=protocol,
        mAP=float(parts.average_precision_Q.mean()),
        mINP=float(parts.inverse_negative_penalty_Q.mean()),
        cmc={str(rank): float((first_Q <= rank).mean()) for rank in CMC_RANKS},
        num_queries=len(rows_Q),
        num_gallery=len(matches.order_G) - len(matches.junk_rows),
        num_identities=len(np.unique(person_ids[rows_Q])),
        chance_mAP=float(chance_Q.mean()),
        dataset=dataset,
        options=options,
    )
    return Retrieval(metrics, parts.average_precision_Q, parts.inverse_negative_penalty_Q, first_Q, rows_Q)


def check_pair(query: Embedded, gallery: Embedded) -> None:
    """Refuse what cannot be ranked. Raises DataError."""
    if not len(query) or not (gallery.person_ids_N != JUNK_PERSON).any():
        raise DataError(f"There are {len(query)} queries and {len(gallery)} gallery images (junk included); both are needed.")
    dims = query.features_ND.shape[1], gallery.features_ND.shape[1]
    if dims[0] != dims[1] or not dims[0]:
        raise DataError(f"Query features have {dims[0]} numbers and gallery features {dims[1]}; expected one model's for both.")


def matched_queries(matches: Matches) -> Rows:
    """Return the queries that have a right answer. Raises DataError where there are none."""
    query_rows_Q = np.flatnonzero(matches.num_positives_Q > 0)
    if not len(query_rows_Q):
        raise DataError(
            f"None of the {len(matches.own_Q2)} queries has an image of its person from another camera in the gallery. "
            "Check that person ids are shared by query and gallery, and that camera ids are not all alike (-1 = unknown)."
        )
    return query_rows_Q


def features_of(query: Embedded, rows_Q: Rows) -> NDArray[np.float32]:
    """Return these rows' features, without a copy where they are all of them."""
    return query.features_ND if len(rows_Q) == len(query) else query.features_ND[rows_Q]


def _wrong_answers_ahead(scores_BG: Floats, matches: Matches, query_rows_B: Rows, pool: Executor) -> tuple[Rows, Rows]:
    """Return how many wrong answers score at least as much as each right one, and where each query's right ones start.

    Query after query, the right answer that scores lowest first.
    """
    in_block_P, in_gallery_P, starts_B = matches.positives(query_rows_B)
    thresholds_P = scores_BG[in_block_P, in_gallery_P]
    thresholds_P = thresholds_P[np.lexsort((thresholds_P, in_block_P))]
    in_block, in_gallery, _ = matches.own(query_rows_B)
    scores_BG[in_block, in_gallery] = -np.inf
    scores_BG[:, matches.junk_rows] = -np.inf
    thresholds_of = [thresholds_P[start:end] for start, end in pairwise([*starts_B.tolist(), len(thresholds_P)])]
    shares = [range(*share) for share in pairwise(np.linspace(0, len(scores_BG), _NUM_THREADS + 1).astype(int).tolist())]
    ahead = pool.map(lambda share: count_at_least(scores_BG, thresholds_of, share), shares)
    return np.concatenate([counts for some in ahead for counts in some]), starts_B


def _parts_of(ahead_P: Rows, starts_B: Rows) -> Doubles:
    """Return average precision, inverse negative penalty and first rank of a block's queries.

    Args:
        ahead_P: wrong answers ahead of each right answer, query after query, the last right answer first.
        starts_B: where each query starts in it.
    """
    ends_B = np.append(starts_B[1:], len(ahead_P))
    num_positives_B = ends_B - starts_B
    places_P = np.repeat(ends_B, num_positives_B) - np.arange(len(ahead_P))
    ranks_P = places_P + ahead_P
    average_precision_B = np.add.reduceat(places_P / ranks_P, starts_B) / num_positives_B
    return np.stack((average_precision_B, num_positives_B / ranks_P[starts_B], ranks_P[ends_B - 1]))
