import copy

import torch
from torch import nn

from unplateau.optim.moving_average import MovingAverage


def model():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def change(net, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator))
    net(torch.randn(8, 3, generator=generator))  # moves the batch statistics


def test_the_average_is_that_of_the_plain_recursion():
    net = model()
    average = MovingAverage(net, decay=0.5)
    expected = [p.detach().clone() for p in net.parameters()]
    for update in range(1, 9):
        change(net, update)
        average.update(net)
        decay = min(0.5, (1 + update) / (10 + update))
        expected = [decay * e + (1 - decay) * p.detach() for e, p in zip(expected, net.parameters(), strict=True)]
    for found, wanted in zip(average.model.parameters(), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def test_buffers_are_those_of_the_model_now():
    net = model()
    average = MovingAverage(net, decay=0.9)
    change(net, 1)
    average.update(net)
    for found, wanted in zip(average.model.buffers(), net.buffers(), strict=True):
        assert torch.equal(found, wanted)


def test_it_continues_from_a_checkpoint_to_the_bit():
    net = model()
    whole = MovingAverage(net, decay=0.99)
    for update in range(5):
        change(net, update)
        whole.update(net)
    resumed = MovingAverage(model(), decay=0.99)
    resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
    change(net, 9)
    whole.update(net)
    resumed.update(net)
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True))


def test_the_averaged_model_neither_trains_nor_shares_memory():
    net = model()
    average = MovingAverage(net, decay=0.9)
    assert not average.model.training and not any(p.requires_grad for p in average.model.parameters())
    assert all(a.data_ptr() != b.data_ptr() for a, b in zip(average.model.parameters(), net.parameters(), strict=True))
