import math

import pytest
import torch
from torch import nn

from unplateau.config.schema_solver import ClipGradients
from unplateau.optim.clipping import clip_gradients


def parameters():
    made = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(1))]
    made[0].grad = torch.tensor([3.0, -4.0])
    made[1].grad = torch.tensor([0.0, 12.0, 0.0])
    return made  # the last has no gradient


def gradients(made):
    return [p.grad.tolist() for p in made if p.grad is not None]


def test_switched_off_it_only_measures():
    made = parameters()
    assert clip_gradients(made, ClipGradients()).item() == pytest.approx(13.0)
    assert gradients(made) == [[3.0, -4.0], [0.0, 12.0, 0.0]]


def test_by_norm_all_gradients_shrink_together():
    made = parameters()
    assert clip_gradients(made, ClipGradients(ENABLED=True, CLIP_VALUE=6.5)).item() == pytest.approx(13.0)
    assert gradients(made) == [pytest.approx([1.5, -2.0]), pytest.approx([0.0, 6.0, 0.0])]


def test_gradients_below_the_limit_are_left_alone():
    made = parameters()
    clip_gradients(made, ClipGradients(ENABLED=True, CLIP_VALUE=20.0))
    assert gradients(made) == [[3.0, -4.0], [0.0, 12.0, 0.0]]


def test_by_value_each_element_is_cut():
    made = parameters()
    norm = clip_gradients(made, ClipGradients(ENABLED=True, CLIP_TYPE="value", CLIP_VALUE=3.5))
    assert norm.item() == pytest.approx(13.0)
    assert gradients(made) == [[3.0, -3.5], [0.0, 3.5, 0.0]]


def test_a_gradient_that_is_not_finite_shows_in_the_norm():
    made = parameters()
    made[0].grad[0] = math.nan
    assert not torch.isfinite(clip_gradients(made, ClipGradients(ENABLED=True)))
