"""OSNet: shapes, size as published, and names of the authors' weights.

Tried by hand as well: the weights of the authors' exported OSNet x0.25 give the exported network's embeddings to 5e-5 of 21.
"""

import pytest
import torch

from unplateau.models.osnet import WIDTHS, build_osnet

NAMES = (
    "conv1.conv.weight", "conv1.bn.running_var", "conv2.0.conv1.conv.weight", "conv2.0.conv2a.conv1.weight",
    "conv2.0.conv2d.3.conv2.weight", "conv2.0.gate.fc1.bias", "conv2.0.downsample.bn.weight", "conv2.2.0.conv.weight",
    "conv3.1.conv3.bn.bias", "conv4.1.conv2c.2.bn.weight", "conv5.conv.weight",
)  # fmt: skip


@pytest.mark.parametrize("width", WIDTHS)
def test_maps_are_a_sixteenth_of_the_image(width: str) -> None:
    assert build_osnet(width, with_ibn=False)(torch.zeros(1, 3, 64, 32)).shape == (1, WIDTHS[width][-1], 4, 2)


def test_names_are_those_of_the_public_weights() -> None:
    names = set(build_osnet("x1_0", with_ibn=False).state_dict())
    assert names.issuperset(NAMES)
    assert not any(".IN." in name for name in names)


def test_size_at_full_width_is_the_papers_less_its_last_layer() -> None:
    parameters = sum(p.numel() for p in build_osnet("x1_0", with_ibn=False).parameters())
    last_layer = 512 * 512 + 512 + 2 * 512
    assert (parameters + last_layer) / 1e6 == pytest.approx(2.2, abs=0.05)  # the paper's table 1: 2.2 M


def test_the_ibn_variant_normalises_by_instance_in_stem_and_first_stage_only() -> None:
    network = build_osnet("x1_0", with_ibn=True)
    assert isinstance(network.conv1.bn, torch.nn.InstanceNorm2d)
    where = {name.split(".IN.")[0] for name in network.state_dict() if ".IN." in name}
    assert where == {"conv2.0", "conv2.1"}
