"""Retrieval written as plainly and slowly as it can be: the oracle of the fast one. Python loops and floats only."""

import math
from dataclasses import dataclass

from unplateau.evaluation import Embedded


@dataclass
class Plain:
    average_precision: list[float]
    inverse_negative_penalty: list[float]
    first_match_rank: list[int]
    query_rows: list[int]


def similarity(a: list[float], b: list[float], metric: str) -> float:
    if metric == "euclidean":
        return -math.dist(a, b)
    lengths = math.hypot(*a) * math.hypot(*b)
    return round(sum(x * y for x, y in zip(a, b, strict=True)) / lengths, 12) if lengths else 0.0


def retrieve_plainly(query: Embedded, gallery: Embedded, metric: str) -> Plain:
    scores = [[similarity(q, g, metric) for g in gallery.features_ND.tolist()] for q in query.features_ND.tolist()]
    return rank_plainly(scores, query, gallery)


def rank_plainly(scores: list[list[float]], query: Embedded, gallery: Embedded) -> Plain:
    result = Plain([], [], [], [])
    for q in range(len(query)):
        kept = []
        for g in range(len(gallery)):
            same_person = query.person_ids_N[q] == gallery.person_ids_N[g]
            same_camera = query.camera_ids_N[q] == gallery.camera_ids_N[g] and query.camera_ids_N[q] != -1
            if gallery.person_ids_N[g] == -1 or (same_person and same_camera):
                continue
            kept.append((-scores[q][g], bool(same_person)))  # False sorts first: a tie counts against the query
        ranked = [is_match for _, is_match in sorted(kept)]
        if query.person_ids_N[q] == -1 or not any(ranked):
            continue
        ranks = [rank for rank, is_match in enumerate(ranked, start=1) if is_match]
        result.average_precision.append(sum(i / rank for i, rank in enumerate(ranks, start=1)) / len(ranks))
        result.inverse_negative_penalty.append(len(ranks) / ranks[-1])
        result.first_match_rank.append(ranks[0])
        result.query_rows.append(q)
    return result
