"""What every loss of the registry must satisfy. A new entry without a line in SETTINGS fails."""

import math

import pytest
import torch

from unplateau.config.schema import Config
from unplateau.losses.build import REGISTRY, build_losses

NUM_IDENTITIES, B, D = 5, 12, 7
SETTINGS = {
    "CrossEntropyLoss": {"CE": {"EPSILON": 0.1}},
    "TripletLoss": {"TRI": {"HARD_MINING": True}},
    "CircleLoss": {},
    "CenterLoss": {},
}


def losses(name, **settings):
    plain = {"NAME": (name,), **SETTINGS.get(name, {})}
    for section, values in settings.items():
        plain[section] = {**plain.get(section, {}), **values}
    return build_losses(Config.model_validate({"MODEL": {"LOSSES": plain}}), num_identities=NUM_IDENTITIES, feature_dim=D)


def batch(dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(B, D, generator=generator).to(dtype)
    ids = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 4])
    classifier = torch.randn(NUM_IDENTITIES, D, generator=generator).to(dtype)
    return features.requires_grad_(), classifier, ids


def terms_of(module, features, classifier, ids):
    return module(features, features @ classifier.T, ids)


SECTION = {"CrossEntropyLoss": "CE", "TripletLoss": "TRI", "CircleLoss": "CIRCLE", "CenterLoss": "CENTER"}


def test_every_entry_of_the_registry_is_under_contract():
    assert set(SETTINGS) == set(REGISTRY) == set(SECTION)


@pytest.mark.parametrize("name", REGISTRY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_losses_and_gradients_are_finite_in_every_precision(name, dtype):
    features, classifier, ids = batch(dtype)
    terms = terms_of(losses(name), features, classifier, ids)
    terms.total.backward()
    assert terms.total.dtype == torch.float32 and torch.isfinite(terms.total)
    assert torch.isfinite(features.grad).all() and features.grad.abs().sum() > 0


@pytest.mark.parametrize("name", REGISTRY)
def test_the_total_and_its_gradient_are_linear_in_the_scale(name):
    features, classifier, ids = batch()
    results = {}
    for scale in (1.0, 3.0):
        terms = terms_of(losses(name, **{SECTION[name]: {"SCALE": scale}}), features, classifier, ids)
        results[scale] = (terms.total.detach(), torch.autograd.grad(terms.total, features)[0], list(terms.parts.values())[0])
    torch.testing.assert_close(results[3.0][0], 3 * results[1.0][0])
    torch.testing.assert_close(results[3.0][1], 3 * results[1.0][1])
    torch.testing.assert_close(results[3.0][2], results[1.0][2], msg="parts are unweighted")


@pytest.mark.parametrize("name", REGISTRY)
def test_the_order_of_the_batch_changes_neither_loss_nor_gradient(name):
    features, classifier, ids = batch()
    order = torch.randperm(B, generator=torch.Generator().manual_seed(0))
    module = losses(name)
    plain = terms_of(module, features, classifier, ids)
    shuffled = terms_of(module, features[order], classifier, ids[order])
    torch.testing.assert_close(shuffled.total, plain.total)
    gradients = [torch.autograd.grad(terms.total, features)[0] for terms in (plain, shuffled)]
    torch.testing.assert_close(gradients[0], gradients[1])
    for key, value in plain.measurements.items():
        torch.testing.assert_close(shuffled.measurements[key], value)


@pytest.mark.parametrize("name", REGISTRY)
def test_renaming_the_identities_changes_nothing(name):
    features, classifier, ids = batch()
    renamed = torch.randperm(NUM_IDENTITIES, generator=torch.Generator().manual_seed(2))
    plain = terms_of(losses(name), features, classifier, ids)
    other = terms_of(losses(name), features, classifier[renamed.argsort()], renamed[ids])
    torch.testing.assert_close(other.total, plain.total)


@pytest.mark.parametrize("name", REGISTRY)
def test_a_small_step_against_the_gradient_lowers_the_loss(name):
    features, classifier, ids = batch()
    module = losses(name)
    before = terms_of(module, features, classifier, ids)
    (gradient,) = torch.autograd.grad(before.total, features)
    with torch.no_grad():
        after = terms_of(module, features - 1e-3 * gradient / gradient.norm(), classifier, ids)
    assert after.total < before.total


@pytest.mark.parametrize("name", REGISTRY)
def test_a_loss_of_scale_0_is_measured_but_not_minimised(name):
    features, classifier, ids = batch()
    other = "TripletLoss" if name == "CrossEntropyLoss" else "CrossEntropyLoss"
    plain = {"NAME": (name, other), SECTION[name]: {"SCALE": 0.0}}
    module = build_losses(Config.model_validate({"MODEL": {"LOSSES": plain}}), num_identities=NUM_IDENTITIES, feature_dim=D)
    terms = terms_of(module, features, classifier, ids)
    assert not terms.parts[REGISTRY[name].part].requires_grad
    torch.testing.assert_close(terms.total, terms.parts[REGISTRY[other].part])


@pytest.mark.parametrize("name", REGISTRY)
def test_measurements_are_detached_scalars_on_the_features_device(name):
    features, classifier, ids = batch()
    for value in terms_of(losses(name), features, classifier, ids).measurements.values():
        assert value.dim() == 0 and not value.requires_grad and value.device == features.device


@pytest.mark.parametrize("name", REGISTRY)
def test_nothing_waits_for_the_device(name):
    # meta tensors hold no values, so anything that reads one on the host raises
    features = torch.empty(B, D, device="meta", requires_grad=True)
    logits = torch.empty(B, NUM_IDENTITIES, device="meta")
    ids = torch.empty(B, dtype=torch.int64, device="meta")
    for loss in losses(name).to("meta").terms.values():
        loss.term(features, logits, ids)


@pytest.mark.parametrize("value", [0.0, 2.5])
@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("margin", [0.0, 0.3])
def test_collapsed_features_give_the_triplet_landmark(value, hard, margin):
    module = losses("TripletLoss", TRI={"MARGIN": margin, "HARD_MINING": hard})
    features = torch.full((B, D), value, requires_grad=True)
    terms = module(features, None, batch()[2])
    (gradient,) = torch.autograd.grad(terms.total, features)
    assert terms.total.item() == pytest.approx(margin if margin > 0 else math.log(2), abs=1e-6)
    assert torch.isfinite(gradient).all()


def test_equal_logits_give_the_logarithm_of_the_identities():
    for eps in (0.0, 0.1, 0.5):
        module = losses("CrossEntropyLoss", CE={"EPSILON": eps})
        assert module(torch.zeros(B, D), torch.full((B, NUM_IDENTITIES), 7.0), batch()[2]).total.item() == pytest.approx(
            math.log(NUM_IDENTITIES), abs=1e-5
        )


def test_collapsed_features_give_the_circle_landmark():
    margin, gamma = 0.25, 8.0
    module = losses("CircleLoss", CIRCLE={"MARGIN": margin, "GAMMA": gamma})
    ids = torch.arange(12) // 4
    # every similarity is 1: ln(1 + N P exp(gamma (1 - m^2)) exp(-gamma m^2)), N negatives and P positives an anchor
    expected = math.log1p(8 * 3 * math.exp(gamma * (1 - 2 * margin**2)))
    assert module(torch.ones(12, D), None, ids).total.item() == pytest.approx(expected, rel=1e-5)
