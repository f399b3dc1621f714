"""Adaptive probing: planted faults are named, healthy trainings give no alarm, nothing is changed, and sure is enough."""

from dataclasses import replace

import pytest
import torch

from unplateau.base.errors import RecordError, UsageError
from unplateau.base.files import read_json_lines
from unplateau.config.delta import flatten
from unplateau.data.loader import Batch
from unplateau.diagnosis.case import Case
from unplateau.engine.train_step import train_step
from unplateau.optim.schedules import Schedule
from unplateau.runs.foreign_logs.config_facts import facts_of_config
from unplateau.testing import faults
from unplateau.testing.tiny_problem import tiny_config, tiny_parts, tiny_problem
from unplateau.workflows.diagnosing.diagnose import Sources
from unplateau.workflows.probing.bench import Bench
from unplateau.workflows.probing.budget import allowance, steps_of
from unplateau.workflows.probing.planned_probes import PLAN
from unplateau.workflows.probing.probe import probe, probe_run
from unplateau.workflows.solving.solve import SolveRequest, solve


def bench_of(inject=None, *, config=None, epochs=0, images_each=8):
    torch.set_num_threads(1)
    config = config or tiny_config()
    parts = tiny_parts(tiny_problem(num_identities=16, images_each=images_each), config)
    parts = inject(parts) if inject else parts
    for epoch in range(1, epochs + 1):
        parts.model.train()
        for batch in parts.train_loader.epoch(epoch):
            train_step(parts, batch)
    steps = parts.train_loader.steps_per_epoch
    is_linear = config.MODEL.HEADS.CLS_LAYER == "Linear" and "CrossEntropyLoss" in config.MODEL.LOSSES.NAME
    return Bench(parts, Schedule.from_config(config, steps), step=epochs * steps, has_fresh_head=is_linear and epochs == 0)


def probed(bench, plan=PLAN):
    return probe(bench, Case(None, facts_of_config(flatten(bench.parts.config))), plan=plan)


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.name)
def test_every_planted_fault_is_the_first_finding(fault):
    first = probed(bench_of(fault.inject)).diagnosis.first
    assert first is not None
    expected = {
        "stale_optimizer": "weights-not-updated", "optimizer_of_copies": "weights-not-updated",
        "frozen_backbone": "only-head-trained", "detached_backbone": "only-head-trained", "blank_images": "blank-inputs",
        "unnormalised_images": "inputs-not-normalised", "labels_off_by_one": "labels-out-of-range",
        "softmax_before_cross_entropy": "softmax-before-ce", "layers_in_a_plain_list": "layers-not-trained",
    }  # fmt: skip
    assert first.code == expected[fault.name]


@pytest.mark.parametrize(
    ("sections", "epochs"),
    [
        ({}, 0),
        ({}, 25),
        ({"SOLVER": {"OPT": "SGD"}}, 0),
        ({"MODEL": {"LOSSES": {"NAME": ("TripletLoss",)}}}, 0),
        ({"MODEL": {"FREEZE_LAYERS": ("backbone",)}}, 0),
        ({"MODEL": {"LOSSES": {"CE": {"EPSILON": 0.1}}}}, 25),
    ],
)
def test_healthy_trainings_give_no_alarm(sections, epochs):
    found = probed(bench_of(config=tiny_config(**sections), epochs=epochs))
    assert not found.diagnosis.is_alarm, [(f.code, f.confidence) for f in found.diagnosis.findings]
    assert not [m for m in found.measurements if m.name == "probe_failed"]
    assert found.not_run == ()


def test_shuffled_labels_are_told_from_the_features_training_began_with():
    bench = bench_of(images_each=16)
    problem = bench.parts.train_loader.problem
    order = torch.randperm(len(problem.person_ids_N), generator=torch.Generator().manual_seed(0))
    problem.person_ids_N.copy_(problem.person_ids_N[order])
    agreement = [planned for planned in PLAN if planned.name in ("label agreement", "first step")]
    first = probed(bench, agreement).diagnosis.first
    assert first is not None
    assert first.code == "labels-not-of-images"


def test_probing_leaves_the_training_as_it_was_to_the_bit():
    bench, alone = bench_of(epochs=1), bench_of(epochs=1)
    random_state = torch.get_rng_state()
    probed(bench)
    assert torch.equal(torch.get_rng_state(), random_state)
    for one in (bench, alone):
        one.parts.model.train()
        for batch in one.parts.train_loader.epoch(2):
            train_step(one.parts, batch)
    state, other = bench.parts.model.state_dict(), alone.parts.model.state_dict()
    assert all(torch.equal(state[name], other[name]) for name in state)


def test_it_stops_when_the_answer_is_sure_and_says_what_it_spared():
    said = []
    found = probe(bench_of(faults.stale_optimizer), say=said.append)
    assert "one batch" in found.not_run
    assert found.not_run == tuple(planned.name for planned in PLAN[len(said) :])
    assert "not needed" in found.cost()


def test_no_probe_is_begun_after_its_time():
    found = probe(bench_of(), most_seconds=-1.0)
    assert found.measurements == ()
    assert len(found.not_run) == len(PLAN)


def test_what_does_not_fit_into_the_steps_allowed_is_left_out_and_named_with_its_cost():
    bench = bench_of(epochs=1)
    found = probe(bench, most_steps=20.0)
    spent = [planned for planned in PLAN if planned not in found.too_dear]
    assert sum(steps_of(planned, bench) for planned in spent) <= 20.0
    assert [planned.name for planned in spent][:2] == ["labels and inputs", "first step"]
    assert "one batch (60 to 120 B)" in found.cost()
    assert "--probe-all" in found.cost()


def test_probing_may_cost_a_twentieth_of_the_steps_done_or_planned():
    bench = bench_of(epochs=1)
    planned = bench.parts.config.SOLVER.MAX_EPOCH * bench.parts.train_loader.steps_per_epoch
    assert allowance(bench) == pytest.approx(0.05 * planned)
    assert allowance(replace(bench, step=10 * planned)) == pytest.approx(0.5 * planned)


def test_every_probe_has_a_cost():
    assert all(planned.steps or planned.evaluations for planned in PLAN)


def test_a_run_folder_is_probed_where_its_checkpoint_stands(lab):
    lab.train("probed", "SOLVER.MAX_EPOCH 2")
    folder, said = lab.folder("probed"), []
    measurements = probe_run(folder.path, share=None, say=said.append)
    names = {m.name for m in measurements}
    assert {"checkpoint_motion", "weight_motion", "map_by_chance", "train_identity_gap", "rate_of_steepest_descent"} <= names
    assert not [m for m in measurements if m.name == "probe_failed"]
    assert len(read_json_lines(folder.probes)) >= len(measurements)
    assert folder.findings.exists()
    assert "Probing took" in said[-1]


def test_solve_probes_a_run_and_refuses_anything_else(lab, tmp_path):
    lab.train("solved", "SOLVER.MAX_EPOCH 1")
    said = []
    solved = solve(SolveRequest(run=lab.folder("solved").path, output_dir=tmp_path / "out", probe=True), say=said.append)
    assert any("Probing took" in line for line in said)
    assert solved.diagnosis is not None
    with pytest.raises(UsageError, match="--probe"):
        solve(SolveRequest(Sources(symptoms=("loss is nan",)), probe=True), say=said.append)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(RecordError, match="no run"):
        probe_run(tmp_path)


class _InHalves(Bench):
    """A step that does the two halves of its batch one after the other."""

    def do_step(self, batch, rate):
        middle = len(batch.images_BCHW) // 2
        halves = (slice(middle), slice(middle, None))
        first, last = (Batch(batch.images_BCHW[of], batch.person_ids_B[of], batch.camera_ids_B[of]) for of in halves)
        super().do_step(first, rate)
        return super().do_step(last, rate)


def test_rows_that_go_through_the_model_at_once_are_counted():
    delivered = [planned for planned in PLAN if planned.name == "delivered gradient"]
    for kind, share in ((Bench, 1.0), (_InHalves, 0.5)):
        found = probed(kind(**vars(bench_of(epochs=1))), delivered)
        assert {m.value for m in found.measurements if m.name == "rows_in_pass"} == {share}
