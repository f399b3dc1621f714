import numpy as np
import pytest
import torch
from torch import nn

from unplateau.evaluation.embedded import Embedded
from unplateau.probes.evaluation_self_check import (
    batch_invariance,
    embedding_difference,
    gallery_in_itself,
    independent_evaluation,
    same_camera_first,
    shuffled_features,
)

from .reading import value


def embedded(seed, count=60, identities=10, camera_weight=0.0):
    draw = np.random.default_rng(seed)
    ids, cameras = np.arange(count) % identities, draw.integers(0, 4, count)
    features = np.eye(identities)[ids] + camera_weight * np.pad(np.eye(4)[cameras], ((0, 0), (0, identities - 4)))
    return Embedded((features + 0.3 * draw.standard_normal(features.shape)).astype(np.float32), ids, cameras)


def test_shuffled_features_score_at_chance_however_good_they_are():
    query, gallery = embedded(0, count=120), embedded(1, count=400)
    found = shuffled_features(query, gallery, seed=0)
    error = value(found, "map_of_shuffled_features_error")
    assert abs(value(found, "map_of_shuffled_features") - value(found, "map_by_chance")) < 5 * error < 0.1


def test_the_evaluator_agrees_with_plain_sorting_also_on_ties_and_junk():
    gallery = embedded(1)
    features = np.round(gallery.features_ND)  # ties
    ids = gallery.person_ids_N.copy()
    ids[:5] = -1
    found = independent_evaluation(embedded(0), Embedded(features, ids, gallery.camera_ids_N))
    assert value(found, "evaluator_difference") < 1e-6 and abs(value(found, "evaluator_bias")) < 1e-6


def test_a_model_in_evaluation_mode_does_not_depend_on_the_batch():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.BatchNorm1d(5)).eval()
    images = torch.randn(6, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    assert value(batch_invariance(model, images), "batch_difference") < 1e-5
    model.train()
    assert value(batch_invariance(model, images), "batch_difference") > 0.1


def test_rows_in_the_wrong_order_are_seen():
    images = torch.randn(6, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    assert value(batch_invariance(lambda x: x.flatten(1).flip(0), images), "batch_difference") > 0.1


def test_features_of_the_background_find_their_own_camera_first():
    person = same_camera_first(embedded(0), embedded(1))
    background = same_camera_first(embedded(0, camera_weight=5.0), embedded(1, camera_weight=5.0))
    chance = value(person, "same_camera_by_chance")
    assert value(person, "same_camera_first") == pytest.approx(chance, abs=0.2)
    assert value(person, "evaluation_people") == len(np.unique(embedded(0).person_ids_N))
    assert value(person, "evaluation_cameras") == len(np.unique([*embedded(0).camera_ids_N, *embedded(1).camera_ids_N]))
    assert value(background, "same_camera_first") > 0.9


def test_scored_weights_that_are_others_than_the_trained_ones_are_seen():
    trained = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    assert value(embedding_difference(trained, trained), "embedding_difference") == 0.0
    assert value(embedding_difference(trained, trained.flip(0)), "embedding_difference") > 0.5


def test_queries_numbered_apart_from_the_gallery_are_not_found_where_the_gallery_is():
    query, gallery = embedded(0), embedded(1, count=120)
    right = gallery_in_itself(query, gallery, most_queries=1000)
    wrong_query = Embedded(query.features_ND, (query.person_ids_N + 3) % 10, query.camera_ids_N)
    wrong = gallery_in_itself(wrong_query, gallery, most_queries=1000)
    assert value(right, "map_of_gallery_in_itself") == value(wrong, "map_of_gallery_in_itself") > 0.6
    assert value(right, "map_of_queries") > 0.6 and value(wrong, "map_of_queries") < 0.2


def test_one_camera_id_everywhere_leaves_no_match_and_no_number():
    query = embedded(0)
    alike = Embedded(query.features_ND, query.person_ids_N, np.zeros_like(query.camera_ids_N))
    found = gallery_in_itself(alike, alike, most_queries=20)
    assert value(found, "map_of_gallery_in_itself") is None and value(found, "map_of_queries") is None
