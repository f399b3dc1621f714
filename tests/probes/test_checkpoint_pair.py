import copy
import pickle

import numpy
import pytest
import torch
from torch import nn

from unplateau.base.errors import DataNotFoundError, WeightsError
from unplateau.probes.checkpoint_pair import checkpoint_pair, read_checkpoint

from .reading import value, values


def model():
    torch.manual_seed(0)
    return nn.ModuleDict({"backbone": nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), "head": nn.Linear(4, 2)})


def forward(net):
    return net["head"](net["backbone"](torch.randn(8, 3)))


def test_motion_is_that_of_plain_sums():
    net = model()
    before = copy.deepcopy(net.state_dict())
    with torch.no_grad():
        net["head"].weight.mul_(1.5)
    found = checkpoint_pair(before, net.state_dict())
    old = [x for name in ("head.weight", "head.bias") for x in before[name].flatten().tolist()]
    new = [x for name in ("head.weight", "head.bias") for x in net.state_dict()[name].flatten().tolist()]
    expected = (sum((b - a) ** 2 for a, b in zip(old, new, strict=True)) / sum(a * a for a in old)) ** 0.5
    assert value(found, "checkpoint_motion", "head") == pytest.approx(expected, rel=1e-9)
    assert value(found, "tensors_unchanged", "head") == 0.5 and value(found, "elements", "head") == 10
    assert value(found, "checkpoint_motion", "backbone.0") == 0 and value(found, "tensors_unchanged", "backbone.0") == 1


def test_batch_statistics_that_move_do_not_hide_weights_that_do_not():
    net = model()
    before = copy.deepcopy(net.state_dict())
    forward(net)
    found = checkpoint_pair(before, net.state_dict())
    assert value(found, "checkpoint_motion") == 0 and value(found, "tensors_unchanged") == 1
    assert value(found, "checkpoint_motion", "buffers") > 0


def test_names_are_compared_without_their_wrappers():
    before = model().state_dict()
    found = checkpoint_pair(before, {f"module.{name}": tensor for name, tensor in before.items()})
    assert value(found, "tensors_in_one_only") == 0 and value(found, "tensors_unchanged") == 1


def test_tensors_without_a_partner_are_counted_and_named():
    before = model().state_dict()
    after = {name: t for name, t in before.items() if name != "head.bias"} | {"head.weight": torch.zeros(7, 4)}
    found = checkpoint_pair(before, after)
    assert value(found, "tensors_in_one_only") == 2
    assert ("checkpoint_motion", "head") not in values(found)


@pytest.mark.parametrize(
    "wrap", [lambda s: s, lambda s: {"model": s, "epoch": 3}, lambda s: {"state_dict": s, "best": numpy.float64(0.5)}]
)
def test_files_of_several_trainers_are_read(tmp_path, wrap):
    state = model().state_dict()
    torch.save(wrap(state), tmp_path / "model.pth")
    read = read_checkpoint(tmp_path / "model.pth")
    assert read.keys() == state.keys() and all(torch.equal(read[name], state[name]) for name in state)


class Malicious:
    def __reduce__(self):
        return (print, ("this must never run",))


def test_a_file_that_would_run_code_is_refused(tmp_path, capsys):
    torch.save({"model": Malicious()}, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match="plain tensors"):
        read_checkpoint(tmp_path / "bad.pth")
    assert "never run" not in capsys.readouterr().out


def test_what_is_no_checkpoint_is_refused_with_the_reason(tmp_path):
    with pytest.raises(DataNotFoundError, match="no checkpoint"):
        read_checkpoint(tmp_path / "absent.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(WeightsError):
        read_checkpoint(tmp_path / "text.pth")
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps(Malicious()))
    with pytest.raises(WeightsError):
        read_checkpoint(tmp_path / "pickle.pth")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(WeightsError, match="no tensors"):
        read_checkpoint(tmp_path / "empty.pth")
