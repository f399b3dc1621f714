"""Ranking against a slow, plain oracle; what must not change it; and the traps that other evaluators fell into."""

import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unplateau.base.errors import DataError, UsageError
from unplateau.evaluation import Embedded, chance_average_precision, retrieve
from unplateau.evaluation.ranking import Retrieval

from .oracle import retrieve_plainly

METRICS = ("cosine", "euclidean")


def coarse_case(seed: int) -> tuple[Embedded, Embedded]:
    """Small whole-numbered features, many of them alike; junk, distractors, unknown and single cameras."""
    rng = np.random.default_rng(seed)
    num_persons, num_cameras, dim = rng.integers(1, 8), rng.integers(1, 5), rng.integers(1, 6)

    def images(num: int, persons: np.ndarray) -> Embedded:
        # lengths are powers of two, so that equal cosines are equal in single precision too
        features = np.where(rng.random((num, dim)) < 0.5, 0, 1) * rng.choice([-1, 1], (num, dim))
        if seed % 3:
            features = rng.integers(-2, 3, (num, dim))
        return Embedded(features, rng.choice(persons, num), rng.integers(-1 if seed % 5 == 0 else 0, num_cameras, num))

    persons = np.arange(1, num_persons + 1)
    gallery_persons = np.concatenate((persons, [0, -1])) if seed % 2 else persons
    return images(int(rng.integers(1, 12)), persons), images(int(rng.integers(1, 60)), gallery_persons)


def smooth_case(seed: int, num_queries: int = 15, num_gallery: int = 60, dim: int = 16) -> tuple[Embedded, Embedded]:
    """Features that stand for their person by and large; every fourth gallery image is a copy of another."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((6, dim))

    def images(num: int) -> Embedded:
        persons = rng.integers(0, 6, num)
        return Embedded(centres[persons] + 1.5 * rng.standard_normal((num, dim)), persons, rng.integers(0, 3, num))

    query, gallery = images(num_queries), images(num_gallery)
    features = gallery.features_ND.copy()
    features[::4] = features[rng.integers(0, num_gallery, len(features[::4]))]
    return query, replace(gallery, features_ND=features)


def assert_equals_oracle(query: Embedded, gallery: Embedded, metric: str) -> None:
    plain = retrieve_plainly(query, gallery, metric)
    if not plain.query_rows:
        with pytest.raises(DataError):
            retrieve(query, gallery, metric=metric)
        return
    result = retrieve(query, gallery, metric=metric)
    assert result.query_rows_Q.tolist() == plain.query_rows
    assert result.first_match_rank_Q.tolist() == plain.first_match_rank
    np.testing.assert_allclose(result.average_precision_Q, plain.average_precision, rtol=0, atol=1e-9)
    np.testing.assert_allclose(result.inverse_negative_penalty_Q, plain.inverse_negative_penalty, rtol=0, atol=1e-9)
    assert result.metrics.mAP == pytest.approx(np.mean(plain.average_precision), abs=1e-9)
    assert result.metrics.mINP == pytest.approx(np.mean(plain.inverse_negative_penalty), abs=1e-9)
    for rank in (1, 5, 10):
        assert result.metrics.cmc[str(rank)] == pytest.approx(np.mean(np.array(plain.first_match_rank) <= rank), abs=1e-9)


@pytest.mark.parametrize("seed", range(300))
def test_ties_junk_distractors_and_unknown_cameras_rank_as_the_oracle_says(seed: int) -> None:
    query, gallery = coarse_case(seed)
    assert_equals_oracle(query, gallery, "euclidean")


@pytest.mark.parametrize("seed", range(150))
@pytest.mark.parametrize("metric", METRICS)
def test_ordinary_features_with_copies_rank_as_the_oracle_says(seed: int, metric: str) -> None:
    assert_equals_oracle(*smooth_case(seed), metric)


@pytest.mark.parametrize("seed", range(100))
def test_cosine_ties_rank_as_the_oracle_says(seed: int) -> None:
    query, gallery = coarse_case(seed)
    directions = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1], [-1, 1, -1, 1], [0, 0, 0, 0]])
    rng = np.random.default_rng(seed)

    def with_exact_lengths(images: Embedded) -> Embedded:
        scale = 2.0 ** rng.integers(-3, 4, (len(images), 1))
        return replace(images, features_ND=directions[rng.integers(0, 5, len(images))] * scale)

    assert_equals_oracle(with_exact_lengths(query), with_exact_lengths(gallery), "cosine")


@pytest.mark.parametrize("metric", METRICS)
def test_blocks_do_not_change_the_result(metric: str) -> None:
    query, gallery = smooth_case(0, num_queries=701, num_gallery=400)
    whole, pieces = (retrieve(query, gallery, metric=metric, memory_megabytes=size) for size in (256, 0))
    assert_same(whole, pieces)


@pytest.mark.parametrize("num_queries", (1, 2, 3, 513))
def test_a_last_block_of_one_query_is_ranked_as_any(num_queries: int) -> None:
    query, gallery = smooth_case(1, num_queries=num_queries, num_gallery=300)
    assert_equals_oracle(query.rows(np.arange(num_queries)[-3:]), gallery, "cosine")
    last = retrieve(query.rows(np.array([num_queries - 1])), gallery)
    assert retrieve(query, gallery).average_precision_Q[-1] == last.average_precision_Q[0]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), metric=st.sampled_from(METRICS))
def test_the_order_of_the_gallery_does_not_matter(seed: int, metric: str) -> None:
    query, gallery = smooth_case(seed)
    shuffled = gallery.rows(np.random.default_rng(seed).permutation(len(gallery)))
    assert_same(retrieve(query, gallery, metric=metric), retrieve(query, shuffled, metric=metric))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), power=st.integers(-60, 55))
def test_cosine_does_not_see_the_scale_of_features(seed: int, power: int) -> None:
    query, gallery = smooth_case(seed)
    scaled = replace(gallery, features_ND=gallery.features_ND * np.float32(2.0**power))
    assert_same(retrieve(query, gallery), retrieve(query, scaled))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("num_gallery", (7, 100, 1003))
def test_a_collapsed_model_does_not_score_above_chance(metric: str, num_gallery: int) -> None:
    query, gallery = smooth_case(3, num_queries=67, num_gallery=num_gallery, dim=129)
    query, gallery = (
        replace(images, features_ND=np.repeat(query.features_ND[:1], len(images), axis=0)) for images in (query, gallery)
    )
    metrics = retrieve(query, gallery, metric=metric).metrics
    assert metrics.mAP < metrics.chance_mAP
    assert metrics.cmc["1"] == 0.0


@pytest.mark.parametrize("metric", METRICS)
def test_features_of_zeros_tie_and_do_not_score_above_chance(metric: str) -> None:
    query, gallery = smooth_case(4)
    nothing = replace(gallery, features_ND=np.zeros_like(gallery.features_ND))
    metrics = retrieve(query, nothing, metric=metric).metrics
    assert metrics.mAP < metrics.chance_mAP


def test_random_features_score_the_stated_chance() -> None:
    rng = np.random.default_rng(0)
    query, gallery = (
        Embedded(rng.standard_normal((num, 32)), rng.integers(0, 40, num), rng.integers(0, 4, num)) for num in (2000, 800)
    )
    metrics = retrieve(query, gallery).metrics
    assert metrics.mAP == pytest.approx(metrics.chance_mAP, rel=0.06)


def test_junk_images_never_count_as_errors() -> None:
    query = Embedded(np.array([[1.0, 0.0]]), np.array([5]), np.array([0]))
    gallery = Embedded(np.array([[1.0, 0.0], [1.0, 0.1]]), np.array([-1, 5]), np.array([1, 1]))
    assert retrieve(query, gallery).metrics.mAP == 1.0
    assert retrieve(query, gallery).metrics.num_gallery == 1


def test_distractors_do_count_as_errors() -> None:
    query = Embedded(np.array([[1.0, 0.0]]), np.array([5]), np.array([0]))
    gallery = Embedded(np.array([[1.0, 0.0], [1.0, 0.1]]), np.array([0, 5]), np.array([1, 1]))
    assert retrieve(query, gallery).metrics.mAP == 0.5


def test_the_camera_rule_does_not_apply_where_the_camera_is_unknown() -> None:
    query = Embedded(np.array([[1.0, 0.0]]), np.array([5]), np.array([-1]))
    gallery = Embedded(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([5, 6]), np.array([-1, -1]))
    assert retrieve(query, gallery).metrics.mAP == 1.0


def test_queries_without_a_right_answer_are_left_out_and_told() -> None:
    query = Embedded(np.eye(3), np.array([5, 6, -1]), np.array([0, 0, 0]))
    gallery = Embedded(np.eye(3), np.array([5, 6, -1]), np.array([1, 0, 1]))
    result = retrieve(query, gallery)
    assert result.query_rows_Q.tolist() == [0]
    assert result.metrics.num_queries == 1
    assert result.metrics.num_identities == 1


def test_metrics_say_what_they_are_of() -> None:
    metrics = retrieve(*smooth_case(0), metric="euclidean", protocol="held-out", dataset="Market1501").metrics
    assert (metrics.protocol, metrics.dataset, metrics.options) == ("held-out", "Market1501", {"metric": "euclidean"})


@pytest.mark.parametrize("bad", (np.nan, np.inf, 1e30))
@pytest.mark.parametrize("side", (0, 1))
@pytest.mark.parametrize("metric", METRICS)
def test_features_that_are_no_numbers_are_refused(bad: float, side: int, metric: str) -> None:
    pair = list(smooth_case(0))
    features = pair[side].features_ND.copy()
    features[2, 1] = bad
    pair[side] = replace(pair[side], features_ND=features)
    with pytest.raises(DataError, match="row 2"):
        retrieve(*pair, metric=metric)


def test_data_that_cannot_be_ranked_are_refused_with_the_reason() -> None:
    query, gallery = smooth_case(0)
    empty = np.arange(0)
    with pytest.raises(DataError, match="0 gallery"):
        retrieve(query, gallery.rows(empty))
    with pytest.raises(DataError, match="0 queries"):
        retrieve(query.rows(empty), gallery)
    with pytest.raises(DataError, match="one model"):
        retrieve(query, replace(gallery, features_ND=gallery.features_ND[:, :3]))
    with pytest.raises(DataError, match="another camera"):
        retrieve(query, replace(gallery, person_ids_N=gallery.person_ids_N + 100))
    with pytest.raises(UsageError, match="manhattan"):
        retrieve(query, gallery, metric="manhattan")


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(DataError, match="one row"):
        Embedded(np.zeros((2, 3, 4)), np.arange(2), np.arange(2))
    with pytest.raises(DataError, match="person ids"):
        Embedded(np.zeros((2, 3)), np.arange(3), np.arange(2))
    with pytest.raises(DataError, match="camera ids"):
        Embedded(np.zeros((2, 3)), np.arange(2), np.array(["a", "b"]))


def test_memory_stays_within_the_bound_whatever_the_number_of_queries() -> None:
    rng = np.random.default_rng(0)
    query, gallery = (
        Embedded(rng.standard_normal((num, 16), dtype=np.float32), rng.integers(0, 300, num), rng.integers(0, 6, num))
        for num in (1500, 60_000)
    )
    tracemalloc.start()
    try:
        retrieve(query, gallery, memory_megabytes=40)
        peak_megabytes = tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
    assert peak_megabytes < 40


def test_importing_the_evaluator_does_not_import_torch() -> None:
    program = "import sys, unplateau.evaluation, unplateau.evaluation.reranking, unplateau.evaluation.protocols\n"
    program += "import unplateau.evaluation.features_file\nassert 'torch' not in sys.modules and 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(("num_positives", "num_ranked"), ((1, 1), (1, 7), (3, 7), (7, 7), (5, 40)))
def test_chance_is_the_mean_over_random_orders(num_positives: int, num_ranked: int) -> None:
    rng = np.random.default_rng(0)
    is_match = np.arange(num_ranked) < num_positives
    drawn = []
    for _ in range(4000):
        ranks = np.flatnonzero(rng.permutation(is_match)) + 1
        drawn.append(np.mean(np.arange(1, num_positives + 1) / ranks))
    error = np.std(drawn) / np.sqrt(len(drawn))
    assert chance_average_precision(num_positives, num_ranked)[0] == pytest.approx(np.mean(drawn), abs=4 * error + 1e-12)


def assert_same(one: Retrieval, other: Retrieval) -> None:
    np.testing.assert_allclose(one.average_precision_Q, other.average_precision_Q, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(one.first_match_rank_Q, other.first_match_rank_Q)
    assert one.metrics.cmc == other.metrics.cmc
