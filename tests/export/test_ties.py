"""The bounds of a score hold what the evaluation computes, are one point without near ties, and wide where all is alike."""

import numpy as np
import pytest

from unplateau.evaluation.embedded import Embedded
from unplateau.evaluation.ranking import retrieve
from unplateau.export.ties import Bounds, bounds


def made(seed: int, spread: float) -> tuple[Embedded, Embedded]:
    """Queries and gallery of five persons, junk and unknown cameras among them; `spread` apart."""
    rng = np.random.default_rng(seed)
    features = (1 + spread * rng.normal(size=(60, 6))).astype(np.float32)
    persons, cameras = rng.integers(0, 5, 60), rng.integers(0, 3, 60)
    persons[50:53], cameras[53:56] = -1, -1
    whole = Embedded(features, persons, cameras)
    return whole.rows(np.arange(12)), whole.rows(np.arange(12, 60))


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("seed", range(5))
def test_without_near_ties_the_bounds_are_the_evaluations_own_scores(seed: int, metric: str) -> None:
    query, gallery = made(seed, 1.0)
    scores, found = retrieve(query, gallery, metric=metric).metrics, bounds(query, gallery, metric=metric)
    assert found.hold(scores.mAP, scores.cmc["1"], slack=1e-9)
    assert found.mAP[1] - found.mAP[0] < 0.02


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_where_all_pictures_are_alike_any_order_is_possible(metric: str) -> None:
    query, gallery = made(0, 1e-7)
    found = bounds(query, gallery, metric=metric)
    assert found.mAP[0] < 0.3 and found.mAP[1] == pytest.approx(1.0) and found.rank_1 == (0.0, 1.0)


def test_a_score_outside_is_not_possible() -> None:
    found = Bounds((0.4, 0.5), (0.6, 0.6))
    assert found.hold(0.45, 0.6, slack=1e-9)
    assert not found.hold(0.51, 0.6, slack=1e-9) and not found.hold(0.45, 0.7, slack=1e-9)
