import pytest
import torch

from unplateau.probes.updates_kept import updates_kept

from .reading import value


def training(after=lambda weight, number: None, every=1, rate=0.1):
    weight = torch.nn.Parameter(torch.linspace(-1.0, 1.0, 6))
    optimizer = torch.optim.Adam([weight], lr=rate)
    generator = torch.Generator().manual_seed(0)

    def step(number):
        weight.grad = 1.0 + 0.3 * torch.randn(6, generator=generator)
        if number % every == every - 1:
            optimizer.step()
        with torch.no_grad():
            after(weight, number)

    return weight, optimizer, [lambda number=number: step(number) for number in range(16)]


def measured(**how):
    weight, optimizer, steps = training(**how)
    return updates_kept([weight], [optimizer], steps)


def test_weights_of_a_plain_training_go_where_the_updates_send_them():
    found = measured()
    assert value(found, "updates_in_steps") == 1.0
    assert value(found, "updates_kept") == pytest.approx(1.0, abs=1e-6)
    assert value(found, "written_elsewhere") == pytest.approx(0.0, abs=1e-6)


def lookahead(share):
    slow = torch.linspace(-1.0, 1.0, 6)

    def after(weight, number):
        if number % 5 == 4:
            weight.copy_(slow.lerp_(weight, share))

    return after


def test_a_lookahead_of_a_small_share_takes_the_updates_back_and_the_numbers_are_those_of_plain_sums():
    weight, optimizer, steps = training(after=lookahead(0.01))
    first, updates = weight.detach().clone(), torch.zeros(6)
    optimizer.register_step_pre_hook(lambda *_: updates.sub_(weight.detach()) is None or None)
    optimizer.register_step_post_hook(lambda *_: updates.add_(weight.detach()) is None or None)
    found = updates_kept([weight], [optimizer], steps)
    net = weight.detach() - first
    assert value(found, "updates_kept") == pytest.approx(float(net @ updates / (updates @ updates)), rel=1e-4)
    assert value(found, "written_elsewhere") == pytest.approx(float((net - updates).norm() / updates.norm()), rel=1e-4)
    assert value(found, "updates_kept") < 0.2


def test_a_lookahead_as_published_keeps_half():
    assert 0.4 < value(measured(after=lookahead(0.5)), "updates_kept") < 0.8


def test_updates_that_come_once_in_many_steps_are_counted():
    assert value(measured(every=8), "updates_in_steps") == pytest.approx(1 / 8)
    found = measured(every=99)
    assert value(found, "updates_in_steps") == 0.0
    assert value(found, "updates_kept") is None and value(found, "written_elsewhere") is None


def test_weights_that_something_shrinks_are_written_against_themselves():
    found = measured(after=lambda weight, number: weight.mul_(0.5), rate=1e-4)
    assert value(found, "written_along_weights") == pytest.approx(-1.0, abs=0.02)
    assert value(found, "written_elsewhere") > 1


def test_what_another_hook_of_the_step_writes_is_no_update():
    weight, optimizer, steps = training()
    slow, count = weight.detach().clone(), iter(range(99))

    def return_to_slow(*_):
        if next(count) % 5 == 4:
            with torch.no_grad():
                weight.copy_(slow.lerp_(weight, 0.01))

    optimizer.register_step_post_hook(return_to_slow)
    assert value(updates_kept([weight], [optimizer], steps), "updates_kept") < 0.2


def test_hooks_are_gone_afterwards():
    weight, optimizer, steps = training()
    updates_kept([weight], [optimizer], steps)
    assert not optimizer._optimizer_step_pre_hooks and not optimizer._optimizer_step_post_hooks
