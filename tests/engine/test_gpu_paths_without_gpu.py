"""What runs on a GPU, run on tensors without content that say they lie on one: nothing is mixed with the CPU, or waited for.

A tensor of the CPU among those of the GPU raises, and so does reading a value, which would wait for the GPU. The backward
pass and fused optimisers cannot be run so. Shapes: B batch, C/H/W image.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeCopyMode, FakeTensorMode

from unplateau.config.schema import Config
from unplateau.data.loader import Batch
from unplateau.data.transforms import Augmentation
from unplateau.engine.parts import Parts
from unplateau.engine.step_log import StepLog
from unplateau.engine.train_step import StepTerms, forward_losses
from unplateau.evaluation.extract import extract
from unplateau.optim.build import build_optimizers
from unplateau.optim.clipping import clip_gradients
from unplateau.testing.tiny_problem import tiny_config, tiny_parts

CUDA = torch.device("cuda:0")


@contextmanager
def pretended() -> Iterator[FakeTensorMode]:
    """Tensors made within have a device and a shape, and no content."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        yield mode


def on_gpu(mode: FakeTensorMode, *modules: nn.Module) -> Any:
    """Return copies that lie on the GPU."""
    with FakeCopyMode(mode):
        copies = copy.deepcopy(modules)
    for part in (part for module in copies for part in module.modules()):
        for name, tensor in part._parameters.items():
            if tensor is not None:
                part._parameters[name] = nn.Parameter(_moved(tensor), requires_grad=tensor.requires_grad)
        for name, tensor in part._buffers.items():
            if tensor is not None:
                part._buffers[name] = _moved(tensor)
    return copies


def _moved(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device=CUDA)


def gpu_parts(mode: FakeTensorMode, real: Parts) -> tuple[Parts, Batch]:
    """Return the same training on the GPU, and a batch of it."""
    config = real.config
    model, losses = on_gpu(mode, real.model, real.losses)
    images_BCHW = torch.empty(16, 3, *config.INPUT.SIZE_TRAIN, device=CUDA)
    ids_B = torch.empty(16, dtype=torch.int64, device=CUDA)
    optimizers = build_optimizers(config, model, losses)
    parts = replace(real, device=CUDA, model=model, network=model, losses=losses, optimizers=optimizers)
    return parts, Batch(images_BCHW, ids_B, ids_B)


def losses_named(*names: str, **settings: dict[str, Any]) -> dict[str, Any]:
    return {"LOSSES": {"NAME": names, **settings}}


SIZE = {"SIZE_TRAIN": (64, 32), "SIZE_TEST": (64, 32)}
TRAININGS: dict[str, dict[str, Any]] = {
    "cross-entropy and hard triplet": {},
    "soft triplet of unit length": {"MODEL": losses_named("TripletLoss", TRI={"HARD_MINING": False, "NORM_FEAT": True})},
    "circle and centre": {"MODEL": losses_named("CircleLoss", "CenterLoss")},
    "margin classifier": {"MODEL": {"HEADS": {"CLS_LAYER": "ArcSoftmax", "SCALE": 30.0, "MARGIN": 0.3}}},
    "generalised mean, smoothing": {
        "MODEL": {"HEADS": {"POOL_LAYER": "GeneralizedMeanPoolingP", "NECK_FEAT": "after", "EMBEDDING_DIM": 16}}
    },
    "ResNet with IBN": {
        "MODEL": {"BACKBONE": {"NAME": "build_resnet_backbone", "DEPTH": "18x", "WITH_IBN": True}}, "INPUT": SIZE,
    },
    "OSNet": {"MODEL": {"BACKBONE": {"NAME": "build_osnet_backbone", "DEPTH": "x0_25"}}, "INPUT": SIZE},
    "MobileNetV2": {"MODEL": {"BACKBONE": {"NAME": "mobilenetv2_050"}}, "INPUT": SIZE},
    "gradients clipped": {"SOLVER": {"CLIP_GRADIENTS": {"ENABLED": True}}},
}  # fmt: skip


@pytest.mark.parametrize("name", list(TRAININGS))
def test_a_step_mixes_nothing_with_the_cpu_and_reads_no_value(name: str) -> None:
    real = tiny_parts(config=tiny_config(**TRAININGS[name]))
    with pretended() as mode:
        parts, batch = gpu_parts(mode, real)
        parts.model.train()
        terms = forward_losses(parts, batch)
        assert terms.total.device == CUDA
        log = StepLog(1, 0)
        assert not log.add(StepTerms(terms.total.detach(), terms.parts, terms.measurements), 0.1)
        for parameter in (*parts.model.parameters(), *parts.losses.parameters()):
            parameter.grad = torch.empty_like(parameter) if parameter.requires_grad else None
        clip_gradients(parts.model.parameters(), parts.config.SOLVER.CLIP_GRADIENTS)


def test_reading_a_value_and_mixing_devices_would_show() -> None:
    with pretended():
        value = torch.empty((), device=CUDA)
        with pytest.raises(DataDependentOutputException):
            float(value)
        with pytest.raises(Exception, match="cuda"):
            torch.empty(3, device=CUDA) + torch.empty(3)


@pytest.mark.parametrize("channels_last", [False, True])
def test_augmentation_works_on_the_device_of_the_pixels(channels_last: bool) -> None:
    drawn = {"REA": {"ENABLED": True, "PROB": 1.0}, "FLIP": {"ENABLED": True}, "PADDING": {"ENABLED": True}}
    config = Config.model_validate({"INPUT": drawn})  # colour jitter first counts its images, on the CPU: not to be pretended
    augmentation = Augmentation.from_config(config)
    draws = augmentation.draw((4, 32, 16), torch.Generator().manual_seed(0))
    with pretended():
        pixels_BCHW = torch.empty(4, 3, 32, 16, dtype=torch.uint8, device=CUDA)
        images_BCHW = augmentation.apply(pixels_BCHW, draws, channels_last=channels_last)
    assert (images_BCHW.device, images_BCHW.shape) == (CUDA, (4, 3, 32, 16))
    assert images_BCHW.is_contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def test_of_a_batch_nothing_is_read_before_the_next_one_was_given_to_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    true_cpu = Tensor.cpu

    def cpu(self: Tensor) -> Tensor:
        events.append("read")
        return true_cpu(self)

    def embed(images_BCHW: Tensor, camera_ids_B: Tensor) -> Tensor:
        events.append("given")
        return images_BCHW.flatten(1)

    monkeypatch.setattr(Tensor, "cpu", cpu)
    ids_B = torch.arange(2)
    batches = [(torch.full((2, 3, 2, 2), float(number)), ids_B + number, ids_B) for number in range(3)]
    embedded = extract(embed, iter(batches))
    assert events == ["given", "given", *["read"] * 3, "given", *["read"] * 6]
    assert embedded.person_ids_N.tolist() == [0, 1, 1, 2, 2, 3]
    assert embedded.features_ND[:, 0].tolist() == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]
