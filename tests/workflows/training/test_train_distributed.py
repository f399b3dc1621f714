"""Two processes, as torchrun starts them, on gloo and the CPU. Every wait has a limit: a deadlock is a failure, not a hang."""

import os
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from unplateau.base.files import read_json
from unplateau.config.load import load
from unplateau.data.find import find_items
from unplateau.data.loader import TrainLoader
from unplateau.data.samplers import BatchShape
from unplateau.runs.reader import read_stop
from unplateau.testing.small_market import Lab, same_tensors, without_times
from unplateau.workflows.training.score import run_scoring

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "faults" / "train_drawn.py"
LIMIT_SECONDS = 240  # two cores may be shared with other work

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="torch on Windows has no libuv rendezvous here")]


@pytest.fixture
def pair_lab(drawn_market: Path, tmp_path: Path) -> Lab:
    """A lab at the place where the script's own would be, on the data of the session."""
    (tmp_path / "datasets").symlink_to(drawn_market)
    return Lab(root=tmp_path / "datasets", place=tmp_path, cache=tmp_path / "cache")


def _start(lab: Lab, arguments: list[str]) -> list[subprocess.Popen[str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(2):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
        rendezvous = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
        environment = {**os.environ, **place, **rendezvous}
        command = [sys.executable, *arguments]
        processes.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=lab.place)
        )
    return processes


def _ends(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str, str]]:
    """Wait for both; return exit code, output and errors of each."""
    try:
        outputs = [process.communicate(timeout=LIMIT_SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(process.returncode, out, error) for process, (out, error) in zip(processes, outputs, strict=True)]


def _train(lab: Lab, name: str, overrides: str = "", *, resume: bool = False) -> list[tuple[int, str, str]]:
    flags = ["--resume"] if resume else []
    return _ends(_start(lab, [str(SCRIPT), str(lab.place), name, *flags, *overrides.split()]))


def test_two_processes_train_one_run(pair_lab: Lab) -> None:
    ends = _train(pair_lab, "pair")
    assert [code for code, *_ in ends] == [0, 0], ends
    assert "epoch 3/3" in ends[0][1] and ends[1][1] == "", "only the main process speaks"
    folder = pair_lab.folder("pair")
    info = read_json(folder.model_info)
    assert info["step"]["processes"] == 2
    assert [path.name for path in folder.path.parent.iterdir()] == ["pair"]
    epochs = read_json(folder.history)["epochs"]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    assert epochs[-1]["validation"]["mAP"] > 2 * epochs[-1]["validation"]["chance_mAP"]
    scored = run_scoring(pair_lab.recipe, ("MODEL.WEIGHTS", str(folder.best_model)))
    assert scored[0].mAP == pytest.approx(info["test"][0]["mAP"], abs=1e-9), "two processes score as one does"


def test_a_pair_draws_disjoint_identities_in_every_step(pair_lab: Lab) -> None:
    config = load(pair_lab.recipe).config
    items = find_items(config).train
    shapes = [BatchShape.from_config(config, rank=rank, world_size=2) for rank in range(2)]
    loaders = [TrainLoader(items, config, device="cpu", shape=shape) for shape in shapes]
    steps = 0
    for first, second in zip(*(loader.epoch(1) for loader in loaders), strict=True):
        assert len(first.person_ids_B) == len(second.person_ids_B) == 8
        people = set(first.person_ids_B.tolist()), set(second.person_ids_B.tolist())
        assert len(people[0]) == len(people[1]) == 2 and not people[0] & people[1]
        steps += 1
    assert steps == loaders[0].steps_per_epoch


HARD = "SOLVER.EMA.ENABLED True SOLVER.EMA.DECAY 0.9 MODEL.FREEZE_LAYERS [backbone.stages.0]"


def test_a_pair_that_is_resumed_equals_the_uninterrupted_pair(pair_lab: Lab) -> None:
    assert [code for code, *_ in _train(pair_lab, "whole", HARD)] == [0, 0]
    assert [code for code, *_ in _train(pair_lab, "paused", f"{HARD} SOLVER.STOP_EPOCH 2")] == [0, 0]
    assert [code for code, *_ in _train(pair_lab, "paused", HARD, resume=True)] == [0, 0]
    whole, paused = pair_lab.folder("whole"), pair_lab.folder("paused")
    assert same_tensors(whole.final_model, paused.final_model)
    assert same_tensors(whole.best_model, paused.best_model)
    assert without_times(read_json(whole.history)["epochs"]) == without_times(read_json(paused.history)["epochs"])


@pytest.mark.parametrize("losses", ["[CrossEntropyLoss,TripletLoss]", "[TripletLoss]"])
def test_a_pair_that_recomputes_is_the_plain_pair(pair_lab: Lab, losses: str) -> None:
    overrides = f"SOLVER.MAX_EPOCH 2 MODEL.LOSSES.NAME {losses}"
    assert [code for code, *_ in _train(pair_lab, "plain", overrides)] == [0, 0]
    assert [code for code, *_ in _train(pair_lab, "parts", f"{overrides} SOLVER.MEMORY_PLAN checkpoint")] == [0, 0]
    assert same_tensors(pair_lab.folder("plain").final_model, pair_lab.folder("parts").final_model)


def test_a_pair_trains_in_micro_batches(pair_lab: Lab) -> None:
    ends = _train(pair_lab, "parts", "SOLVER.MEMORY_PLAN 2")
    assert [code for code, *_ in ends] == [0, 0], ends
    epochs = read_json(pair_lab.folder("parts").history)["epochs"]
    assert epochs[-1]["validation"]["mAP"] > 2 * epochs[-1]["validation"]["chance_mAP"]


def test_a_pair_whose_losses_leave_the_classifier_out_trains(pair_lab: Lab) -> None:
    ends = _train(pair_lab, "metric", "MODEL.LOSSES.NAME [TripletLoss] SOLVER.MAX_EPOCH 1")
    assert [code for code, *_ in ends] == [0, 0], ends


def test_a_pair_stops_early_together(pair_lab: Lab) -> None:
    ends = _train(pair_lab, "early", "SOLVER.TARGET_MAP 0.01 SOLVER.MAX_EPOCH 50")
    assert [code for code, *_ in ends] == [0, 0]
    reason = read_stop(pair_lab.folder("early"))
    assert reason is not None and (reason.code, reason.epochs_trained) == ("target-reached", 1)


def test_a_pair_decides_on_one_score_where_its_machines_round_differently(pair_lab: Lab) -> None:
    pair_lab.recipe  # noqa: B018 - written before the processes need it
    code = textwrap.dedent(f"""
        import dataclasses, os, pathlib, sys
        from unplateau.engine import loop
        from unplateau.testing.small_market import Lab
        true_validate = loop._validate
        def validate(parts, epoch):
            retrieval = true_validate(parts, epoch)
            score = 0.5 if os.environ["RANK"] == "0" else 0.4999999
            return dataclasses.replace(retrieval, metrics=dataclasses.replace(retrieval.metrics, mAP=score))
        loop._validate = validate
        place = pathlib.Path({str(pair_lab.place)!r})
        lab = Lab(root=place / "datasets", place=place, cache=place / "cache")
        sys.exit(lab.train("agreed", "SOLVER.TARGET_MAP 0.5 SOLVER.MAX_EPOCH 3").reason.exit_code)
    """)
    assert [exit_code for exit_code, *_ in _ends(_start(pair_lab, ["-c", code]))] == [0, 0]
    reason = read_stop(pair_lab.folder("agreed"))
    assert reason is not None and (reason.code, reason.epochs_trained) == ("target-reached", 1)


def test_a_signal_to_one_process_stops_both_and_the_run_can_go_on(pair_lab: Lab) -> None:
    overrides = "SOLVER.MAX_EPOCH 3000 SOLVER.EARLY_STOP_PATIENCE 0 SOLVER.STEPS []"
    processes = _start(pair_lab, [str(SCRIPT), str(pair_lab.place), "asked", *overrides.split()])
    waited_until = time.monotonic() + LIMIT_SECONDS
    while not pair_lab.folder("asked").checkpoint_manifest.exists() and time.monotonic() < waited_until:
        time.sleep(0.1)
    processes[1].terminate()
    assert [code for code, *_ in _ends(processes)] == [75, 75]
    reason = read_stop(pair_lab.folder("asked"))
    assert reason is not None and reason.code == "preempted"
    alone = subprocess.run(
        [sys.executable, str(SCRIPT), str(pair_lab.place), "asked", "--resume", *overrides.split()],
        capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False,
    )  # fmt: skip
    assert alone.returncode == 2 and "begun with 2 process(es), and there are 1 now" in alone.stderr


def test_a_name_that_is_taken_ends_both_with_2(pair_lab: Lab) -> None:
    pair_lab.train("taken", "SOLVER.MAX_EPOCH 1")
    ends = _train(pair_lab, "taken", "SOLVER.MAX_EPOCH 1")
    assert [code for code, *_ in ends] == [2, 2], ends


def test_a_loss_that_breaks_on_one_process_ends_both_as_diverged(pair_lab: Lab) -> None:
    pair_lab.recipe  # noqa: B018 - written before the processes need it
    code = textwrap.dedent(f"""
        import itertools, os, pathlib, sys, dataclasses
        from unplateau.engine import loop
        from unplateau.testing.small_market import Lab
        steps, true_step = itertools.count(), loop.train_step
        def train_step(parts, batch):
            terms = true_step(parts, batch)
            if next(steps) == 5 and os.environ["RANK"] == "1":
                return dataclasses.replace(terms, parts={{**terms.parts, "triplet": terms.total * float("nan")}})
            return terms
        loop.train_step = train_step
        place = pathlib.Path({str(pair_lab.place)!r})
        lab = Lab(root=place / "datasets", place=place, cache=place / "cache")
        sys.exit(lab.train("broken").reason.exit_code)
    """)
    assert [exit_code for exit_code, *_ in _ends(_start(pair_lab, ["-c", code]))] == [1, 1]
    reason = read_stop(pair_lab.folder("broken"))
    assert reason is not None and reason.code == "diverged"
    assert "triplet became nan at step 5 (epoch 1)" in reason.headline
