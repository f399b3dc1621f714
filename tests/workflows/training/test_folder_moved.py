"""A run folder that is moved away while it is trained: said, not begun a second time, and continued when it is back."""

import itertools

import pytest

from unplateau.base.errors import UnplateauError
from unplateau.engine import loop
from unplateau.testing.small_market import Lab

from ..interrupting import same_runs


def test_a_folder_that_is_moved_away_is_said_and_goes_on_when_it_is_back(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = lab.folder("run").path
    away, counted, true_step = folder.with_name("away"), itertools.count(1), loop.train_step

    def train_step(parts, batch):  # type: ignore[no-untyped-def]
        if next(counted) == 8:  # of six in an epoch
            folder.rename(away)
        return true_step(parts, batch)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "train_step", train_step)
        with pytest.raises(UnplateauError, match="run was moved or removed while it was being trained.*put it back"):
            lab.train("run")
    assert not folder.exists()
    away.rename(folder)
    assert lab.train("run", resume=True).reason.code == "completed"
    lab.train("whole")
    same_runs(lab, "whole", "run")
