"""A re-ID problem of random tensors that a two-layer network solves in a second on one core. No files, no augmentation.

Every identity is a pattern of coloured blocks, every camera adds a tint, every image noise.

Shape legend: B batch, N images, I identities, C/H/W image.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unplateau.base.randomness import stream_seed
from unplateau.config.schema import Config
from unplateau.data.items import Item
from unplateau.data.loader import Batch, TrainLoader
from unplateau.engine.parts import Parts
from unplateau.engine.precision import choose_precision
from unplateau.engine.ranks import Ranks
from unplateau.losses.build import build_losses
from unplateau.models.build import build_model
from unplateau.optim.build import build_optimizers

IMAGE_SIZE = (16, 8)
_CAMERAS = 3
_SETTINGS: dict[str, Any] = {
    "MODEL": {
        "DEVICE": "cpu",
        "BACKBONE": {"NAME": "unplateau.testing.tiny_problem:tiny_backbone"},
        "HEADS": {"WITH_BNNECK": True},
        "LOSSES": {"NAME": ("CrossEntropyLoss", "TripletLoss"), "TRI": {"HARD_MINING": True}},
    },
    "INPUT": {"SIZE_TRAIN": IMAGE_SIZE, "SIZE_TEST": IMAGE_SIZE},
    "DATALOADER": {"SAMPLER_TRAIN": "NaiveIdentitySampler", "NUM_INSTANCE": 4},
    "SOLVER": {"IMS_PER_BATCH": 16, "MAX_EPOCH": 4, "BASE_LR": 2e-2, "WARMUP_ITERS": 0, "STEPS": (3,)},
}


@dataclass(frozen=True)
class TinyProblem:
    """Images with identities 0..I-1 and cameras."""

    images_NCHW: Tensor
    person_ids_N: Tensor
    camera_ids_N: Tensor
    seed: int

    @property
    def num_identities(self) -> int:
        """I."""
        return int(self.person_ids_N.max()) + 1

    def items(self) -> tuple[Item, ...]:
        """Return records of the images; their files do not exist."""
        rows = zip(self.person_ids_N.tolist(), self.camera_ids_N.tolist(), strict=True)
        return tuple(Item(f"tiny/{row:04d}.png", person, camera, "Tiny") for row, (person, camera) in enumerate(rows))

    def batch(self, rows: Tensor) -> Batch:
        """Return the images of these rows."""
        return Batch(self.images_NCHW[rows], self.person_ids_N[rows], self.camera_ids_N[rows])


class TinyLoader:
    """PK batches of a tiny problem, with the interface of `data.loader.TrainLoader`; an epoch depends on (seed, epoch) only."""

    def __init__(self, problem: TinyProblem, *, batch_size: int, images_each: int) -> None:
        self.problem = problem
        self.num_identities = problem.num_identities
        self.num_cameras = _CAMERAS
        self.person_of_label = tuple(range(problem.num_identities))
        self.steps_per_epoch = max(len(problem.person_ids_N) // batch_size, 1)
        self.notes: tuple[str, ...] = ()
        self._identities_each, self._images_each = batch_size // images_each, images_each

    def laid_out(self, channels_last: bool) -> "TinyLoader":
        """Return itself: its images keep their layout."""
        return self

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of one epoch."""
        generator = torch.Generator().manual_seed(stream_seed(self.problem.seed, "tiny batches", epoch))
        for _ in range(self.steps_per_epoch):
            chosen = torch.randperm(self.num_identities, generator=generator)[: self._identities_each]
            yield self.problem.batch(torch.cat([self._rows(int(identity), generator) for identity in chosen]))

    def _rows(self, identity: int, generator: torch.Generator) -> Tensor:
        rows = (self.problem.person_ids_N == identity).nonzero().flatten()
        return rows[torch.randperm(len(rows), generator=generator)[: self._images_each]]


def tiny_problem(*, num_identities: int = 8, images_each: int = 8, noise: float = 0.3, seed: int = 0) -> TinyProblem:
    """Draw a problem.

    Args:
        num_identities: I, at least 4 for a batch of 16.
        images_each: images of each identity, at least 4.
        noise: standard deviation of the pixels' noise; the patterns have 1.
        seed: another seed, another problem.
    """
    generator = torch.Generator().manual_seed(stream_seed(seed, "tiny problem"))
    patterns_ICHW = F.interpolate(torch.randn(num_identities, 3, 4, 2, generator=generator), size=IMAGE_SIZE)
    tints_KC11 = 0.5 * torch.randn(_CAMERAS, 3, 1, 1, generator=generator)
    person_ids_N = torch.arange(num_identities).repeat_interleave(images_each)
    camera_ids_N = torch.arange(len(person_ids_N)) % _CAMERAS
    noise_NCHW = noise * torch.randn(len(person_ids_N), 3, *IMAGE_SIZE, generator=generator)
    images_NCHW = patterns_ICHW[person_ids_N] + tints_KC11[camera_ids_N] + noise_NCHW
    return TinyProblem(images_NCHW, person_ids_N, camera_ids_N, seed)


def tiny_config(**sections: dict[str, Any]) -> Config:
    """Return a configuration for it; `sections` such as SOLVER={"BASE_LR": 0.1} are merged into it."""
    return Config.model_validate(_merged(_SETTINGS, sections))


def tiny_parts(problem: TinyProblem | None = None, config: Config | None = None) -> Parts:
    """Return a whole training of the problem on the CPU, without validation."""
    problem, config = problem or tiny_problem(), config or tiny_config()
    device = torch.device("cpu")
    model = build_model(config, num_identities=problem.num_identities, num_cameras=_CAMERAS).model
    losses = build_losses(config, num_identities=problem.num_identities, feature_dim=model.feature_dim)
    loader = TinyLoader(problem, batch_size=config.SOLVER.IMS_PER_BATCH, images_each=config.DATALOADER.NUM_INSTANCE)
    return Parts(
        config=config,
        device=device,
        precision=choose_precision(config, device),
        ranks=Ranks(),
        model=model,
        network=model,
        losses=losses,
        optimizers=build_optimizers(config, model, losses),
        average=None,
        train_loader=cast(TrainLoader, loader),
        validate=None,
    )


class TinyBackbone(nn.Module):
    """Two strided convolutions with batch normalisation: (B, 3, 16, 8) to (B, 32, 4, 2)."""

    num_features = 32

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.Sequential(_stage(3, 16), _stage(16, self.num_features))

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return the feature map."""
        return cast(Tensor, self.stages(images_BCHW))


def tiny_backbone() -> nn.Module:
    """Return a TinyBackbone: what MODEL.BACKBONE.NAME of `tiny_config` names."""
    return TinyBackbone()


def _stage(inputs: int, outputs: int) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def _merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        both_are_sections = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merged(base[key], value) if both_are_sections else value
    return merged
