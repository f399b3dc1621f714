"""Preflight on healthy and on broken trainings: it measures here, and diagnosis judges, as the train workflow has it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from unplateau.config.schema import Config
from unplateau.diagnosis.preflight import judge_preflight
from unplateau.engine.freezing import freeze
from unplateau.engine.parts import Parts
from unplateau.engine.precision import Precision
from unplateau.engine.preflight import preflight
from unplateau.engine.train_step import train_step
from unplateau.models.classifiers import LinearClassifier
from unplateau.optim.build import build_optimizers
from unplateau.optim.moving_average import MovingAverage
from unplateau.optim.schedules import Schedule
from unplateau.runs.record import Finding
from unplateau.testing import faults
from unplateau.testing.tiny_problem import tiny_config, tiny_parts, tiny_problem

BOTH = ("CrossEntropyLoss", "TripletLoss")

HEALTHY: dict[str, dict[str, Any]] = {
    "bag of tricks": {},
    "label smoothing": {"MODEL": {"LOSSES": {"CE": {"EPSILON": 0.1}}}},
    "no neck": {"MODEL": {"HEADS": {"WITH_BNNECK": False}}},
    "neck feature after": {"MODEL": {"HEADS": {"NECK_FEAT": "after"}}},
    "embedding dim": {"MODEL": {"HEADS": {"EMBEDDING_DIM": 24}}},
    "generalised mean": {"MODEL": {"HEADS": {"POOL_LAYER": "GeneralizedMeanPoolingP"}}},
    "cosine head": {"MODEL": {"HEADS": {"CLS_LAYER": "CosineLinear", "SCALE": 30.0}}},
    "ArcFace": {"MODEL": {"HEADS": {"CLS_LAYER": "ArcSoftmax", "SCALE": 30.0, "MARGIN": 0.5}}},
    "CosFace": {"MODEL": {"HEADS": {"CLS_LAYER": "CosSoftmax", "SCALE": 30.0, "MARGIN": 0.35}}},
    "circle head": {"MODEL": {"HEADS": {"CLS_LAYER": "CircleSoftmax", "SCALE": 64.0, "MARGIN": 0.35}}},
    "cross-entropy alone": {"MODEL": {"LOSSES": {"NAME": ("CrossEntropyLoss",)}}},
    "triplet alone": {"MODEL": {"LOSSES": {"NAME": ("TripletLoss",)}}},
    "triplet after the neck alone": {"MODEL": {"LOSSES": {"NAME": ("TripletLoss",)}, "HEADS": {"NECK_FEAT": "after"}}},
    "cross-entropy of weight 0": {"MODEL": {"LOSSES": {"CE": {"SCALE": 0.0}}}},
    "triplet of weight 0": {"MODEL": {"LOSSES": {"TRI": {"SCALE": 0.0}}}, "DATALOADER": {"NUM_INSTANCE": 2}},
    "heavy triplet": {"MODEL": {"LOSSES": {"CE": {"SCALE": 0.3}, "TRI": {"SCALE": 2.0}}}},
    "soft margin": {"MODEL": {"LOSSES": {"TRI": {"MARGIN": 0.0}}}},
    "weighted triplet": {"MODEL": {"LOSSES": {"TRI": {"HARD_MINING": False}}}},
    "unit features": {"MODEL": {"LOSSES": {"TRI": {"NORM_FEAT": True}}}},
    "circle loss": {"MODEL": {"LOSSES": {"NAME": ("CrossEntropyLoss", "CircleLoss")}}},
    "centre loss": {"MODEL": {"LOSSES": {"NAME": (*BOTH, "CenterLoss")}}},
    "centre loss of weight 0": {"MODEL": {"LOSSES": {"NAME": (*BOTH, "CenterLoss"), "CENTER": {"SCALE": 0.0}}}},
    "heads rate 0": {"SOLVER": {"HEADS_LR_FACTOR": 0.0}},
    "bias rate 0": {"SOLVER": {"BIAS_LR_FACTOR": 0.0}},
    "SGD": {"SOLVER": {"OPT": "SGD"}},
    "SGD without momentum": {"SOLVER": {"OPT": "SGD", "MOMENTUM": 0.0}},
    "AdamW": {"SOLVER": {"OPT": "AdamW", "WEIGHT_DECAY": 0.05}},
    "small rate": {"SOLVER": {"BASE_LR": 1e-5}},
    "long warm-up": {"SOLVER": {"WARMUP_ITERS": 2000, "WARMUP_FACTOR": 0.0}},
    "bf16": {"SOLVER": {"AMP": {"ENABLED": True, "DTYPE": "bf16"}}},
    "clipping": {"SOLVER": {"CLIP_GRADIENTS": {"ENABLED": True}}},
    "frozen stage": {"MODEL": {"FREEZE_LAYERS": ("backbone.stages.0",)}},
    "frozen backbone": {"MODEL": {"FREEZE_LAYERS": ("backbone",)}},
    "frozen for a while": {"MODEL": {"FREEZE_LAYERS": ("backbone",)}, "SOLVER": {"FREEZE_ITERS": 10}},
    "a batch of two identities": {"SOLVER": {"IMS_PER_BATCH": 8}},
}


def _parts(config: Config, *, num_identities: int = 8) -> Parts:
    """A tiny training with layers frozen and weights averaged as a session has them."""
    parts = tiny_parts(tiny_problem(num_identities=num_identities), config)
    if config.SOLVER.FREEZE_ITERS == 0:
        freeze(parts.model, config, step=0)
    average = MovingAverage(parts.model, decay=0.9)
    return replace(parts, optimizers=build_optimizers(config, parts.model, parts.losses), average=average)


def _findings(parts: Parts) -> tuple[Finding, ...]:
    config = parts.config
    has_fresh_head = isinstance(parts.model.head.classifier, LinearClassifier) and "CrossEntropyLoss" in config.MODEL.LOSSES.NAME
    measurements = preflight(parts, Schedule.from_config(config, 4), has_fresh_head=has_fresh_head)
    losses = config.MODEL.LOSSES
    return judge_preflight(measurements, needs_positives="TripletLoss" in losses.NAME and losses.TRI.SCALE > 0)


@pytest.mark.parametrize("recipe", HEALTHY)
def test_a_healthy_recipe_gives_no_finding(recipe: str) -> None:
    assert _findings(_parts(tiny_config(**HEALTHY[recipe]))) == ()


@pytest.mark.parametrize("seed", range(8))
def test_no_seed_gives_a_false_alarm(seed: int) -> None:
    assert _findings(_parts(replace_seed(tiny_config(), seed))) == ()


def replace_seed(config: Config, seed: int) -> Config:
    return config.model_copy(update={"SEED": seed})


def test_a_trained_model_gives_no_finding_when_its_head_is_loaded() -> None:
    parts = _parts(tiny_config())
    for batch in parts.train_loader.epoch(1):
        train_step(parts, batch)
    measurements = preflight(parts, Schedule.from_config(parts.config, 4), has_fresh_head=False)
    assert judge_preflight(measurements, needs_positives=True) == ()


FAULTY: dict[str, tuple[Callable[[Parts], Parts], str, str]] = {
    "stale optimiser": (faults.stale_optimizer, "weights-not-updated", "stale-optimizer"),
    "optimiser of copies": (faults.optimizer_of_copies, "weights-not-updated", "stale-optimizer"),
    "detached backbone": (faults.detached_backbone, "weights-not-updated", "detached-branch"),
    "layers in a plain list": (faults.layers_in_a_plain_list, "layers-not-trained", "layers-frozen"),
    "blank images": (faults.blank_images, "blank-inputs", ""),
    "raw pixels": (faults.unnormalised_images, "inputs-not-normalised", ""),
    "labels off by one": (faults.labels_off_by_one, "labels-out-of-range", ""),
    "softmax before cross-entropy": (faults.softmax_before_cross_entropy, "softmax-before-ce", "softmax-before-ce"),
}


@pytest.mark.parametrize("fault", FAULTY)
@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
def test_a_fault_is_found_and_named(fault: str, optimizer: str) -> None:
    inject, code, cause = FAULTY[fault]
    num_identities = 4 if "labels" in fault else 8  # all are in the first batch
    found = _findings(inject(_parts(tiny_config(SOLVER={"OPT": optimizer}), num_identities=num_identities)))
    assert found, f"{fault} passed preflight"
    assert found[0].code == code
    assert cause in ("", *found[0].causes)


def test_everything_frozen_after_the_optimiser_was_built_is_found() -> None:
    parts = _parts(tiny_config())
    parts.model.requires_grad_(False)
    assert [finding.code for finding in _findings(parts)] == ["weights-not-updated"]


def test_a_rate_of_zero_is_named_as_that_and_nothing_else() -> None:
    assert [finding.code for finding in _findings(_parts(tiny_config(SOLVER={"BASE_LR": 0.0})))] == ["learning-rate-zero"]


def test_triplets_without_positives_are_found() -> None:
    found = _findings(_parts(tiny_config(DATALOADER={"NUM_INSTANCE": 1}, SOLVER={"IMS_PER_BATCH": 8})))
    assert [finding.code for finding in found] == ["no-positives"]


def test_no_positives_are_no_fault_of_a_recipe_without_a_metric_loss() -> None:
    config = tiny_config(
        MODEL={"LOSSES": {"NAME": ("CrossEntropyLoss",)}}, DATALOADER={"NUM_INSTANCE": 1}, SOLVER={"IMS_PER_BATCH": 8}
    )
    assert _findings(_parts(config)) == ()


@pytest.mark.parametrize("scale", [58.0, 255.0, 1 / 58.0, 1 / 255.0])
def test_pixel_statistics_on_a_wrong_scale_are_found(scale: float) -> None:
    def rescale(parts: Parts) -> Parts:
        return faults._with_batches(parts, lambda batch: replace(batch, images_BCHW=batch.images_BCHW * scale))

    assert _findings(rescale(_parts(tiny_config())))[0].code in ("inputs-not-normalised", "blank-inputs")


def test_a_head_of_fast_reids_width_passes_and_its_first_loss_is_predicted() -> None:
    """6.724 on 2048 features and 751 identities is right for std 0.01: theory follows the head that is there."""
    parts = _parts(tiny_config())
    classifier = parts.model.head.classifier
    assert isinstance(classifier, LinearClassifier)
    torch.nn.init.normal_(classifier.weight, std=0.5, generator=torch.Generator().manual_seed(0))
    classifier.initial_std = 0.5
    assert _findings(parts) == ()


def test_the_stall_that_started_this_project_is_caught_in_the_first_step() -> None:
    """fast-reid 1.3 on torch 2: flat buffers lose their gradient at zero_grad, and step() skips them in silence."""
    parts = faults.stale_optimizer(_parts(tiny_config()))
    finding = _findings(parts)[0]
    assert finding.code == "weights-not-updated"
    assert finding.confidence == pytest.approx(0.99)
    statements = " ".join(item.statement for item in finding.evidence)
    assert "moved by exactly 0" in statements
    assert "they have gradients" in statements
    assert "the optimiser's state is empty" in statements
    before = faults.weights_of(parts)
    for batch in parts.train_loader.epoch(1):
        train_step(parts, batch)
    assert all(torch.equal(before[name], weight) for name, weight in faults.weights_of(parts).items()), "it is a real stall"


def test_preflight_leaves_no_trace() -> None:
    config = tiny_config(MODEL={"LOSSES": {"NAME": (*BOTH, "CenterLoss")}})
    parts = _parts(config)
    for batch in parts.train_loader.epoch(1):
        train_step(parts, batch)  # so that there is optimiser state to harm
    torch.manual_seed(5)
    before, random_state = _everything(parts), torch.get_rng_state()
    _findings(parts)
    after = _everything(parts)
    assert torch.equal(random_state, torch.get_rng_state())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def _everything(parts: Parts) -> dict[str, Tensor]:
    tensors = {f"model.{name}": value for name, value in parts.model.state_dict().items()}
    tensors |= {f"losses.{name}": value for name, value in parts.losses.state_dict().items()}
    assert parts.average is not None
    tensors |= {f"average.{name}": value for name, value in parts.average.model.state_dict().items()}
    tensors |= {f"grad.{name}": p.grad for name, p in parts.model.named_parameters() if p.grad is not None}
    for number, optimizer in enumerate(parts.optimizers):
        for index, group in enumerate(optimizer.param_groups):
            tensors[f"optimizer{number}.{index}.rate"] = torch.tensor([group["lr"], group["weight_decay"]])
        for parameter, state in optimizer.state.items():
            tensors |= {f"optimizer{number}.{id(parameter)}.{name}": torch.as_tensor(value) for name, value in state.items()}
    return {name: value.detach().clone() for name, value in tensors.items()}


@pytest.mark.parametrize("initial_scale", [2.0**16, 2.0**22])
def test_a_scaler_may_skip_its_first_steps(initial_scale: float) -> None:
    parts = _parts(tiny_config())
    scaler = torch.amp.GradScaler("cpu", init_scale=initial_scale)
    parts = replace(parts, precision=Precision("cpu", torch.float16, scaler))
    assert _findings(parts) == ()
    assert scaler.get_scale() == initial_scale, "the real scaler is untouched"


def test_a_scaler_that_always_skips_is_found() -> None:
    """fp16 overflows whatever the scale: the weights stay, as in a run whose scaler halves its scale for ever."""
    parts = _parts(tiny_config())
    parts = replace(parts, precision=Precision("cpu", torch.float16, torch.amp.GradScaler("cpu", init_scale=2.0**100)))
    assert [finding.code for finding in _findings(parts)] == ["weights-not-updated"]
