"""Whole models of ours and of other trainers, scored as they would be there."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from unplateau.base.errors import WeightsError
from unplateau.config.schema import Config
from unplateau.models.build import build_model
from unplateau.models.reid import ReidModel
from unplateau.models.whole_model import load_whole_model

from .making import config_of

BNNECK = {"WITH_BNNECK": True}
RESNET = config_of("build_resnet_backbone", DEPTH="18x", heads=BNNECK)
OSNET = config_of("build_osnet_backbone", DEPTH="x0_25", heads=BNNECK)
VIT = config_of("vit_tiny_patch16_224", heads=BNNECK, SIE_CAMERA=True)


def trained(config: Config, num_identities: int = 5) -> ReidModel:
    """A model whose every tensor, running statistics too, differs from a fresh one's."""
    model = build_model(config, num_identities=num_identities, num_cameras=3).model
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor + 0.05 * torch.rand_like(tensor))
    return model.eval()


def fresh(config: Config, num_identities: int = 0) -> ReidModel:
    seeded = Config.model_validate(config.model_dump() | {"SEED": 7})
    return build_model(seeded, num_identities=num_identities, num_cameras=3).model


def renamed(model: ReidModel, **prefixes: str) -> dict[str, Tensor]:
    """The state of a model with `backbone`, `head_neck`, ... replaced; what is not named is left out."""
    pairs = [(ours.replace("__", "."), theirs) for ours, theirs in prefixes.items()]
    return {
        theirs + name.removeprefix(ours): tensor
        for ours, theirs in pairs
        for name, tensor in model.state_dict().items()
        if name.startswith(ours)
    }


def embeddings(model: ReidModel) -> Tensor:
    images_BCHW = torch.randn(3, 3, 64, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        result: Tensor = model.eval()(images_BCHW, camera_ids_B=torch.tensor([0, 1, 2])).embeddings_BD
    return result


def test_a_model_that_is_scored_takes_the_files_cameras(tmp_path: Path) -> None:
    source = trained(VIT)
    torch.save({"model": source.state_dict()}, tmp_path / "best_model.pth")
    target = build_model(VIT, num_identities=0, num_cameras=1).model
    report = load_whole_model(target, tmp_path / "best_model.pth")
    assert report.mismatched == ()
    assert torch.equal(embeddings(target), embeddings(source))


@pytest.mark.parametrize("config", [RESNET, OSNET, VIT], ids=["resnet", "osnet", "vit"])
def test_our_own_file_gives_the_same_embeddings(config: Config, tmp_path: Path) -> None:
    source, target = trained(config), fresh(config)
    torch.save({"model": source.state_dict(), "config": "SEED: 0", "schema": 1}, tmp_path / "best_model.pth")
    report = load_whole_model(target, tmp_path / "best_model.pth")
    assert report.coverage == 1.0 and report.missing == () and "ours" in report.mapping
    torch.testing.assert_close(embeddings(target), embeddings(source))


def test_a_classifier_of_other_identities_stays_fresh_and_it_is_said(tmp_path: Path) -> None:
    torch.save({"model": trained(OSNET, 5).state_dict()}, tmp_path / "five.pth")
    target = fresh(OSNET, 4)
    before = target.head.classifier.weight.clone()
    report = load_whole_model(target, tmp_path / "five.pth")
    assert any("other identities" in note for note in report.notes)
    assert torch.equal(target.head.classifier.weight, before)


def test_a_fast_reid_file_loads_with_its_neck_and_its_stem(tmp_path: Path) -> None:
    source = trained(RESNET)
    source.backbone.maxpool.become_fastreid()
    state = renamed(source, backbone="backbone", head__neck="heads.bottleneck.0", head__classifier__weight="heads.weight")
    state.pop("backbone.maxpool.is_fastreid")
    torch.save({"model": state | {"pixel_mean": torch.zeros(1, 3, 1, 1)}, "iteration": 100}, tmp_path / "model_best.pth")
    target = fresh(RESNET, 5)
    report = load_whole_model(target, tmp_path / "model_best.pth")
    assert "fast-reid" in report.mapping and report.missing == () and report.unexpected == ()
    torch.testing.assert_close(embeddings(target), embeddings(source))
    torch.save({"model": target.state_dict()}, tmp_path / "ours.pth")
    again = fresh(RESNET)
    load_whole_model(again, tmp_path / "ours.pth")
    torch.testing.assert_close(embeddings(again), embeddings(source))


def test_a_strong_baseline_file_loads(tmp_path: Path) -> None:
    source, target = trained(RESNET), fresh(RESNET)
    state = renamed(source, backbone="base", head__neck="bottleneck", head__classifier="classifier")
    torch.save(state, tmp_path / "resnet18_120.pth")
    report = load_whole_model(target, tmp_path / "resnet18_120.pth")
    assert report.missing == ()
    torch.testing.assert_close(embeddings(target), embeddings(source))


def test_a_transreid_file_with_jpm_loads_its_global_branch(tmp_path: Path) -> None:
    source, target = trained(VIT), fresh(VIT)
    state = renamed(source, backbone="base", head__neck="bottleneck", head__classifier="classifier")
    branch = renamed(source, backbone__blocks__11="b1.0", backbone__norm="b1.1")
    stale = {name: torch.zeros_like(state[name]) for name in state if name.startswith(("base.blocks.11.", "base.norm."))}
    table = {"base.sie_embed": source.camera_embedding.table[:, None], "bottleneck_1.weight": torch.ones(192)}
    torch.save(state | branch | stale | table, tmp_path / "transformer_120.pth")
    report = load_whole_model(target, tmp_path / "transformer_120.pth")
    assert report.missing == () and any("JPM" in note for note in report.notes)
    torch.testing.assert_close(embeddings(target), embeddings(source))


def test_a_torchreid_file_is_scored_with_its_own_last_layer(tmp_path: Path) -> None:
    source, target = trained(OSNET), fresh(OSNET)
    last = nn.Sequential(nn.Linear(128, 512), nn.BatchNorm1d(512), nn.ReLU()).eval()
    state = renamed(source, backbone__="") | {f"fc.{name}": tensor for name, tensor in last.state_dict().items()}
    torch.save({"state_dict": {f"module.{name}": t for name, t in state.items()}, "epoch": 60}, tmp_path / "model.pth.tar-60")
    load_whole_model(target, tmp_path / "model.pth.tar-60")
    images_BCHW = torch.randn(3, 3, 64, 32)
    with torch.no_grad():
        expected_BD = last(source.backbone(images_BCHW).mean(dim=(2, 3)))
        torch.testing.assert_close(target.eval()(images_BCHW).embeddings_BD, expected_BD)
    assert target.embedding_dim == 512
    training = fresh(OSNET, 5)
    assert any(
        name.startswith("head.projection") for name in load_whole_model(training, tmp_path / "model.pth.tar-60").unexpected
    )
    assert training.embedding_dim == 128


def test_a_solider_file_loads_and_its_semantic_layers_are_noted(tmp_path: Path) -> None:
    config = config_of("swin_s3_tiny_224", heads=BNNECK)
    source, target = trained(config), fresh(config)
    torch.save(soliders_names(source), tmp_path / "transformer_120.pth")
    report = load_whole_model(target, tmp_path / "transformer_120.pth")
    assert "SOLIDER" in report.mapping and report.missing == () and report.coverage == 1.0
    assert any("semantic" in note for note in report.notes)
    torch.testing.assert_close(embeddings(target), embeddings(source))


def soliders_names(model: ReidModel) -> dict[str, Tensor]:
    state = {"base.semantic_embed_w.0.weight": torch.ones(4, 2)} | renamed(model, head__neck="bottleneck")
    for name, tensor in renamed(model, backbone__layers="base.stages", backbone__norm="base.norm3").items():
        name = (
            name.replace(".attn.", ".attn.w_msa.").replace(".mlp.fc1.", ".ffn.layers.0.0.").replace(".mlp.fc2.", ".ffn.layers.1.")
        )
        if ".downsample." in name:
            stage = int(name.split(".")[2])
            name = name.replace(f"stages.{stage}", f"stages.{stage - 1}")
            *leading, merged = tensor.shape
            tensor = tensor.reshape(*leading, 2, 2, merged // 4).movedim(-1, -3).transpose(-1, -2).reshape(*leading, merged)
        state[name] = tensor
    theirs = "base.patch_embed"
    return state | renamed(
        model, backbone__patch_embed__proj=f"{theirs}.projection", backbone__patch_embed__norm=f"{theirs}.norm"
    )


def test_another_network_or_a_diverged_one_is_refused_and_the_model_left_alone(tmp_path: Path) -> None:
    torch.save(trained(RESNET).state_dict(), tmp_path / "resnet.pth")
    target = fresh(OSNET)
    with pytest.raises(WeightsError, match="another network than MODEL.BACKBONE describes"):
        load_whole_model(target, tmp_path / "resnet.pth")
    broken = trained(OSNET)
    with torch.no_grad():
        broken.backbone.conv1.conv.weight[0] = float("nan")
    torch.save(broken.state_dict(), tmp_path / "nan.pth")
    with pytest.raises(WeightsError, match="NaN or infinite values, first conv1.conv.weight"):
        load_whole_model(target, tmp_path / "nan.pth")
    untouched = fresh(OSNET).state_dict()
    assert all(torch.equal(tensor, untouched[name]) for name, tensor in target.state_dict().items())


def test_the_configurations_weights_are_loaded_while_building(tmp_path: Path) -> None:
    torch.save({"model": trained(OSNET).state_dict()}, tmp_path / "best.pth")
    config = config_of("build_osnet_backbone", DEPTH="x0_25", heads=BNNECK, WEIGHTS=str(tmp_path / "best.pth"))
    built = build_model(config, num_identities=0, num_cameras=0)
    assert built.report is not None and built.report.coverage == 1.0
    assert build_model(config, num_identities=0, num_cameras=0, with_weights=False).report is None
