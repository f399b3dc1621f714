"""Builds the model a configuration asks for: backbone, head, camera embedding, weights.

Same seed, same model, to the bit, whatever was drawn before; and building leaves every global generator as it was.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from timm.models.vision_transformer import VisionTransformer

from unplateau.base.errors import ConfigError
from unplateau.base.randomness import stream_seed
from unplateau.config.schema import Config
from unplateau.models.backbones import build_network, check_backbone
from unplateau.models.cameras import CameraEmbedding
from unplateau.models.head import EmbeddingHead
from unplateau.models.network import Network
from unplateau.models.pretrained import load_pretrained
from unplateau.models.reid import ReidModel
from unplateau.models.weights import WeightReport
from unplateau.models.whole_model import load_whole_model

__all__ = ["BuiltModel", "build_model", "check_backbone"]


@dataclass(frozen=True)
class BuiltModel:
    """A model in training mode on the CPU, and how its weights came about."""

    model: ReidModel
    report: WeightReport | None
    """Of the weights that were loaded; None where all are random."""
    notes: tuple[str, ...] = ()
    """Keys of the configuration that say nothing about this network, one sentence each."""


def build_model(config: Config, *, num_identities: int, num_cameras: int, with_weights: bool = True) -> BuiltModel:
    """Build the model and load the weights the configuration names.

    Args:
        config: checked by `check_backbone` again.
        num_identities: training identities; 0 builds no classifier, for scoring.
        num_cameras: training cameras, for a camera embedding.
        with_weights: False leaves all weights random, for a model that a checkpoint is loaded into.

    Raises:
        ConfigError: the network cannot be built as configured.
        WeightsError: weights were asked for and cannot be had, or do not fit.
    """
    check_backbone(config)
    _check_num_identities(config, num_identities)
    with _private_randomness(stream_seed(config.SEED, "model", 0)):
        network = build_network(config)
    with _private_randomness(stream_seed(config.SEED, "model", 1)):
        model = _assemble(network, config, num_identities=num_identities, num_cameras=num_cameras)
    report = _load(model, network, config) if with_weights else None
    return BuiltModel(model.train(), report, (*network.notes, *_head_notes(config)))


def _assemble(network: Network, config: Config, *, num_identities: int, num_cameras: int) -> ReidModel:
    heads = config.MODEL.HEADS
    if heads.POOL_LAYER == "Identity" and not network.gives_vectors:
        raise ConfigError(
            [f"MODEL.HEADS.POOL_LAYER is Identity, but {config.MODEL.BACKBONE.NAME} gives maps. Use GlobalAvgPool."]
        )
    head = EmbeddingHead(heads, network.feature_dim, num_identities=num_identities, takes_vectors=network.gives_vectors)
    cameras = _camera_embedding(network, config, num_cameras)
    return ReidModel(network.module, head, gives_channels_last=network.gives_channels_last, camera_embedding=cameras)


def _camera_embedding(network: Network, config: Config, num_cameras: int) -> CameraEmbedding | None:
    backbone = config.MODEL.BACKBONE
    if not backbone.SIE_CAMERA:
        return None
    if not isinstance(network.module, VisionTransformer):
        raise ConfigError([f"MODEL.BACKBONE.SIE_CAMERA adds to the tokens of a plain ViT, which {backbone.NAME} is not."])
    if num_cameras == 0:
        raise ConfigError(["MODEL.BACKBONE.SIE_CAMERA is True, but no camera of the training images is known."])
    return CameraEmbedding(num_cameras, network.feature_dim, weight=backbone.SIE_COE)


def _load(model: ReidModel, network: Network, config: Config) -> WeightReport | None:
    if config.MODEL.WEIGHTS:
        return load_whole_model(model, Path(config.MODEL.WEIGHTS).expanduser())
    if config.MODEL.BACKBONE.PRETRAIN:
        return load_pretrained(network, config)
    return None


def _check_num_identities(config: Config, num_identities: int) -> None:
    wanted = config.MODEL.HEADS.NUM_CLASSES
    if wanted and num_identities and wanted != num_identities:
        raise ConfigError([
            f"MODEL.HEADS.NUM_CLASSES is {wanted}, but there are {num_identities} training identities "
            "(those held out for validation do not count). Leave it 0 to have them counted."
        ])  # fmt: skip


def _head_notes(config: Config) -> tuple[str, ...]:
    heads = config.MODEL.HEADS
    if heads.CLS_LAYER == "Linear" and (heads.SCALE != 1.0 or heads.MARGIN != 0.0):
        return ("MODEL.HEADS.SCALE and MARGIN are for cosine classifiers and have no effect on Linear, as in fast-reid.",)
    return ()


@contextmanager
def _private_randomness(seed: int) -> Iterator[None]:
    """Seed torch's (CPU), NumPy's and Python's global generators for a while: network code draws from nothing else."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            random.seed(seed)
            np.random.seed(seed % 2**32)
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
