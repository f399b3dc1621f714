"""The closed forms, against Monte-Carlo oracles written out in numpy."""

import doctest
import math

import numpy as np
import pytest

from unplateau.curves import landmarks


def _cross_entropy(logits_BI: np.ndarray, labels_B: np.ndarray, smoothing: float = 0.0) -> float:
    log_sum = np.log(np.exp(logits_BI).sum(1))
    right = logits_BI[np.arange(len(labels_B)), labels_B]
    return float(np.mean(log_sum - (1 - smoothing) * right - smoothing * logits_BI.mean(1)))


def _start_values(num_identities: int, feature_dim: int, std: float, *, runs: int, smoothing: float = 0.0) -> np.ndarray:
    """Cross-entropies of `runs` initialisations when every identity is one normalised feature."""
    generator = np.random.default_rng(0)
    values = []
    for _ in range(runs):
        features = generator.standard_normal((num_identities, feature_dim))
        weights = std * generator.standard_normal((num_identities, feature_dim))
        values.append(_cross_entropy(features @ weights.T, np.arange(num_identities), smoothing))
    return np.array(values)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("num_identities", "feature_dim", "std"), [(751, 512, 0.01), (150, 128, 0.01), (300, 256, 0.03)])
def test_the_start_is_where_random_heads_really_start(num_identities, feature_dim, std, smoothing):
    values = _start_values(num_identities, feature_dim, std, runs=12, smoothing=smoothing)
    start = landmarks.cross_entropy_at_start(num_identities, feature_dim, std)
    assert values.mean() == pytest.approx(start.mean, abs=4 * start.spread / math.sqrt(12))
    assert values.std() < 2 * start.spread


def test_the_spread_is_that_of_identities_with_one_feature_each():
    values = _start_values(100, 64, 0.05, runs=300)
    start = landmarks.cross_entropy_at_start(100, 64, 0.05)
    assert values.std() == pytest.approx(start.spread, rel=0.15)


def test_the_stalled_run_sits_on_the_start_of_its_head():
    mean, spread = landmarks.cross_entropy_at_start(751, 2048, 0.01)
    assert abs(6.71 - mean) < 3 * spread
    assert abs(6.73 - mean) < 3 * spread


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_no_probabilities_get_below_the_floor_of_a_second_softmax(smoothing):
    generator = np.random.default_rng(1)
    floor = landmarks.softmax_twice_floor(40, label_smoothing=smoothing)
    for sharpness in (0.1, 3.0, 100.0):
        raw = sharpness * generator.standard_normal((200, 40))
        probabilities = np.exp(raw) / np.exp(raw).sum(1, keepdims=True)
        assert _cross_entropy(probabilities, probabilities.argmax(1), smoothing) >= floor - 1e-9
    assert _cross_entropy(np.eye(40), np.arange(40), smoothing) == pytest.approx(floor)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_the_simplex_reaches_the_cosine_floor_and_random_prototypes_do_not(scale):
    num_identities = 12
    centred = np.eye(num_identities) - 1 / num_identities
    simplex = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    floor = landmarks.cosine_floor(num_identities, scale)
    assert _cross_entropy(scale * simplex @ simplex.T, np.arange(num_identities)) == pytest.approx(floor)
    random = np.random.default_rng(2).standard_normal((num_identities, 30))
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    assert _cross_entropy(scale * random @ random.T, np.arange(num_identities)) > floor


@pytest.mark.parametrize("smoothing", [0.05, 0.1, 0.3])
def test_the_smoothing_floor_is_the_entropy_of_the_smoothed_label(smoothing):
    wrong = smoothing / 751
    right = 1 - smoothing + wrong
    entropy = -right * math.log(right) - 750 * wrong * math.log(wrong)
    assert landmarks.label_smoothing_floor(751, smoothing) == pytest.approx(entropy)


def test_smoothing_raises_the_floor_of_unscaled_cosines():
    assert landmarks.cosine_floor(751, label_smoothing=0.1) > landmarks.cosine_floor(751) + 0.09


def test_one_identity_costs_nothing():
    assert landmarks.uniform_cross_entropy(1) == 0.0
    assert landmarks.label_smoothing_floor(1, 0.1) == 0.0


def test_the_examples_of_the_documentation_are_true():
    assert doctest.testmod(landmarks).failed == 0


@pytest.mark.parametrize(("accuracy", "smoothing"), [(0.3, 0.0), (0.9, 0.1), (0.99, 0.5)])
def test_the_cross_entropy_of_an_accuracy_is_that_of_a_classifier_as_sure_as_it_is_right(accuracy, smoothing):
    generator = np.random.default_rng(0)
    labels_B = generator.integers(0, 50, 200_000)
    guesses_B = np.where(generator.random(200_000) < accuracy, labels_B, (labels_B + generator.integers(1, 50, 200_000)) % 50)
    logits_BI = np.full((200_000, 50), math.log((1 - accuracy) / 49))
    logits_BI[np.arange(200_000), guesses_B] = math.log(accuracy)
    expected = landmarks.cross_entropy_of_accuracy(50, accuracy, label_smoothing=smoothing)
    assert expected == pytest.approx(_cross_entropy(logits_BI, labels_B, smoothing), rel=0.01)


def test_a_higher_accuracy_calls_for_a_lower_cross_entropy():
    values = [landmarks.cross_entropy_of_accuracy(751, accuracy) for accuracy in (0.0, 0.1, 0.5, 0.9, 1.0)]
    assert values == sorted(values, reverse=True)
