"""A GPU has one slot or several, cores are shared among slots, and what the user set is respected."""

import pytest

from unplateau.base.errors import UsageError
from unplateau.search.executors import local
from unplateau.search.executors.local import slots_of
from unplateau.search.executors.slurm import SlurmExecutor


def test_every_visible_gpu_is_a_slot() -> None:
    assert slots_of(None, environment={"CUDA_VISIBLE_DEVICES": "2,5"}) == (
        {"CUDA_VISIBLE_DEVICES": "2"}, {"CUDA_VISIBLE_DEVICES": "5"},
    )  # fmt: skip


def test_several_trials_share_a_gpu_where_asked_and_gpus_are_filled_in_turn() -> None:
    gpus = [slot["CUDA_VISIBLE_DEVICES"] for slot in slots_of(None, per_gpu=2, environment={"CUDA_VISIBLE_DEVICES": "0,1"})]
    assert gpus == ["0", "1", "0", "1"]
    assert len(slots_of(3, environment={"CUDA_VISIBLE_DEVICES": "0,1"})) == 3


def test_hidden_gpus_leave_cpu_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local.os, "cpu_count", lambda: 8)
    assert slots_of(4, environment={"CUDA_VISIBLE_DEVICES": ""}) == ({"OMP_NUM_THREADS": "2"},) * 4
    assert slots_of(None, environment={"CUDA_VISIBLE_DEVICES": "-1"}) == ({},)


def test_a_thread_count_that_the_user_set_is_kept() -> None:
    assert slots_of(2, environment={"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}) == ({}, {})


def test_an_option_that_slurm_does_not_know_is_said(tmp_path) -> None:
    pytest.importorskip("submitit")
    with pytest.raises(UsageError, match="--executor slurm"):
        SlurmExecutor(tmp_path, 1, {"partitoin": "gpu"}, cluster="local")
