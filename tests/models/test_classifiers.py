"""Classifiers against slow loops over their equations."""

import math

import pytest
import torch
from torch import Tensor

from unplateau.models.classifiers import LINEAR_STD, build_classifier

COSINE = ("CosineLinear", "ArcSoftmax", "CosSoftmax", "CircleSoftmax")


def oracle(kind: str, cosine: float, *, is_true: bool, margin: float) -> float:
    if kind == "ArcSoftmax" and is_true:
        angle = math.acos(cosine)
        return math.cos(angle + margin) if angle + margin <= math.pi else cosine - margin * math.sin(margin)
    if kind == "CosSoftmax" and is_true:
        return cosine - margin
    if kind == "CircleSoftmax":
        if is_true:
            return max(0.0, 1 + margin - cosine) * (cosine - (1 - margin))
        return max(0.0, cosine + margin) * (cosine - margin)
    return cosine


@pytest.mark.parametrize("kind", COSINE)
def test_logits_follow_the_equation(kind: str) -> None:
    classifier = build_classifier(kind, 4, 3, scale=16.0, margin=0.35)
    embeddings_BD, person_ids_B = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    embeddings_BD[5] = -classifier.weight[2].detach()  # an angle of pi, where the margin must not turn the curve up
    logits_BI = classifier(embeddings_BD, person_ids_B).detach()
    cosines_BI = torch.nn.functional.cosine_similarity(embeddings_BD[:, None], classifier.weight.detach()[None], dim=2)
    for image in range(6):
        for identity in range(3):
            cosine = float(cosines_BI[image, identity].clamp(-1, 1))
            expected = 16.0 * oracle(kind, cosine, is_true=int(person_ids_B[image]) == identity, margin=0.35)
            assert float(logits_BI[image, identity]) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("kind", COSINE)
def test_gradients_are_finite_where_embedding_and_weight_are_parallel(kind: str) -> None:
    classifier = build_classifier(kind, 4, 2, scale=64.0, margin=0.5)
    embeddings_BD = torch.cat([classifier.weight.detach()[:1], -classifier.weight.detach()[:1]]).requires_grad_()
    logits_BI: Tensor = classifier(embeddings_BD, torch.tensor([0, 0]))
    torch.nn.functional.cross_entropy(logits_BI, torch.tensor([0, 0])).backward()
    assert torch.isfinite(embeddings_BD.grad).all() and torch.isfinite(classifier.weight.grad).all()


def test_margins_need_the_identities() -> None:
    with pytest.raises(ValueError, match="ArcSoftmax needs person_ids_B"):
        build_classifier("ArcSoftmax", 4, 2, scale=1.0, margin=0.1)(torch.randn(2, 4), None)
    assert build_classifier("CosineLinear", 4, 2, scale=1.0, margin=0.1)(torch.randn(2, 4), None).shape == (2, 2)


def test_cosine_logits_keep_single_precision_under_autocast() -> None:
    classifier = build_classifier("CosSoftmax", 8, 3, scale=64.0, margin=0.2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert classifier(torch.randn(2, 8).bfloat16(), torch.tensor([0, 1])).dtype == torch.float32


def test_the_recorded_deviation_of_a_linear_head_predicts_its_first_loss() -> None:
    classifier = build_classifier("Linear", 2048, 751, scale=1.0, margin=0.0)
    assert classifier.initial_std == LINEAR_STD
    assert float(classifier.weight.detach().std()) == pytest.approx(LINEAR_STD, rel=0.01)
    embeddings_BD, person_ids_B = torch.randn(64, 2048), torch.arange(64)
    loss = torch.nn.functional.cross_entropy(classifier(embeddings_BD, person_ids_B), person_ids_B)
    assert float(loss.detach()) == pytest.approx(math.log(751) + 2048 * LINEAR_STD**2 / 2, abs=0.03)
    assert build_classifier("CosSoftmax", 4, 2, scale=1.0, margin=0.0).initial_std is None
