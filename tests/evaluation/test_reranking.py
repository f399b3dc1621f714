"""Re-ranking against the published formula written with dense matrices, and what it must keep of plain ranking."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from unplateau.base.errors import DataError, UsageError
from unplateau.evaluation import Embedded, retrieve
from unplateau.evaluation.neighbours import nearest, space_of
from unplateau.evaluation.reranking import Reranking, rerank, retrieve_reranked

from .oracle import rank_plainly


def images(num: int, seed: int, num_persons: int = 12, dim: int = 16, noise: float = 1.0) -> Embedded:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((num_persons, dim))
    persons = rng.integers(0, num_persons, num)
    return Embedded(centres[persons] + noise * rng.standard_normal((num, dim)), persons, rng.integers(0, 4, num))


def distances_by_the_formula(query: Embedded, gallery: Embedded, settings: Reranking) -> np.ndarray:
    """Equations 1 to 12 in double precision, one image after the other; ranks are those of single precision."""
    features = np.concatenate((query.features_ND, gallery.features_ND)).astype(np.float64)
    if settings.metric == "cosine":
        features /= np.linalg.norm(features, axis=1, keepdims=True)
    squared = ((features[:, None] - features[None]) ** 2).sum(axis=2)
    original = squared / squared.max(axis=1, keepdims=True)
    rank = np.argsort(original, axis=1, kind="stable")
    weights = np.zeros_like(original)
    for i in range(len(features)):
        own = reciprocal(rank, i, settings.k1)
        members = set(own)
        for candidate in own:
            theirs = reciprocal(rank, candidate, int(np.around(settings.k1 / 2)))
            if len(set(theirs) & set(own)) > 2 / 3 * len(theirs):
                members |= set(theirs)
        chosen = sorted(members)
        weights[i, chosen] = np.exp(-original[i, chosen])
        weights[i] /= weights[i].sum()
    if settings.k2 > 1:
        weights = np.array([weights[rank[i, : settings.k2]].mean(axis=0) for i in range(len(features))])
    common = np.array([[np.minimum(a, b).sum() for b in weights[len(query) :]] for a in weights[: len(query)]])
    jaccard = 1 - common / (2 - common)
    return (1 - settings.lambda_value) * jaccard + settings.lambda_value * original[: len(query), len(query) :]


def reciprocal(rank: np.ndarray, i: int, k: int) -> list[int]:
    return [j for j in rank[i, : k + 1] if i in rank[j, : k + 1]]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("metric", ("cosine", "euclidean"))
@pytest.mark.parametrize(("k1", "k2", "lambda_value"), ((20, 6, 0.3), (7, 1, 0.5), (3, 9, 0.0), (1, 2, 1.0)))
def test_distances_are_those_of_the_formula(seed: int, metric: str, k1: int, k2: int, lambda_value: float) -> None:
    query, gallery = images(8, seed), images(60, 1000 + seed)
    settings = Reranking(k1=k1, k2=k2, lambda_value=lambda_value, metric=metric)
    expected = distances_by_the_formula(query, gallery, settings)
    np.testing.assert_allclose(rerank(query, gallery, settings), expected, rtol=0, atol=1e-5)


def test_with_fewer_images_than_neighbours_the_formula_still_holds() -> None:
    query, gallery = images(2, 0), images(7, 1)
    np.testing.assert_allclose(rerank(query, gallery), distances_by_the_formula(query, gallery, Reranking()), rtol=0, atol=1e-5)


def test_little_memory_gives_the_same_distances() -> None:
    query, gallery = images(70, 0), images(500, 1)
    whole, pieces = (rerank(query, gallery, Reranking(memory_megabytes=size)) for size in (256, 0.05))
    np.testing.assert_allclose(whole, pieces, rtol=0, atol=1e-6)


def test_metrics_are_those_of_the_final_distances() -> None:
    query, gallery = images(40, 0, noise=1.5), images(200, 1, noise=1.5)
    result = retrieve_reranked(query, gallery, protocol="held-out", dataset="drawn")
    plain = rank_plainly((-rerank(query, gallery)).tolist(), query, gallery)
    np.testing.assert_allclose(result.average_precision_Q, plain.average_precision, rtol=0, atol=1e-9)
    assert result.metrics.protocol == "held-out"
    assert result.metrics.options == {"metric": "cosine", "rerank": "k1 20, k2 6, lambda 0.3"}


def test_reranking_helps_where_persons_form_groups() -> None:
    query, gallery = images(60, 0, noise=1.3), images(400, 1, noise=1.3)
    assert retrieve_reranked(query, gallery).metrics.mAP > retrieve(query, gallery).metrics.mAP


def test_lambda_one_is_plain_ranking() -> None:
    query, gallery = images(40, 0), images(200, 1)
    result = retrieve_reranked(query, gallery, Reranking(lambda_value=1.0))
    assert result.metrics.mAP == pytest.approx(retrieve(query, gallery).metrics.mAP, abs=1e-6)


@pytest.mark.parametrize("metric", ("cosine", "euclidean"))
@pytest.mark.parametrize("value", (0.0, 1.0))
def test_a_collapsed_model_does_not_score_above_chance_after_reranking(metric: str, value: float) -> None:
    query, gallery = (replace(some, features_ND=np.full((len(some), 16), value)) for some in (images(50, 0), images(300, 1)))
    metrics = retrieve_reranked(query, gallery, Reranking(metric=metric)).metrics
    assert metrics.mAP < metrics.chance_mAP


@pytest.mark.parametrize("num_images", (5, 60, 700))
@pytest.mark.parametrize("metric", ("cosine", "euclidean"))
def test_neighbours_are_those_of_a_full_sort(num_images: int, metric: str) -> None:
    features = np.random.default_rng(0).integers(-3, 4, (num_images, 8)).astype(np.float32) + 0.5
    if metric == "cosine":
        features = np.random.default_rng(0).standard_normal((num_images, 8)).astype(np.float32)
    found = nearest(space_of(features.copy(), metric), 5, memory_megabytes=1)  # type: ignore[arg-type]
    if metric == "cosine":
        features = features / np.linalg.norm(features, axis=1, keepdims=True)
    squared = ((features[:, None] - features[None]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(found.rows_NK, np.argsort(squared, axis=1, kind="stable")[:, :5])
    np.testing.assert_allclose(found.squared_distances_NK, np.sort(squared, axis=1)[:, :5], rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.farthest_N, squared.max(axis=1), rtol=1e-5)


def test_memory_stays_far_below_a_matrix_of_all_against_all() -> None:
    query, gallery = images(500, 0, num_persons=400), images(6000, 1, num_persons=400)
    tracemalloc.start()
    try:
        retrieve_reranked(query, gallery, Reranking(memory_megabytes=16))
        peak_megabytes = tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
    assert peak_megabytes < 45  # one such matrix takes 169 in single precision


def test_settings_and_features_that_make_no_sense_are_refused() -> None:
    for wrong in ({"k1": 0}, {"k2": 0}, {"lambda_value": 1.5}, {"metric": "manhattan"}):
        with pytest.raises(UsageError):
            Reranking(**wrong)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="NaN"):
        rerank(images(3, 0), replace(images(30, 1), features_ND=np.full((30, 16), np.nan)))
