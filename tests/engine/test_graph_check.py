"""That a network that does something in Python that a graph would freeze is computed as ever, and others are not suspected.

Graphs are played on the CPU. B batch.
"""

import logging
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from unplateau.engine import graphed
from unplateau.engine.graph_check import HostState
from unplateau.engine.graphed import GraphedNetwork
from unplateau.engine.parts import Parts
from unplateau.engine.train_step import train_step
from unplateau.testing.played_graphs import PlayedRecorder
from unplateau.testing.tiny_problem import tiny_config, tiny_parts


@pytest.fixture(autouse=True)
def played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphed, "_Recorder", PlayedRecorder)


class _Scaled(nn.Module):
    """A backbone whose output is multiplied by a number that Python gives."""

    def __init__(self, backbone: nn.Module, factor: Callable[["_Scaled"], float]) -> None:
        super().__init__()
        self.backbone, self.factor = backbone, factor
        self.count, self.counts, self.counter = 0, {"passes": [0]}, torch.zeros(())
        self.seen = torch.zeros(100)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        output: Tensor = self.backbone(images_BCHW) * self.factor(self)
        return output


def _count(network: _Scaled) -> float:
    network.count += 1
    return 1.0 + network.count / 1000


def _count_within(network: _Scaled) -> float:
    network.counts["passes"][0] += 1
    return 1.0


def _count_in_tensor(network: _Scaled) -> float:
    network.counter += 1
    return 1.0


def _new_tensor(network: _Scaled) -> float:
    network.seen = network.seen + 1
    return 1.0


def _prepare(network: _Scaled) -> float:
    network.count = network.count or 2
    return 1.0


def _hidden() -> Callable[[_Scaled], float]:
    """Draws that no one sees but by the output."""
    generator = random.Random(0)
    return lambda _: 1.0 + generator.random()


FROZEN: dict[str, tuple[Callable[[_Scaled], float], str]] = {
    "random": (lambda _: 1.0 + random.random() / 1000, "the network draws from random in its passes"),
    "numpy": (lambda _: 1.0 + np.random.rand() / 1000, "the network draws from numpy.random in its passes"),  # noqa: NPY002
    "a counter": (_count, "the network changes its backbone.count in its passes"),
    "a counter in a dict": (_count_within, "the network changes its backbone.counts in its passes"),
    "a counter on the host": (_count_in_tensor, "the network changes its backbone.counter in its passes"),
    "a memory": (_new_tensor, "the network changes its backbone.seen in its passes"),
    "a generator of its own": (_hidden(), "replayed, the network does not give what it gives launched singly"),
}


def _parts(factor: Callable[[_Scaled], float]) -> tuple[Parts, GraphedNetwork]:
    parts = tiny_parts(config=tiny_config())
    parts.model.backbone = _Scaled(parts.model.backbone, factor)
    parts.model.train()
    network = GraphedNetwork(parts.model, parts.precision)
    return replace(parts, network=network), network


@pytest.mark.parametrize("name", list(FROZEN))
def test_what_a_graph_would_freeze_is_found(name: str, caplog: pytest.LogCaptureFixture) -> None:
    factor, problem = FROZEN[name]
    parts, network = _parts(factor)
    [batch, *_] = parts.train_loader.epoch(1)
    with caplog.at_level(logging.WARNING):
        train_step(parts, batch)
    assert not network.holds_graphs
    [message] = caplog.messages
    assert problem in message


@pytest.mark.parametrize("factor", [lambda _: 1.0, _prepare, lambda _: float("nan")], ids=["plain", "prepares", "NaN"])
def test_networks_that_only_compute_are_replayed(factor: Callable[[_Scaled], float]) -> None:
    parts, network = _parts(factor)
    [batch, *_] = parts.train_loader.epoch(1)
    train_step(parts, batch)
    assert network.holds_graphs


def test_on_a_gpu_numbers_drawn_on_the_host_are_seen_too() -> None:
    model: Any = nn.Linear(1, 1)
    before = HostState.now(model, torch.device("cuda"))
    assert HostState.now(model, torch.device("cuda")).change_since(before) == ""
    torch.rand(1)
    change = HostState.now(model, torch.device("cuda")).change_since(before)
    assert change == "the network draws from torch's generator of the CPU in its passes"
