import contextlib
import math

import torch
from torch import nn
from torch.nn import functional as F

from unplateau.probes.blank_input import blank_input
from unplateau.probes.leave_no_trace import untouched

from .reading import value


def measure(uses_images):
    torch.manual_seed(0)
    model = nn.Linear(12, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    ids = torch.arange(16) // 4
    batches = [(F.one_hot(ids, 4).repeat(1, 3).float().view(16, 3, 2, 2), ids) for _ in range(20)]

    def step(images, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images.flatten(1) * uses_images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    before = model.weight.detach().clone()
    found = blank_input(step, batches, lambda: untouched([model], [optimizer]))
    assert torch.equal(model.weight, before)
    return found


def test_images_that_are_used_lower_the_loss_below_that_of_blank_ones():
    found = measure(uses_images=1.0)
    assert value(found, "loss_on_images") < 0.5 * value(found, "loss_on_blanks")


def test_images_that_are_ignored_make_no_difference():
    found = measure(uses_images=0.0)
    assert value(found, "loss_on_images") == value(found, "loss_on_blanks")


def test_a_training_without_a_finite_loss_is_measured_as_such():
    batches = [(torch.zeros(2, 3, 2, 2), torch.zeros(2, dtype=torch.long))] * 4
    found = blank_input(lambda images, labels: float("nan"), batches, contextlib.nullcontext)
    assert all(math.isnan(m.value) for m in found)
