"""Ways to break a training off at a chosen moment, and to say what it scored; and whether two runs are the same."""

import itertools
from dataclasses import replace

import pytest

from unplateau.base.files import read_json
from unplateau.engine import loop
from unplateau.engine.requests import StopRequests
from unplateau.testing.small_market import Lab, same_tensors, without_times


def same_runs(lab: Lab, first: str, second: str) -> None:
    one, other = lab.folder(first), lab.folder(second)
    assert same_tensors(one.final_model, other.final_model)
    assert same_tensors(one.best_model, other.best_model)
    assert without_times(read_json(one.history)["epochs"]) == without_times(read_json(other.history)["epochs"])
    assert read_json(one.model_info)["test"] == read_json(other.model_info)["test"]


def stop_in_step(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Use the time budget up after so many steps of the loop."""
    counted = itertools.count(1)
    true_step = loop.train_step

    def train_step(parts, batch):  # type: ignore[no-untyped-def]
        terms = true_step(parts, batch)
        if next(counted) == steps:
            now[0] = 1e9
        return terms

    now = [0.0]
    true_init = StopRequests.__init__

    def init(self, **settings):  # type: ignore[no-untyped-def]
        true_init(self, **{**settings, "clock": lambda: now[0]})

    monkeypatch.setattr(loop, "train_step", train_step)
    monkeypatch.setattr(StopRequests, "__init__", init)


def validation_maps(monkeypatch: pytest.MonkeyPatch, scores: list[float]) -> None:
    """Give the coming epochs these validation mAPs."""
    true_validate, coming = loop._validate, iter(scores)

    def validate(parts, epoch):  # type: ignore[no-untyped-def]
        retrieval = true_validate(parts, epoch)
        return replace(retrieval, metrics=replace(retrieval.metrics, mAP=next(coming)))

    monkeypatch.setattr(loop, "_validate", validate)


def fail_at(save, epoch: int):  # type: ignore[no-untyped-def]
    def failing(self, parts, progress):  # type: ignore[no-untyped-def]
        if progress.epoch == epoch:
            raise OSError("no space left on device")
        save(self, parts, progress)

    return failing
