"""Ranked lists against a plain oracle: who is chosen, whom they found, and what counts neither way."""

import math

import numpy as np
import pytest

from unplateau.evaluation import Embedded, retrieve
from unplateau.evaluation.rank_lists import chosen_places, rank_lists


def _case(seed: int, num_queries: int = 30, num_gallery: int = 80) -> tuple[Embedded, Embedded]:
    """Persons 1 to 8 with distractors and junk in the gallery; no two scores are equal."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((9, 8))

    def images(persons: np.ndarray) -> Embedded:
        features = centres[persons.clip(0)] + rng.standard_normal((len(persons), 8))
        return Embedded(features, persons, rng.integers(0, 3, len(persons)))

    return images(rng.integers(1, 9, num_queries)), images(rng.integers(-1, 9, num_gallery))


def _first_answers_plainly(query: Embedded, gallery: Embedded, row: int, metric: str, num: int) -> list[int]:
    found = []
    for g in range(len(gallery)):
        is_own = gallery.person_ids_N[g] == query.person_ids_N[row] and gallery.camera_ids_N[g] == query.camera_ids_N[row]
        if is_own or gallery.person_ids_N[g] == -1:
            continue
        a, b = query.features_ND[row].tolist(), gallery.features_ND[g].tolist()
        cosine = sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)
        found.append((-cosine if metric == "cosine" else math.dist(a, b), g))
    return [g for _, g in sorted(found)[:num]]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("seed", range(5))
def test_answers_are_those_of_a_plain_ranking(metric: str, seed: int) -> None:
    query, gallery = _case(seed)
    lists = rank_lists(query, gallery, retrieve(query, gallery, metric=metric), metric=metric)
    assert [one.kind for one in lists] == ["best"] * 3 + ["median"] * 3 + ["worst"] * 3
    for one in lists:
        assert list(one.gallery_rows) == _first_answers_plainly(query, gallery, one.query_row, metric, 10)
        persons = gallery.person_ids_N[list(one.gallery_rows)]
        assert list(one.is_right) == (persons == query.person_ids_N[one.query_row]).tolist()
        first = next((place for place, is_right in enumerate(one.is_right, 1) if is_right), None)
        assert first == one.first_match_rank or (first is None and one.first_match_rank > 10)


def test_the_chosen_have_the_highest_the_middle_and_the_lowest_scores() -> None:
    scores = np.array([0.1, 0.9, 0.5, 0.3, 0.7])
    assert chosen_places(scores, np.arange(5), each=1) == [("best", 1), ("median", 2), ("worst", 0)]


def test_each_kind_shows_different_persons() -> None:
    scores = np.linspace(1, 0, 12)
    chosen = chosen_places(scores, np.repeat([1, 2, 3, 4], 3), each=3)
    for kind in ("best", "median", "worst"):
        places = [place for one, place in chosen if one == kind]
        assert len({place // 3 for place in places}) == len(places) == 3
    assert len({place for _, place in chosen}) == len(chosen)


def test_few_queries_are_shown_once() -> None:
    assert chosen_places(np.array([0.4]), np.array([7]), each=3) == [("best", 0)]


def test_a_model_that_gives_every_image_one_feature_is_shown_wrong_answers_first() -> None:
    gallery = Embedded(np.ones((6, 4)), np.array([1, 1, 2, 2, 3, 3]), np.array([0, 1, 0, 1, 0, 1]))
    query = gallery.rows(np.array([0, 2]))
    for one in rank_lists(query, gallery, retrieve(query, gallery), metric="cosine", answers=5):
        assert one.is_right == (False, False, False, False, True)
