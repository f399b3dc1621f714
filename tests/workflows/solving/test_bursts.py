"""Bursts start from the run's checkpoint, all on the same images, and leave no trace in the run or in random states."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from unplateau.base.errors import UsageError
from unplateau.base.files import sha256_of
from unplateau.data.loader import Batch
from unplateau.engine.burst import first_images, run_burst
from unplateau.report.bursts_text import bursts_text
from unplateau.runs.record import Solution
from unplateau.solutions.bursts import BurstResult
from unplateau.testing.small_market import Lab
from unplateau.workflows.diagnosing.diagnose import Sources
from unplateau.workflows.solving.bursts import _set_up, run_bursts
from unplateau.workflows.solving.solve import SolveRequest, solve

STEPS = 12


def _solution(name: str, **delta: object) -> Solution:
    return Solution(name, "", {key.replace("__", "."): value for key, value in delta.items()})


def _files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_of(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def _burst(lab: Lab, *solutions: Solution, said: Callable[[str], None] = lambda line: None) -> dict[str, BurstResult]:
    lab.train("run", "SOLVER.MAX_EPOCH 2")
    return {result.name: result for result in run_bursts(lab.folder("run").path, solutions, num_steps=STEPS, say=said)}


def test_a_copy_of_the_control_differs_by_nothing_and_nothing_is_left_behind(lab: Lab) -> None:
    lab.train("run", "SOLVER.MAX_EPOCH 2")
    folder = lab.folder("run").path
    files, state = _files(folder), torch.get_rng_state()
    (copy,) = run_bursts(folder, [_solution("copy", SOLVER__EARLY_STOP_PATIENCE=3)], num_steps=STEPS, say=lambda line: None)
    assert copy.verdict == "not told apart"
    assert [(term.level.value, term.slope.value) for term in copy.terms] == [(0.0, 0.0), (0.0, 0.0)]
    assert copy.map_gain is not None and copy.map_gain.value == 0.0
    assert copy.map_after == copy.control_map_after != copy.map_before
    assert _files(folder) == files
    assert torch.equal(torch.get_rng_state(), state)


def test_all_get_the_same_images_whatever_their_batch(lab: Lab) -> None:
    results = _burst(
        lab,
        _solution("half", SOLVER__IMS_PER_BATCH=8),
        _solution("double", SOLVER__IMS_PER_BATCH=32),
        _solution("augmented", INPUT__FLIP__ENABLED=False),
        _solution("frozen", SOLVER__BASE_LR=1e-9),
    )
    assert {result.num_images for result in results.values()} == {16 * STEPS}
    assert [results[name].num_steps for name in ("half", "double", "frozen")] == [2 * STEPS, STEPS // 2, STEPS]
    assert [term.name for term in results["half"].terms] == ["cross_entropy"]
    assert results["augmented"].terms == () and "drawn or prepared otherwise" in results["augmented"].note
    assert {term.name for term in results["frozen"].terms} == {"cross_entropy", "triplet"}
    assert results["frozen"].map_after == pytest.approx(results["frozen"].map_before, abs=0.05)


def test_a_run_whose_rate_is_used_up_is_told_that_rates_cannot_be_tried(lab: Lab) -> None:
    lab.train("run", "SOLVER.MAX_EPOCH 2 SOLVER.SCHED CosineAnnealingLR SOLVER.ETA_MIN_LR 0.0 SOLVER.WARMUP_ITERS 0")
    said: list[str] = []
    run_bursts(lab.folder("run").path, [], num_steps=STEPS, say=said.append)
    assert any("at the end of its schedule" in line for line in said)


def test_what_a_burst_cannot_try_is_said(lab: Lab) -> None:
    said: list[str] = []
    results = _burst(
        lab,
        _solution("unchanged"),
        _solution("backbone", MODEL__BACKBONE__PRETRAIN=True),
        _solution("wrong", SOLVER__IMS_PER_BATCH=3),
        _solution("diverging", SOLVER__BASE_LR=900.0, SOLVER__OPT="SGD"),
        said=said.append,
    )
    assert results["unchanged"].note == "nothing is changed, so it is the control"
    assert "cannot try" in results["backbone"].note and "IMS_PER_BATCH is 3" in results["wrong"].note
    assert results["diverging"].verdict == "worse" and "diverged after" in results["diverging"].note
    text = bursts_text(list(results.values()))
    assert all(name in text for name in results) and "held-out mAP before" not in text.splitlines()[0]
    assert len(said) == 5


def test_a_run_without_a_checkpoint_is_refused(lab: Lab) -> None:
    with pytest.raises(UsageError, match="has none"):
        run_bursts(lab.folder("nothing").path, [])


def test_a_burst_puts_weights_and_optimiser_back_to_the_bit(lab: Lab) -> None:
    lab.train("run", "SOLVER.MAX_EPOCH 1 SOLVER.EMA.ENABLED True")
    bench = _set_up(lab.folder("run"), 4)
    parts = bench.control.parts
    assert parts.average is not None
    before = {name: value.clone() for name, value in parts.model.state_dict().items()}
    average, updates = [value.clone() for value in parts.average.model.state_dict().values()], parts.average.updates
    moments = [state["exp_avg"].clone() for state in parts.optimizers[0].state.values()]
    batches = first_images(parts.train_loader.epoch(2), 64, batch_size=16)
    run = run_burst(parts, bench.control.schedule, batches, first_step=9)
    assert run.num_images == 64 and len(run.terms["triplet"]) == 4
    assert all(torch.equal(value, before[name]) for name, value in parts.model.state_dict().items())
    assert all(map(torch.equal, parts.average.model.state_dict().values(), average)) and parts.average.updates == updates
    assert all(torch.equal(state["exp_avg"], old) for state, old in zip(parts.optimizers[0].state.values(), moments, strict=True))


@pytest.mark.parametrize(
    ("size", "images", "expected"), [(4, 12, 3), (8, 12, 1), (3, 12, 4), (6, 100, 2), (12, 12, 1), (5, 4, 0)]
)
def test_images_are_cut_in_their_order(size: int, images: int, expected: int) -> None:
    def batches():  # type: ignore[no-untyped-def]
        for start in (0, 4, 8):
            ids_B = torch.arange(start, start + 4)
            yield Batch(ids_B.float().reshape(4, 1, 1, 1), ids_B, ids_B)

    cut = list(first_images(batches(), images, batch_size=size))
    assert [len(batch.person_ids_B) for batch in cut] == [size] * expected
    seen = [int(person) for batch in cut for person in batch.person_ids_B]
    assert seen == list(range(size * expected))
    assert [float(value) for batch in cut for value in batch.images_BCHW.flatten()] == seen


def test_solve_orders_its_files_by_bursts(lab: Lab, tmp_path: Path) -> None:
    lab.train("run", "SOLVER.MAX_EPOCH 1")
    said: list[str] = []
    request = SolveRequest(run=lab.folder("run").path, output_dir=tmp_path / "solutions", burst_steps=8)
    solved = solve(request, said.append)
    text = "\n".join(said)
    table = next(block for block in said if block.startswith("BURSTS:"))
    assert text.index("BURSTS:") < text.index("SOLUTIONS, in")
    assert [table.index(solution.name) for solution in solved.solutions] == sorted(
        table.index(solution.name) for solution in solved.solutions
    )
    first = solved.written[0].path.read_text(encoding="utf-8")
    assert f"{solved.solutions[0].name} (number 1 of" in first


def test_bursts_of_a_foreign_log_are_refused(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("epoch,ce\n1,6.7\n2,6.7\n3,6.7\n4,6.7\n", encoding="utf-8")
    sources = Sources(log, columns={"ce": "cross_entropy"})
    with pytest.raises(UsageError, match="--bursts needs a run"):
        solve(SolveRequest(sources, output_dir=tmp_path / "out", burst_steps=8), lambda text: None)
