"""Loading a backbone: what fits, what is said of the rest, and public weights against the networks they come from."""

from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from unplateau.base.errors import WeightsError
from unplateau.base.own_code import import_own
from unplateau.models.osnet import build_osnet
from unplateau.models.resnet import build_resnet
from unplateau.models.weights import load_weights


def saved(state: dict[str, Tensor], path: Path) -> Path:
    torch.save(state, path)
    return path


def same(network: nn.Module, other: nn.Module) -> bool:
    states = network.state_dict(), other.state_dict()
    return all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items() if name in states[1])


@pytest.mark.parametrize("prefix", ["", "backbone.", "base.", "model.", "module.backbone."])
def test_a_backbone_is_found_under_any_usual_prefix(prefix: str, tmp_path: Path) -> None:
    source, target = (build_osnet("x0_25", with_ibn=False) for _ in range(2))
    path = saved({prefix + name: tensor for name, tensor in source.state_dict().items()}, tmp_path / "weights.pth")
    report = load_weights(target, path, min_coverage=1.0)
    assert report.coverage == 1.0 and report.missing == () and same(source, target)


def test_half_precision_weights_load_into_single_precision(tmp_path: Path) -> None:
    source, target = (build_osnet("x0_25", with_ibn=False) for _ in range(2))
    load_weights(target, saved(source.half().state_dict(), tmp_path / "half.pth"))
    assert target.conv5.conv.weight.dtype == torch.float32
    assert torch.equal(target.conv5.conv.weight.half(), source.conv5.conv.weight)


def test_names_that_differ_are_mapped_by_order_and_it_is_said(tmp_path: Path) -> None:
    theirs = torchvision.models.mobilenet_v2(weights=None).eval()
    ours = timm.create_model("mobilenetv2_100", num_classes=0, global_pool="").eval()
    report = load_weights(ours, saved(theirs.state_dict(), tmp_path / "theirs.pth"), min_coverage=1.0)
    assert report.mapping.startswith("by order")
    assert report.unexpected == ("classifier.1.weight", "classifier.1.bias")
    assert "by order" in report.text() and "100.0 %" in report.text()
    images_BCHW = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours(images_BCHW), theirs.features(images_BCHW))


def test_plain_weights_in_an_ibn_network_leave_its_ibn_layers_random_and_it_is_said(tmp_path: Path) -> None:
    plain, ibn = (build_resnet("18x", last_stride=1, with_ibn=with_ibn) for with_ibn in (False, True))
    report = load_weights(ibn, saved(plain.state_dict(), tmp_path / "plain.pth"), min_coverage=0.9)
    assert any("IBN layers stay random" in note or "IBN layers " in note and "stay random" in note for note in report.notes)
    assert all(".bn1." in name and name.startswith("layer") for name in report.missing)
    back = load_weights(plain, saved(ibn.state_dict(), tmp_path / "ibn.pth"))
    assert any("WITH_IBN True" in note for note in back.notes)


def test_a_shallower_networks_weights_are_refused_with_the_cause_and_nothing_is_loaded(tmp_path: Path) -> None:
    shallow, deep = (build_resnet(depth, last_stride=1, with_ibn=False) for depth in ("18x", "34x"))
    before = {name: tensor.clone() for name, tensor in deep.state_dict().items()}
    path = saved(shallow.state_dict(), tmp_path / "shallow.pth")
    with pytest.raises(WeightsError, match=r"layer1\.2.*shallower network(.|\n)*Expected at least 90 %"):
        load_weights(deep, path, min_coverage=0.9)
    assert all(torch.equal(tensor, before[name]) for name, tensor in deep.state_dict().items())
    assert any("deeper network" in note for note in load_weights(shallow, saved(deep.state_dict(), tmp_path / "deep.pth")).notes)


def test_another_width_and_another_architecture_are_told_apart(tmp_path: Path) -> None:
    narrow, wide = (build_osnet(width, with_ibn=False) for width in ("x0_25", "x0_5"))
    path = saved(wide.state_dict(), tmp_path / "wide.pth")
    with pytest.raises(WeightsError, match="another width"):
        load_weights(narrow, path, min_coverage=0.5)
    with pytest.raises(WeightsError, match="another architecture"):
        load_weights(nn.Sequential(nn.Linear(2, 2)), path)


def test_position_embeddings_are_resampled_to_the_images_grid(tmp_path: Path) -> None:
    square, tall = (timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=size) for size in (64, (64, 32)))
    report = load_weights(tall, saved(square.state_dict(), tmp_path / "vit.pth"), min_coverage=1.0)
    assert report.mismatched == () and tall.pos_embed.shape == (1, 1 + 4 * 2, 192)
    torch.testing.assert_close(tall.pos_embed[:, 0], square.pos_embed[:, 0])
    not_square = timm.create_model("vit_tiny_patch16_224", num_classes=0, img_size=(96, 32))
    report = load_weights(tall, saved(not_square.state_dict(), tmp_path / "tall.pth"))
    assert report.mismatched == ("pos_embed (1x13x192 in the file, 1x9x192 in the network)",)


def test_relative_positions_of_a_smaller_window_are_those_of_the_same_offsets(tmp_path: Path) -> None:
    options = {"num_classes": 0, "global_pool": ""}
    large, small = (timm.create_model("swin_s3_tiny_224", img_size=size, **options) for size in (224, (64, 32)))
    report = load_weights(small, saved(large.state_dict(), tmp_path / "swin.pth"), min_coverage=1.0)
    assert report.mismatched == ()
    attention, source = (network.layers[3].blocks[0].attn for network in (small, large))
    rows, columns = attention.window_size
    kept = attention.relative_position_bias_table.reshape(2 * rows - 1, 2 * columns - 1, -1)
    side = 2 * source.window_size[0] - 1
    whole = source.relative_position_bias_table.reshape(side, side, -1)
    assert torch.equal(kept[rows - 1, columns - 1], whole[side // 2, side // 2])
    assert torch.equal(kept[rows, columns - 1], whole[side // 2 + 1, side // 2])
    assert load_weights(large, saved(small.state_dict(), tmp_path / "small.pth")).mismatched != ()


@pytest.mark.real_data
def test_torchvisions_mobilenet_gives_torchvisions_features(weights_folder: Path) -> None:
    path = weights_folder / "mobilenet_v2-b0353104.pth"
    theirs = torchvision.models.mobilenet_v2(weights=None).eval()
    theirs.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    ours = timm.create_model("mobilenetv2_100", num_classes=0, global_pool="").eval()
    assert load_weights(ours, path).coverage == 1.0
    images_BCHW = torch.randn(2, 3, 128, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images_BCHW), theirs.features(images_BCHW))


@pytest.mark.real_data
def test_efficientnet_lite_loads_whole(weights_folder: Path) -> None:
    lite = timm.create_model("tf_efficientnet_lite0", num_classes=0, global_pool="")
    assert load_weights(lite, weights_folder / "efficientnet-lite0-57934424.pth").unexpected == ("_fc.weight", "_fc.bias")


@pytest.mark.real_data
def test_an_archive_saved_on_a_gpu_loads_into_a_backbone_of_ones_own(
    weights_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    network = import_own("benchmarks.protocol.quarter_mobilenet:build", key="MODEL.BACKBONE.NAME")()
    report = load_weights(network, weights_folder / "mobilenetV1X0.25_pretrain.tar", min_coverage=1.0)
    assert report.missing == () and report.unexpected == ("fc.weight", "fc.bias")
