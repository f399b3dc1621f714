"""Other trainers' names, translated; the reordering of Swin's merging against both ways of merging."""

import torch
from timm.models.swin_transformer import PatchMerging
from torch import nn

from unplateau.models.weight_names import in_order, swin_names, whole_model_names


def named(*names: str) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(float(position)) for position, name in enumerate(names)}


def test_fast_reids_head_is_recognised_in_both_versions() -> None:
    source = named("backbone.conv1.weight", "heads.bottleneck.0.running_var", "heads.weight", "heads.pool_layer.p")
    label, found = whole_model_names(source)
    assert label == "fast-reid"
    assert list(found) == ["backbone.conv1.weight", "head.neck.running_var", "head.classifier.weight", "head.pooling.p"]
    assert "head.classifier.weight" in whole_model_names(named("heads.classifier.weight"))[1]
    assert "head.neck.bias" in whole_model_names(named("heads.bnneck.bias"))[1]


def test_fast_reids_reduction_is_told_from_its_norm_by_its_axes() -> None:
    source = {"heads.bottleneck.0.weight": torch.ones(4, 8, 1, 1), "heads.bottleneck.1.weight": torch.ones(4)}
    assert list(whole_model_names(source)[1]) == ["head.reduction.weight", "head.neck.weight"]


def test_the_baselines_and_transreids_names_are_recognised() -> None:
    label, found = whole_model_names(named("base.conv1.weight", "bottleneck.weight", "classifier.weight", "base.sie_embed"))
    assert label.startswith("reid-strong-baseline")
    assert list(found) == ["backbone.conv1.weight", "head.neck.weight", "head.classifier.weight", "camera_embedding.table"]


def test_transreids_trained_global_branch_takes_the_place_of_the_untrained_last_block() -> None:
    source = named(
        "base.blocks.0.norm1.weight", "base.blocks.1.norm1.weight", "base.norm.weight", "b1.0.norm1.weight", "b1.1.weight"
    )
    _, found = whole_model_names(source | named("b2.1.weight"))
    assert float(found["backbone.blocks.0.norm1.weight"]) == 0.0
    assert float(found["backbone.blocks.1.norm1.weight"]) == 3.0
    assert float(found["backbone.norm.weight"]) == 4.0


def test_torchreids_names_are_recognised() -> None:
    _, found = whole_model_names(named("conv1.conv.weight", "fc.0.weight", "classifier.bias"))
    assert list(found) == ["backbone.conv1.conv.weight", "head.projection.0.weight", "head.classifier.bias"]


def test_ours_stay_as_they_are() -> None:
    source = named("backbone.conv1.weight", "head.neck.weight", "camera_embedding.table")
    assert whole_model_names(source) == ("ours", source)


def test_swins_merged_pixels_are_reordered_so_that_both_ways_of_merging_agree() -> None:
    channels, maps_BHWC = 3, torch.randn(2, 4, 6, 3)
    norm, reduction = nn.LayerNorm(4 * channels), nn.Linear(4 * channels, 2 * channels, bias=False)
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    unfolded = nn.functional.unfold(maps_BHWC.permute(0, 3, 1, 2), kernel_size=2, stride=2).transpose(1, 2)
    expected = reduction(norm(unfolded)).reshape(2, 2, 3, 2 * channels)
    theirs = {f"stages.0.downsample.norm.{name}": tensor for name, tensor in norm.state_dict().items()}
    found = swin_names(theirs | {"stages.0.downsample.reduction.weight": reduction.weight})
    merging = PatchMerging(channels)
    merging.load_state_dict({name.removeprefix("layers.1.downsample."): tensor for name, tensor in found.items()})
    torch.testing.assert_close(merging(maps_BHWC), expected)


def test_swins_names_become_timms() -> None:
    pairs = {
        "stages.2.blocks.5.attn.w_msa.qkv.bias": "layers.2.blocks.5.attn.qkv.bias",
        "stages.0.blocks.1.ffn.layers.0.0.weight": "layers.0.blocks.1.mlp.fc1.weight",
        "stages.0.blocks.1.ffn.layers.1.bias": "layers.0.blocks.1.mlp.fc2.bias",
        "patch_embed.projection.bias": "patch_embed.proj.bias",
        "norm3.bias": "norm.bias",
    }
    assert list(swin_names(named(*pairs))) == list(pairs.values())


def test_order_pairs_only_what_agrees_all_along() -> None:
    target = {"conv.weight": torch.ones(2, 3), "bn.weight": torch.ones(2), "bn.num_batches_tracked": torch.tensor(0)}
    source = {"a.weight": torch.zeros(2, 3), "b.weight": torch.zeros(2), "fc.weight": torch.zeros(9, 2)}
    found = in_order(source, target)
    assert found is not None and list(found) == ["conv.weight", "bn.weight", "fc.weight"]
    assert in_order({"a.weight": torch.zeros(2, 3)}, target) is None
    assert in_order({"a.weight": torch.zeros(2, 3), "b.bias": torch.zeros(2)}, target) is None
    assert in_order({"a.weight": torch.zeros(3, 2), "b.weight": torch.zeros(2)}, target) is None
