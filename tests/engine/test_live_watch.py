"""Watching a loop: it says what is wrong within the first steps, is silent about health, and leaves no trace."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import unplateau
from unplateau.base.errors import UsageError
from unplateau.engine.train_step import train_step
from unplateau.engine.watching.loss_history import LossHistory
from unplateau.engine.watching.motion_record import MotionRecord, see, take_before
from unplateau.probes.weight_motion import sampled, snapshot, weight_motion
from unplateau.testing import faults
from unplateau.testing.tiny_problem import tiny_config, tiny_parts


def value(measurements, name, group=""):
    return next(m.value for m in measurements if m.name == name and m.group == group)


def watched(inject=None, *, epochs=2, config=None, **options):
    """Train the tiny problem under watch; return the watch and (step, finding) as they were told."""
    torch.set_num_threads(1)
    parts = tiny_parts(config=config)
    parts = inject(parts) if inject else parts
    told = []
    with unplateau.watch(parts.model, parts.optimizers, on_finding=lambda f: told.append((len(steps), f)), **options) as watch:
        steps = []
        for epoch in range(1, epochs + 1):
            for batch in parts.train_loader.epoch(epoch):
                steps.append(epoch)
                terms = train_step(parts, batch)
                watch.step({"total": terms.total, **terms.parts})
    return watch, told, parts


@pytest.mark.parametrize("kind", ["Adam", "SGD"])
@pytest.mark.parametrize("inject", [faults.stale_optimizer, faults.optimizer_of_copies])
def test_a_stale_optimiser_is_said_once_within_the_first_steps(inject, kind):
    _, told, _ = watched(inject, epochs=3, config=tiny_config(SOLVER={"OPT": kind}))
    (number, finding), *others = told
    assert not others
    assert number <= 4
    assert finding.code == "weights-not-updated"
    assert finding.causes == ("stale-optimizer",)


def test_a_backbone_that_gets_no_gradient_is_said_early():
    _, told, _ = watched(faults.detached_backbone)
    assert [(number <= 4, finding.code) for number, finding in told] == [(True, "only-head-trained")]


def test_a_backbone_frozen_by_hand_stands_in_the_report_and_is_silent_where_it_is_wanted():
    watch, told, _ = watched(faults.frozen_backbone)
    assert not told
    assert "only-head-trained" in watch.report()
    watch, _, _ = watched(faults.frozen_backbone, frozen_layers=("backbone",))
    assert "only-head-trained" not in watch.report()


RECIPES = {
    "standard": {},
    "SGD": {"SOLVER": {"OPT": "SGD"}},
    "warm-up from zero": {"SOLVER": {"WARMUP_ITERS": 50, "WARMUP_FACTOR": 0.0}},
    "triplet alone": {"MODEL": {"LOSSES": {"NAME": ("TripletLoss",)}}},
    "cosine head": {"MODEL": {"HEADS": {"CLS_LAYER": "CosineLinear", "SCALE": 30.0}}},
    "label smoothing": {"MODEL": {"LOSSES": {"CE": {"EPSILON": 0.1}}}},
    "small rate": {"SOLVER": {"BASE_LR": 1e-5}},
}


@pytest.mark.parametrize("name", RECIPES)
def test_healthy_recipes_are_watched_in_silence(name):
    watch, told, _ = watched(config=tiny_config(**RECIPES[name]), epochs=60 if name == "standard" else 12, num_identities=8)
    assert not told
    assert not [finding for finding in watch.findings() if finding.severity == "pipeline"]


def test_a_watched_training_is_the_unwatched_one_to_the_bit_and_no_hook_stays():
    _, _, parts = watched(epochs=3)
    assert all(not optimizer._optimizer_step_pre_hooks for optimizer in parts.optimizers)
    alone = tiny_parts()
    for epoch in range(1, 4):
        for batch in alone.train_loader.epoch(epoch):
            train_step(alone, batch)
    state, other = parts.model.state_dict(), alone.model.state_dict()
    assert all(torch.equal(state[name], other[name]) for name in state)
    assert all(
        (p.grad is None) == (q.grad is None) for p, q in zip(parts.model.parameters(), alone.model.parameters(), strict=True)
    )


def test_watching_draws_no_random_number():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    parts = tiny_parts()
    batch = next(iter(parts.train_loader.epoch(1)))
    state = torch.get_rng_state()
    with unplateau.watch(parts.model, parts.optimizers) as watch:
        for _ in range(8):
            train_step(parts, batch)
            watch.step(1.0)
    assert torch.equal(torch.get_rng_state(), state)
    assert before is not state


def linear():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


def steps_of(model, optimizer, watch, number, *, accumulate=1, loss_of=lambda loss: loss):
    for place in range(number):
        loss = F.cross_entropy(model(torch.randn(16, 8)), torch.arange(16) % 4)
        loss.backward()
        if (place + 1) % accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
        watch.step(loss_of(loss))


def test_accumulated_gradients_and_gradients_cleared_after_the_step_are_no_fault():
    model, optimizer = linear()
    told = []
    with unplateau.watch(model, optimizer, on_finding=told.append) as watch:
        steps_of(model, optimizer, watch, 60, accumulate=4)
    assert not told
    assert value(watch.measurements(), "optimizer_steps") == 15
    assert value(watch.measurements(), "without_gradient") == 0


def test_a_layer_missing_from_the_optimiser_is_named():
    model, _ = linear()
    told = []
    optimizer = torch.optim.SGD(model[0].parameters(), lr=0.1)
    with unplateau.watch(model, optimizer, on_finding=told.append) as watch:
        steps_of(model, optimizer, watch, 10)
    assert [finding.code for finding in told] == ["layers-not-trained"]
    assert "2" in told[0].title


def test_a_loss_that_is_not_a_number_is_said_at_the_next_look(capsys):
    model, optimizer = linear()
    with unplateau.watch(model, optimizer) as watch:
        steps_of(model, optimizer, watch, 4)
        steps_of(model, optimizer, watch, 2, loss_of=lambda loss: loss.detach() * float("nan"))
        steps_of(model, optimizer, watch, 1_100)  # as many as may wait, however fast
    printed = capsys.readouterr().err
    assert printed.count("[diverged]") == 1
    assert "next test:" in printed


def test_a_rate_of_zero_and_an_optimiser_that_never_steps_are_said():
    for rate, steps, code in ((0.0, True, "learning-rate-zero"), (0.1, False, "weights-not-updated")):
        model, _ = linear()
        told = []
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        with unplateau.watch(model, optimizer, on_finding=told.append, every=20) as watch:
            steps_of(model, optimizer, watch, 120, accumulate=1 if steps else 10**9)
        assert [finding.code for finding in told] == [code]


def test_tensors_are_kept_on_the_device_until_a_flush_and_their_graph_is_let_go():
    history = LossHistory()
    loss = torch.ones((), requires_grad=True) * 2
    history.add(1, {"total": loss, "rate": 0.5})
    assert history.latest == {}
    assert all(row is None or not row.requires_grad for _, _, row, _ in history._pending)
    history.flush({"learning_rate": 0.1})
    assert history.points() == [(1, {"total": 2.0, "rate": 0.5, "learning_rate": 0.1})]


def test_a_long_history_keeps_the_means_in_bounded_memory():
    history = LossHistory(most_bins=8)
    for step in range(1, 101):
        history.add(step, {"total": float(step), **({"late": 1.0} if step > 50 else {})})
    history.flush()
    points = history.points()
    assert len(points) <= 8
    assert points[0] == (16, {"total": sum(range(1, 17)) / 16})
    assert points[-1][0] == 100
    assert history.first == {"total": 1.0, "late": 1.0}


def test_motion_of_all_elements_is_that_of_the_slow_probe():
    model, optimizer = linear()
    record = MotionRecord({"first": ["0.weight", "0.bias"]})
    before, slow = take_before(model, elements=10**6), snapshot(model.named_parameters())
    F.cross_entropy(model(torch.randn(16, 8)), torch.arange(16) % 4).backward()
    optimizer.step()
    record.after(before, see(before, [optimizer]))
    oracle = weight_motion(slow, model.named_parameters(), groups={"first": ["0.weight", "0.bias"]})
    for group in ("", "first"):
        seen = value(record.measurements(1), "weight_motion", group)
        assert seen == pytest.approx(value(oracle, "weight_motion", group), rel=1e-4)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_sampled_elements_are_elements_of_the_tensor(layout):
    tensor = torch.randn(8, 6, 3, 3).to(memory_format=layout)
    found = sampled(tensor, 50)
    assert len(found) == 50
    assert torch.isin(found, tensor.flatten()).all()
    assert len(sampled(tensor.transpose(0, 1)[::2], 10)) == 10


def test_several_optimisers_half_precision_and_a_single_total_are_fine():
    model = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 4)).to(torch.bfloat16)
    optimizers = [torch.optim.SGD(part.parameters(), lr=0.5) for part in model]
    with unplateau.watch(model, optimizers) as watch:
        for _ in range(10):
            loss = model(torch.randn(16, 8, dtype=torch.bfloat16)).float().square().mean()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            watch.step(loss)
    assert value(watch.measurements(), "tensors_moved") == 1.0


def test_wrong_use_is_said_in_words():
    model, optimizer = linear()
    with pytest.raises(UsageError, match="num_people"):
        unplateau.watch(model, optimizer, num_people=751)
    with pytest.raises(UsageError, match="no parameters"):
        unplateau.watch(nn.ReLU(), optimizer)
    with pytest.raises(UsageError, match="outside"):
        unplateau.watch(model, optimizer).step(1.0)


def test_an_error_in_the_loop_comes_through_and_hooks_are_gone():
    model, optimizer = linear()
    with pytest.raises(KeyError), unplateau.watch(model, optimizer):
        raise KeyError("theirs")
    assert not optimizer._optimizer_step_pre_hooks


def test_importing_the_package_does_not_import_torch():
    code = "import sys, unplateau; assert 'torch' not in sys.modules; unplateau.watch; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
