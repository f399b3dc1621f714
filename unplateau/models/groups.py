"""Layer groups by name, as probes and reports speak of them: backbone.stem, its stages, neck, classifier. Torch-free strings."""

from torch import nn

from unplateau.models.reid import ReidModel

_SPLIT = ("blocks", "stages", "layers", "features")  # containers whose children are the stages


def layer_groups(model: ReidModel) -> dict[str, list[str]]:
    """Return the names of the model's parameters by group, in forward order; every parameter is in exactly one group.

    Groups are `backbone.stem` (all before the first stage), one for each stage such as `backbone.layer1` or
    `backbone.blocks.0`, `camera_embedding`, `neck` (learned pooling, reduction and BNNeck) and `classifier`.
    """
    stages = {name for name, child in model.backbone.named_children() if isinstance(child, nn.Sequential | nn.ModuleList)}
    groups: dict[str, list[str]] = {}
    for part in ("backbone", "camera_embedding", "head"):
        for name, _ in model.named_parameters():
            if name.split(".")[0] == part:
                groups.setdefault(_group(name, stages, groups), []).append(name)
    return groups


def _group(name: str, stages: set[str], so_far: dict[str, list[str]]) -> str:
    part, child, *rest = name.split(".")
    if part == "head":
        return "classifier" if child == "classifier" else "neck"
    if part == "camera_embedding":
        return part
    if child in stages:
        return f"backbone.{child}.{rest[0]}" if child in _SPLIT else f"backbone.{child}"
    has_stages_before = any(group != "backbone.stem" for group in so_far)
    return f"backbone.{child}" if has_stages_before or not stages else "backbone.stem"
