"""Which queries are worth looking at, and whom the model takes for them: best, median and worst, each with its first answers.

Chosen by average precision, which is known; only the chosen queries are ranked again, so it costs next to nothing.

Legend: Q queries that have a right answer, G gallery, B chosen queries, D embedding dim.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from unplateau.evaluation.embedded import JUNK_PERSON, UNKNOWN_CAMERA, Embedded
from unplateau.evaluation.ranked_rows import RankedRows
from unplateau.evaluation.ranking import Retrieval
from unplateau.evaluation.scores import check_metric, score_blocks

Rows = NDArray[np.int64]

KINDS = ("best", "median", "worst")
QUERIES_EACH, ANSWERS = 3, 10


def rank_lists(
    query: Embedded, gallery: Embedded, retrieval: Retrieval, *, metric: str, each: int = QUERIES_EACH, answers: int = ANSWERS
) -> tuple[RankedRows, ...]:
    """Return the best, the median and the worst queries with their first answers.

    Images that do not count (junk, and the query's person from the query's camera) are left out, as in the metrics. Of queries
    of one person only one is taken for each kind, so that the lists show several persons.

    Args:
        query, gallery: the embeddings that `retrieval` measured.
        retrieval: average precision of every query.
        metric: of the ranking.
        each: queries of each kind.
        answers: gallery images of each query.
    """
    chosen = chosen_places(retrieval.average_precision_Q, query.person_ids_N[retrieval.query_rows_Q], each=each)
    places = [place for _, place in chosen]
    rows_B = retrieval.query_rows_Q[places]
    blocks = score_blocks(
        query.features_ND[rows_B], gallery.features_ND, metric=check_metric(metric), num_rows=max(2, len(rows_B))
    )
    scores_BG = np.concatenate([block.copy() for _, block in blocks])
    return tuple(
        _ranked(kind, retrieval, place, answers=_first_answers(query, gallery, row, scores_G)[:, :answers])
        for (kind, place), row, scores_G in zip(chosen, rows_B.tolist(), scores_BG, strict=True)
    )


def chosen_places(average_precision_Q: NDArray[np.float64], person_ids_Q: Rows, *, each: int) -> list[tuple[str, int]]:
    """Return (kind, place among the queries) of the queries to show; fewer where there are few. No query is taken twice.

    >>> chosen_places(np.array([0.9, 0.1, 0.5]), np.array([1, 2, 3]), each=1)
    [('best', 0), ('median', 2), ('worst', 1)]
    """
    order = np.argsort(-average_precision_Q, kind="stable")
    middle = np.argsort(np.abs(average_precision_Q - np.median(average_precision_Q)), kind="stable")
    taken: set[int] = set()
    chosen = {kind: _first_persons(places, person_ids_Q, each, taken) for kind, places in zip(
        ("best", "worst", "median"), (order, order[::-1], middle), strict=True
    )}  # fmt: skip
    return [(kind, place) for kind in KINDS for place in chosen[kind]]


def _first_persons(places: Sequence[int] | Rows, person_ids_Q: Rows, each: int, taken: set[int]) -> list[int]:
    found: list[int] = []
    persons: set[int] = set()
    for place in map(int, places):
        if len(found) == each:
            break
        if place in taken or int(person_ids_Q[place]) in persons:
            continue
        found.append(place)
        persons.add(int(person_ids_Q[place]))
    taken.update(found)
    return found


def _first_answers(query: Embedded, gallery: Embedded, row: int, scores_G: NDArray[np.float32]) -> Rows:
    """All that counts, ranked: the gallery rows, and below them whether each is right."""
    person, camera = int(query.person_ids_N[row]), int(query.camera_ids_N[row])
    own_G = (gallery.person_ids_N == person) & (gallery.camera_ids_N == camera) & (camera != UNKNOWN_CAMERA)
    counted = np.flatnonzero(~own_G & (gallery.person_ids_N != JUNK_PERSON))
    is_right = gallery.person_ids_N[counted] == person
    order = np.lexsort((is_right, -scores_G[counted]))  # of equal scores the wrong answer comes first, as in the metrics
    return np.stack((counted[order], is_right[order]))


def _ranked(kind: str, retrieval: Retrieval, place: int, *, answers: Rows) -> RankedRows:
    gallery_rows, is_right = answers
    return RankedRows(
        kind,
        float(retrieval.average_precision_Q[place]),
        int(retrieval.first_match_rank_Q[place]),
        int(retrieval.query_rows_Q[place]),
        tuple(gallery_rows.tolist()),
        tuple(is_right.astype(bool).tolist()),
    )
