import numpy as np
import pytest
import torch

from unplateau.evaluation.embedded import Embedded
from unplateau.probes.evaluation_again import images_again, rows_again, score_again

from .reading import value

IMAGES = torch.randn(12, 3, 8, 4, generator=torch.Generator().manual_seed(0))


def embedded(seed=0, count=40):
    draw = np.random.default_rng(seed)
    ids = np.arange(count) % 8
    return Embedded(np.eye(8)[ids] + 0.4 * draw.standard_normal((count, 8)), ids, draw.integers(0, 3, count))


def test_equal_images_agree_and_changed_ones_are_counted():
    assert value(images_again(IMAGES, IMAGES + 1e-5), "evaluation_images_differ") == 0.0
    changed = IMAGES.clone()
    changed[:3] = changed[:3].flip(1)
    assert value(images_again(IMAGES, changed), "evaluation_images_differ") == pytest.approx(3 / 12)
    assert value(images_again(IMAGES, IMAGES[..., :2]), "evaluation_images_differ") == 1.0


def test_rows_are_compared_by_direction_one_by_one():
    plain = embedded()
    scaled = Embedded(3 * plain.features_ND, plain.person_ids_N, plain.camera_ids_N)
    assert value(rows_again(plain, scaled), "evaluation_rows_differ") == 0.0
    rolled = Embedded(np.roll(plain.features_ND, 1, 0), plain.person_ids_N, plain.camera_ids_N)
    slow = sum(
        np.linalg.norm(a / np.linalg.norm(a) - b / np.linalg.norm(b)) > 0.05
        for a, b in zip(plain.features_ND, rolled.features_ND, strict=True)
    )
    assert value(rows_again(plain, rolled), "evaluation_rows_differ") == pytest.approx(slow / 40)


def test_ids_that_differ_and_rows_that_are_missing_are_counted():
    plain = embedded()
    people = plain.person_ids_N.copy()
    people[:10] += 1
    found = rows_again(plain, Embedded(plain.features_ND, people, np.zeros_like(people)))
    assert value(found, "evaluation_people_differ") == 0.25
    assert value(found, "evaluation_cameras_differ") == pytest.approx(float((plain.camera_ids_N != 0).mean()))
    assert value(rows_again(plain, plain.rows(np.arange(30))), "evaluation_people_differ") == 1.0


def test_the_score_is_the_mean_of_average_precisions_by_definition():
    query, gallery = embedded(1, 24), embedded(2, 80)
    similarity = query.features_ND @ gallery.features_ND.T
    similarity /= np.linalg.norm(query.features_ND, axis=1)[:, None] * np.linalg.norm(gallery.features_ND, axis=1)
    precisions = []
    for row in range(24):
        same = gallery.person_ids_N == query.person_ids_N[row]
        kept = ~(same & (gallery.camera_ids_N == query.camera_ids_N[row]))
        hits = same[kept][np.argsort(-similarity[row][kept])]
        if hits.any():
            precisions.append(np.mean([hits[: n + 1].mean() for n in np.flatnonzero(hits)]))
    assert value(score_again(query, gallery), "map_again") == pytest.approx(float(np.mean(precisions)), abs=1e-6)


def test_no_match_at_all_has_no_score():
    query = embedded(1, 8)
    alone = Embedded(query.features_ND, query.person_ids_N + 100, query.camera_ids_N)
    assert value(score_again(alone, embedded(2)), "map_again") is None
