"""The numeric check of a training's own model: stop-gradients are found, and nothing is said of what heads and freezes do."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from unplateau.models.build import build_model
from unplateau.models.groups import layer_groups
from unplateau.probes.numeric_gradient import numeric_gradient
from unplateau.testing.tiny_problem import tiny_config
from unplateau.workflows.probing.planned_probes import PLAN

from .test_probe import bench_of, probed

BOTH = tuple(planned for planned in PLAN if planned.name in ("model as configured", "numeric gradient"))
ONLY = BOTH[-1:]


def attention_on_detached_maps(parts):
    torch.manual_seed(0)
    backbone = parts.model.backbone
    backbone.add_module("attention", nn.Conv2d(parts.model.feature_dim, 1, 1))
    backbone.register_forward_hook(lambda module, inputs, maps: maps.detach() * module.attention(maps).sigmoid())
    return parts


def numeric(bench):
    return {m.group: m.value for m in probed(bench, ONLY).measurements if m.name == "slope_apart"}


def test_an_attention_on_detached_maps_is_a_cut_and_not_the_fault_of_the_added_layer():
    diagnosis = probed(bench_of(attention_on_detached_maps), BOTH).diagnosis
    assert [found.code for found in diagnosis.findings[:2]] == ["gradient-not-of-model", "model-not-as-configured"]
    assert set(diagnosis.findings[0].causes) == {"detached-branch", "no-gradient", "wrong-model"}


def test_the_weights_it_began_with_are_asked_too_where_something_is_off_and_only_there():
    def groups(inject):
        bench = bench_of(inject, epochs=1)
        bench = replace(bench, initial=bench_of(inject).parts)
        mode = bench.initial.model.eval().training
        found = probed(bench, ONLY).measurements
        assert bench.initial.model.training == mode
        return {m.group for m in found if m.name == "slope_cosine"}

    assert groups(attention_on_detached_maps) == {"", "initial weights"}
    assert groups(None) == set()


@pytest.mark.parametrize("epochs", [0, 8])
@pytest.mark.parametrize(
    "heads",
    [
        {"CLS_LAYER": "CosineLinear", "SCALE": 30.0},
        {"CLS_LAYER": "ArcSoftmax", "SCALE": 30.0, "MARGIN": 0.3},
        {"CLS_LAYER": "CosSoftmax", "SCALE": 30.0, "MARGIN": 0.2},
        {"CLS_LAYER": "CircleSoftmax", "SCALE": 30.0, "MARGIN": 0.3},
        {"POOL_LAYER": "GeneralizedMeanPoolingP"},
        {"POOL_LAYER": "AdaptiveAvgMaxPool", "WITH_BNNECK": False},
        {"NECK_FEAT": "after", "EMBEDDING_DIM": 8},
    ],
    ids=lambda heads: " ".join(str(value) for value in heads.values()),
)
def test_heads_are_no_difference_before_and_after_training(heads, epochs):
    apart = numeric(bench_of(config=tiny_config(MODEL={"HEADS": heads}), epochs=epochs))
    assert set(apart) == {""} and apart[""] < 1e-3


def test_a_frozen_backbone_is_not_checked():
    apart = numeric(bench_of(config=tiny_config(MODEL={"FREEZE_LAYERS": ("backbone",)})))
    assert set(apart) == {""} and apart[""] < 1e-3


def test_margins_of_ones_own_may_weigh_themselves():
    class Weighing(nn.Module):
        def __init__(self, classifier):
            super().__init__()
            self.weight = classifier.weight

        def forward(self, embeddings_BD, person_ids_B):
            logits_BI = embeddings_BD @ self.weight.T
            return logits_BI * (1 + logits_BI.detach().square())

    def inject(parts):
        parts.model.head.classifier = Weighing(parts.model.head.classifier)
        return parts

    assert set(numeric(bench_of(inject))) == {""}


def test_a_model_that_cannot_be_measured_says_why():
    passes = []

    def inject(parts):
        def count(module, inputs, maps):
            passes.append(0)
            return maps * len(passes)

        parts.model.backbone.register_forward_hook(count)
        return parts

    failed = [m for m in probed(bench_of(inject), ONLY).measurements if m.name == "probe_failed"]
    assert [m.group for m in failed] == ["numeric gradient"]
    assert "no slope can be measured" in failed[0].note


@pytest.mark.slow
@pytest.mark.parametrize(
    "backbone",
    [
        {"NAME": "build_resnet_backbone", "DEPTH": "18x", "WITH_IBN": True},
        {"NAME": "build_osnet_backbone", "DEPTH": "x0_25"},
        {"NAME": "mobilenetv3_small_050"},
        {"NAME": "convnext_atto"},
        {"NAME": "vit_tiny_patch16_224", "DROP_PATH_RATIO": 0.3, "ATT_DROP_RATE": 0.1, "SIE_CAMERA": True},
    ],
    ids=lambda backbone: backbone["NAME"],
)
def test_backbones_are_no_difference(backbone):
    config = tiny_config(MODEL={"BACKBONE": backbone}, INPUT={"SIZE_TRAIN": (64, 32), "SIZE_TEST": (64, 32)})
    torch.manual_seed(0)
    model = build_model(config, num_identities=16, num_cameras=3).model.train()
    images, ids = torch.randn(4, 3, 64, 32).double(), torch.arange(4)
    found = numeric_gradient(
        model, lambda one: [one(images, person_ids_B=ids, camera_ids_B=ids % 3).logits_BI], layer_groups(model)
    )
    assert [m.group for m in found] == [""] and found[0].value < 1e-3
    assert (model.camera_embedding is not None) == ("SIE_CAMERA" in backbone)
