import math

import pytest
import torch

from unplateau.losses.combine import Losses
from unplateau.losses.cross_entropy import CrossEntropyLoss
from unplateau.losses.terms import Term
from unplateau.losses.triplet import TripletLoss
from unplateau.models.reid import Outputs
from unplateau.probes.losses_as_configured import loss_gradients, losses_as_configured

from .reading import value

IDS = torch.arange(16) // 4


def outputs():
    generator = torch.Generator().manual_seed(0)
    features, logits = torch.randn(16, 8, generator=generator), 3 * torch.randn(16, 4, generator=generator)
    return Outputs(features, features, logits)


def losses(*, smoothing=0.1, margin=0.3, weight=1.0):
    terms = {"cross_entropy": CrossEntropyLoss(smoothing=smoothing), "triplet": TripletLoss(margin=margin)}
    return Losses(terms, {"cross_entropy": 1.0, "triplet": weight})


def test_the_same_losses_give_the_same_values_and_weights():
    found = losses_as_configured(losses(), losses(), outputs(), IDS)
    for name in ("cross_entropy", "triplet"):
        assert value(found, "loss_trained", name) == value(found, "loss_configured", name)
        assert value(found, "loss_weight_trained", name) == value(found, "loss_weight_configured", name)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5, 0.95])
def test_the_smoothing_that_is_really_used_is_found(smoothing):
    found = losses_as_configured(losses(smoothing=smoothing), losses(), outputs(), IDS)
    assert value(found, "effective_smoothing") == pytest.approx(smoothing, abs=1e-4)


def test_another_margin_and_weight_are_seen():
    found = losses_as_configured(losses(margin=30.0, weight=100.0), losses(), outputs(), IDS)
    apart = value(found, "loss_trained", "triplet") - value(found, "loss_configured", "triplet")
    assert apart == pytest.approx(29.7, abs=1.0)
    assert (value(found, "loss_weight_trained", "triplet"), value(found, "loss_weight_configured", "triplet")) == (100.0, 1.0)


def test_uniform_logits_tell_no_smoothing():
    flat = outputs()._replace(logits_BI=torch.zeros(16, 4))
    assert value(losses_as_configured(losses(), losses(), flat, IDS), "effective_smoothing") is None


def test_a_loss_that_was_not_asked_for_counts_with_a_configured_weight_of_0():
    triplet_alone = Losses({"triplet": TripletLoss()}, {"triplet": 1.0})
    found = losses_as_configured(losses(), triplet_alone, outputs(), IDS)
    assert (value(found, "loss_weight_trained", "cross_entropy"), value(found, "loss_weight_configured", "cross_entropy")) == (
        1,
        0,
    )


class Detached(TripletLoss):
    """Has the right value, and no gradient."""

    def term(self, features_BD, logits_BI, person_ids_B):
        return super().term(features_BD.detach(), logits_BI, person_ids_B)


def trained_with(triplet):
    return Losses({"cross_entropy": CrossEntropyLoss(smoothing=0.1), "triplet": triplet}, {"cross_entropy": 1.0, "triplet": 1.0})


def test_the_same_losses_hand_back_the_same_gradients():
    found = loss_gradients(losses(), losses(), outputs(), IDS)
    for name in ("cross_entropy", "triplet"):
        assert value(found, "loss_gradient_cosine", name) == pytest.approx(1.0)
        assert value(found, "loss_gradient_ratio", name) == pytest.approx(1.0)


def test_a_loss_of_the_right_value_without_gradient_is_seen():
    cut = trained_with(Detached())
    assert value(losses_as_configured(cut, losses(), outputs(), IDS), "loss_trained", "triplet") > 0
    found = loss_gradients(cut, losses(), outputs(), IDS)
    assert value(found, "loss_gradient_ratio", "triplet") == 0.0
    assert value(found, "loss_gradient_cosine", "triplet") is None
    assert value(found, "loss_gradient_ratio", "cross_entropy") == pytest.approx(1.0)


def test_a_loss_that_is_solved_as_configured_says_nothing():
    apart = outputs()._replace(features_BD=100.0 * torch.eye(4)[IDS])
    found = loss_gradients(losses(), losses(), apart, IDS)
    assert {measurement.group for measurement in found} == {"cross_entropy"}


class OfOthers(CrossEntropyLoss):
    """Takes the labels of the image before."""

    def term(self, features_BD, logits_BI, person_ids_B):
        return super().term(features_BD, logits_BI, person_ids_B.roll(4))


def test_the_labels_that_a_cross_entropy_uses_are_read_from_its_gradient():
    def kept(cross_entropy):
        trained = Losses({"cross_entropy": cross_entropy}, {"cross_entropy": 1.0})
        return value(loss_gradients(trained, losses(), outputs(), IDS), "loss_targets_kept", "cross_entropy")

    assert kept(CrossEntropyLoss(smoothing=0.0)) == 1.0
    assert kept(OfOthers(smoothing=0.1)) < 0.2


class OfSoftenedTargets(CrossEntropyLoss):
    """Takes the softmax of one-hot labels for its targets."""

    def term(self, features_BD, logits_BI, person_ids_B):
        target_BI = torch.nn.functional.one_hot(person_ids_B, logits_BI.shape[1]).float().softmax(1)
        return Term(-(target_BI * logits_BI.log_softmax(1)).sum(1).mean(), {})


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_the_share_of_the_own_label_is_read_from_the_gradient(smoothing):
    trained = Losses({"cross_entropy": CrossEntropyLoss(smoothing=smoothing)}, {"cross_entropy": 1.0})
    found, identities = loss_gradients(trained, losses(), outputs(), IDS), outputs().logits_BI.shape[1]
    assert value(found, "target_own", "cross_entropy") == pytest.approx(1 - smoothing + smoothing / identities, abs=1e-5)
    assert value(found, "target_spread", "cross_entropy") < 1e-5


def test_targets_that_are_softened_are_read_from_the_gradient():
    trained = Losses({"cross_entropy": OfSoftenedTargets(smoothing=0.0)}, {"cross_entropy": 1.0})
    found, identities = loss_gradients(trained, losses(), outputs(), IDS), outputs().logits_BI.shape[1]
    assert value(found, "target_own", "cross_entropy") == pytest.approx(math.e / (math.e + identities - 1), abs=1e-5)
    assert value(found, "target_spread", "cross_entropy") < 1e-5
