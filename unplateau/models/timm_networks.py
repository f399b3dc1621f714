"""Backbones by timm's names: convolutional networks give maps, transformers pool as their authors do (class token or mean).

Names are checked here before any data is read. B batch, H/W image.
"""

import difflib
from typing import Any

import timm
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from unplateau.base.errors import ConfigError
from unplateau.config.schema import Config
from unplateau.models.network import Colour, Colours, Network, PublicWeights, try_out

_DEFAULT_STRIDE = (16, 16)  # of MODEL.BACKBONE.STRIDE_SIZE: patches as the network has them, without overlap


def problem_of_name(name: str, others: tuple[str, ...] = ()) -> str | None:
    """Return what is wrong with a timm name, with close names; None if nothing.

    Args:
        name: such as `mobilenetv2_100` or, with a tag of its weights, `mobilenetv2_100.ra_in1k`.
        others: further names that would have been right, for "did you mean".
    """
    if not timm.is_model(name):
        close = difflib.get_close_matches(name, [*others, *timm.list_models()], n=3)
        hint = (
            f" Did you mean {' or '.join(close)}?"
            if close
            else f" Expected {', '.join(others)}, a timm name, or `package.module:function`."
        )
        return f"MODEL.BACKBONE.NAME {name!r} is no backbone that we or timm {timm.__version__} know.{hint}"
    architecture, _, tag = name.partition(".")
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        return f"MODEL.BACKBONE.NAME {name!r}: timm has no weights {tag!r} of {architecture}. It has {', '.join(tags) or 'none'}."
    return None


def build_timm(config: Config) -> Network:
    """Return a timm network with random weights, drawn from torch's global generator.

    Raises:
        ConfigError: it cannot take images of this size, or a ViT option does not apply to it.
    """
    backbone, size = config.MODEL.BACKBONE, config.INPUT.SIZE_TRAIN
    module = _create_map_form(backbone.NAME, size)
    dimensions = try_out(module, size, backbone.NAME).dim() if module is not None else 3
    if module is not None and dimensions == 4 and not _is_channels_last(module):
        return _convolutional(module, config)
    return _transformer(config, gives_map=dimensions == 4)


def _convolutional(module: nn.Module, config: Config) -> Network:
    backbone, size = config.MODEL.BACKBONE, config.INPUT.SIZE_TRAIN
    feature_dim = try_out(module, size, backbone.NAME).shape[1]
    notes = ["MODEL.BACKBONE.LAST_STRIDE says nothing about timm networks; this one keeps its own stride."]
    if backbone.STRIDE_SIZE != _DEFAULT_STRIDE:
        notes.append("MODEL.BACKBONE.STRIDE_SIZE is for ViTs and has no effect here.")
    return Network(module, feature_dim, public=_public(module, backbone.NAME), notes=tuple(notes), colours=_colours(module))


def _transformer(config: Config, *, gives_map: bool) -> Network:
    backbone, size = config.MODEL.BACKBONE, config.INPUT.SIZE_TRAIN
    module = _create(backbone.NAME, size, global_pool="" if gives_map else None, **_drop_rates(config))
    if backbone.STRIDE_SIZE != _DEFAULT_STRIDE:
        _set_patch_stride(module, config)
    output = try_out(module, size, backbone.NAME)
    pool = config.MODEL.HEADS.POOL_LAYER
    notes = []
    if not gives_map and pool not in ("Identity", "GlobalAvgPool"):
        notes.append(f"MODEL.HEADS.POOL_LAYER {pool} has no effect: {backbone.NAME} pools its tokens itself, as its authors do.")
    return Network(
        module, output.shape[-1], gives_vectors=not gives_map, gives_channels_last=gives_map,
        public=_public(module, backbone.NAME), notes=tuple(notes), colours=_colours(module),
    )  # fmt: skip


def _create_map_form(name: str, size: tuple[int, int]) -> nn.Module | None:
    try:
        return _create(name, size, global_pool="")
    except AssertionError:  # some transformers cannot be built without their own pooling
        return None


def _create(name: str, size: tuple[int, int], **options: Any) -> nn.Module:
    """Build the network, telling it the image size if it wants to know; only a constructor's TypeError says that it does not."""
    try:
        return _create_once(name, img_size=size, **options)
    except TypeError as error:
        if "img_size" not in str(error):
            raise ConfigError([f"MODEL.BACKBONE.NAME {name} does not take these options: {error}"]) from error
    return _create_once(name, **options)


def _create_once(name: str, **options: Any) -> nn.Module:
    module: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **options)
    return module


def _drop_rates(config: Config) -> dict[str, float]:
    backbone = config.MODEL.BACKBONE
    rates = {"drop_path_rate": backbone.DROP_PATH_RATIO, "attn_drop_rate": backbone.ATT_DROP_RATE}
    rates |= {"pos_drop_rate": backbone.DROP_RATIO, "proj_drop_rate": backbone.DROP_RATIO}
    return {name: rate for name, rate in rates.items() if rate}


def _set_patch_stride(module: nn.Module, config: Config) -> None:
    """Let the patches of a ViT overlap (TransReID, section 3.1), with position embeddings for the larger grid."""
    backbone, size = config.MODEL.BACKBONE, config.INPUT.SIZE_TRAIN
    if not isinstance(module, VisionTransformer) or module.pos_embed is None:
        raise ConfigError(
            [f"MODEL.BACKBONE.STRIDE_SIZE applies to plain ViTs such as vit_base_patch16_224, not to {backbone.NAME}."]
        )
    patches, stride = module.patch_embed, backbone.STRIDE_SIZE
    grid = tuple((length - patch) // step + 1 for length, patch, step in zip(size, patches.patch_size, stride, strict=True))
    patches.proj.stride = stride
    patches.grid_size, patches.num_patches = grid, grid[0] * grid[1]
    prefix = 0 if module.no_embed_class else module.num_prefix_tokens
    module.pos_embed = nn.Parameter(module.pos_embed.new_empty(1, prefix + patches.num_patches, module.embed_dim))
    nn.init.trunc_normal_(module.pos_embed, std=0.02)  # as timm draws it


def _is_channels_last(module: nn.Module) -> bool:
    return str(getattr(module, "output_fmt", "NCHW")).upper().endswith("NHWC")  # timm sets it on networks that differ from NCHW


def _public(module: nn.Module, name: str) -> PublicWeights | None:
    described: dict[str, Any] = module.pretrained_cfg or {}  # type: ignore[assignment]
    hub_id, url = described.get("hf_hub_id") or "", described.get("url") or ""
    files = (described["hf_hub_filename"],) if described.get("hf_hub_filename") else PublicWeights.hub_files
    if not hub_id and not url:
        return None
    return PublicWeights(f"timm {name.partition('.')[0]}.{described.get('tag') or ''}".rstrip("."), url, hub_id, files)


def _colours(module: nn.Module) -> Colours | None:
    described: dict[str, Any] = module.pretrained_cfg or {}  # type: ignore[assignment]
    if not described.get("mean") or not described.get("std"):
        return None
    return Colours(_on_255(described["mean"]), _on_255(described["std"]))


def _on_255(channels: tuple[float, float, float]) -> Colour:
    red, green, blue = (round(255.0 * channel, 3) for channel in channels)
    return red, green, blue
