"""Configurations for the tests of models: small images, everything else at its default."""

from typing import Any

from unplateau.config.schema import Config


def config_of(name: str = "build_tiny_backbone", *, heads: dict[str, Any] | None = None, **backbone: Any) -> Config:
    """Return a configuration of 64 x 32 images with this backbone; `weights`, `seed` and `size` go where they belong."""
    size, seed = backbone.pop("size", (64, 32)), backbone.pop("seed", 0)
    model = {key: backbone.pop(key) for key in ("WEIGHTS", "PIXEL_MEAN", "PIXEL_STD") if key in backbone}
    model |= {"BACKBONE": {"NAME": name, **backbone}, "HEADS": heads or {}}
    return Config.model_validate({"MODEL": model, "INPUT": {"SIZE_TRAIN": size}, "SEED": seed})
