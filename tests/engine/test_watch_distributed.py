"""Watching under DistributedDataParallel: two processes on gloo, each watches itself and the first one speaks."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT_SECONDS = 240  # two cores may be shared with other work

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="torch on Windows has no libuv rendezvous here")]

LOOP = textwrap.dedent(
    """
    import json, sys
    import torch
    import torch.distributed as dist
    from torch import nn
    import unplateau

    rank, is_stale, place = int(sys.argv[1]), sys.argv[2] == "stale", sys.argv[3]
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{place}/meeting", rank=rank, world_size=2)
    torch.manual_seed(0)
    bare = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4))
    held = [nn.Parameter(p.detach().clone()) for p in bare.parameters()] if is_stale else list(bare.parameters())
    model = nn.parallel.DistributedDataParallel(bare)
    optimizer = torch.optim.Adam(held, lr=1e-2)
    told = []
    with unplateau.watch(model, optimizer, on_finding=lambda f: told.append(f.code), num_identities=4) as watch:
        for step in range(20):
            torch.manual_seed(100 * step + rank)
            images, labels = torch.randn(16, 8), torch.arange(16) % 4
            loss = nn.functional.cross_entropy(model(images + labels[:, None]), labels)
            model.zero_grad()
            loss.backward()
            optimizer.step()
            watch.step({"cross_entropy": loss})
    moved = {m.name: m.value for m in watch.measurements() if not m.group}
    weights = sum(float(p.detach().double().sum()) for p in bare.parameters())
    found = [f.code for f in watch.findings()]
    print(json.dumps({"told": told, "found": found, "moved": moved["tensors_moved"], "weights": weights}))
    dist.destroy_process_group()
    """
)


def _both(tmp_path: Path, kind: str) -> list[dict]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LOOP, str(rank), kind, str(tmp_path)], env=environment, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for rank in (0, 1)
    ]  # fmt: skip
    try:
        ends = [process.communicate(timeout=LIMIT_SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], ends
    return [json.loads(out.splitlines()[-1]) for out, _ in ends]


def test_a_stale_optimiser_is_found_in_both_processes_and_told_by_the_first(tmp_path):
    first, second = _both(tmp_path, "stale")
    assert first["told"] == ["weights-not-updated"]
    assert second["told"] == []
    assert first["found"][0] == second["found"][0] == "weights-not-updated"
    assert first["moved"] == second["moved"] == 0


def test_a_healthy_pair_is_watched_in_silence_and_stays_in_step(tmp_path):
    first, second = _both(tmp_path, "healthy")
    assert first["told"] == second["told"] == []
    assert first["moved"] == second["moved"] == 1
    assert first["weights"] == second["weights"]  # watching one more than the other would have broken the exchange
