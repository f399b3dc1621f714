import torch
from torch import nn

from unplateau.probes.unheld_leaves import unheld_leaves


class _PlainList(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4, bias=False)
        self.rest = [nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)]

    def forward(self, x):
        for layer in (self.first, *self.rest):
            x = layer(x).relu()
        return x


def _measured(model, optimizer, total):
    return {m.name: m.value for m in unheld_leaves(total, [optimizer], model.parameters())}


def test_layers_in_a_plain_list_are_below_the_loss_and_in_no_optimiser():
    model = _PlainList()
    measured = _measured(model, torch.optim.SGD(model.parameters(), lr=0.1), model(torch.ones(2, 4)).sum())
    assert measured == {"unheld_leaves": 2 / 3, "hidden_leaves": 2 / 3}


def test_a_layer_that_the_optimiser_was_not_given_is_not_hidden():
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    measured = _measured(model, torch.optim.SGD(model[0].parameters(), lr=0.1), model(torch.ones(2, 4)).sum())
    assert measured == {"unheld_leaves": 0.5, "hidden_leaves": 0.0}


def test_weights_of_a_loss_count_and_frozen_layers_do_not():
    model, centre = nn.Linear(4, 4, bias=False), torch.zeros(4, requires_grad=True)
    frozen = nn.Linear(4, 4).requires_grad_(False)
    measured = _measured(model, torch.optim.SGD(model.parameters(), lr=0.1), (frozen(model(torch.ones(2, 4))) - centre).sum())
    assert measured == {"unheld_leaves": 4 / 20, "hidden_leaves": 4 / 20}


def test_everything_held_measures_zero_and_a_loss_without_graph_too():
    model = nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    assert _measured(model, optimizer, model(torch.ones(2, 4)).sum())["unheld_leaves"] == 0
    assert _measured(model, optimizer, torch.zeros(()))["unheld_leaves"] == 0
