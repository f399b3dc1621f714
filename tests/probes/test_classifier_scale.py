import pytest
import torch

from unplateau.models.classifiers import build_classifier
from unplateau.probes.classifier_scale import classifier_scale

from .reading import value

EMBEDDINGS = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
IDS = torch.arange(20) % 5


def measured(kind, scale):
    torch.manual_seed(0)
    classifier = build_classifier(kind, 8, 5, scale=scale, margin=0.2)
    with torch.no_grad():
        classifier.weight.normal_()
    return classifier_scale(classifier(EMBEDDINGS, IDS).detach(), EMBEDDINGS, classifier.weight)


@pytest.mark.parametrize("scale", [1.0, 16.0, 64.0])
@pytest.mark.parametrize("kind", ["CosineLinear", "ArcSoftmax"])
def test_the_scale_of_cosine_classifiers_is_found_also_beside_a_margin(kind, scale):
    assert value(measured(kind, scale), "classifier_scale") == pytest.approx(scale, rel=1e-3)


def test_a_linear_classifier_has_no_scale():
    found = measured("Linear", 1.0)
    assert value(found, "classifier_scale") is None and value(found, "logit_largest") > 1
