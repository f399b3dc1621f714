import torch
from torch import nn
from torch.nn import functional as F

from unplateau.probes.overfit_batch import overfit_batch

from .reading import value


def step_of(labels_reach_the_loss):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    images, ids = torch.randn(16, 6), torch.arange(16) // 4

    def step():
        optimizer.zero_grad()
        logits = model(images if labels_reach_the_loss else torch.zeros_like(images))
        loss = F.cross_entropy(logits, ids)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def test_a_sound_pipeline_learns_one_batch_by_heart():
    found = overfit_batch(step_of(True), num_steps=100)
    assert value(found, "overfit_first_loss") > 1 and value(found, "overfit_last_loss") < 0.01


def test_a_network_that_never_sees_its_images_cannot():
    assert value(overfit_batch(step_of(False), num_steps=100), "overfit_last_loss") > 1.3


def test_the_last_loss_is_the_mean_of_five():
    losses = iter([9.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    found = overfit_batch(lambda: next(losses), num_steps=6)
    assert value(found, "overfit_last_loss") == 3.0 and value(found, "overfit_lowest_loss") == 1.0
