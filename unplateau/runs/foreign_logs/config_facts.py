"""Facts about a training from its configuration, for the key trees of fast-reid (and ours) and of reid-strong-baseline's family.

Only what diagnosis needs; carrying a configuration over to our own: `config.foreign`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unplateau.runs.foreign_logs.text_lines import counted
from unplateau.runs.foreign_logs.training_log import LogFacts

FAST_REID_INITIAL_STD = 0.01  # fast-reid's heads: nn.init.normal_(self.weight, std=0.01)
STRONG_BASELINE_INITIAL_STD = 0.001  # reid-strong-baseline's weights_init_classifier, kept by TransReID, CLIP-ReID and SOLIDER
_BACKBONE_DIMS = (
    ("resnet18", 512), ("resnet34", 512), ("resnet", 2048), ("vit_base", 768), ("vit_small", 384), ("deit_small", 384),
    ("vit", 768), ("swin_base", 1024), ("swin", 768), ("osnet", 512),
)  # fmt: skip


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested mapping with dotted keys.

    >>> flatten({"SOLVER": {"BASE_LR": 0.1}, "SEED": 1})
    {'SOLVER.BASE_LR': 0.1, 'SEED': 1}
    """
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def facts_of_config(flat: Mapping[str, Any], *, iterations_per_epoch: int | None = None) -> LogFacts:
    """Return what a configuration tells.

    Args:
        flat: dotted keys of either key tree; keys that are missing stay unknown.
        iterations_per_epoch: turns warm-up in iterations into epochs.
    """
    if any(key.startswith(("MODEL.HEADS.", "MODEL.LOSSES.")) or key == "SOLVER.MAX_EPOCH" for key in flat):
        return _fast_reid(flat, iterations_per_epoch)
    if "SOLVER.MAX_EPOCHS" in flat or any(key.startswith("MODEL.METRIC_LOSS") for key in flat):
        return _strong_baseline(flat)
    return LogFacts()


def _fast_reid(flat: Mapping[str, Any], iterations_per_epoch: int | None) -> LogFacts:
    losses = _names(flat.get("MODEL.LOSSES.NAME"))
    warm_up = _share(_number(flat.get("SOLVER.WARMUP_ITERS")), iterations_per_epoch)
    return LogFacts(
        num_identities=_positive(flat.get("MODEL.HEADS.NUM_CLASSES")),
        batch_size=_positive(flat.get("SOLVER.IMS_PER_BATCH")),
        num_instances=_instances(flat),
        feature_dim=_positive(flat.get("MODEL.HEADS.EMBEDDING_DIM")) or _positive(flat.get("MODEL.BACKBONE.FEAT_DIM")),
        initial_std=FAST_REID_INITIAL_STD if flat.get("MODEL.HEADS.CLS_LAYER", "Linear") == "Linear" else None,
        margin=_number(flat.get("MODEL.LOSSES.TRI.MARGIN")) if "TripletLoss" in losses else None,
        label_smoothing=_number(flat.get("MODEL.LOSSES.CE.EPSILON")),
        cross_entropy_weight=_weight(flat, "CE", "CrossEntropyLoss" in losses),
        triplet_weight=_weight(flat, "TRI", "TripletLoss" in losses),
        classifier=flat.get("MODEL.HEADS.CLS_LAYER"),
        cosine_scale=_number(flat.get("MODEL.HEADS.SCALE")),
        optimizer=flat.get("SOLVER.OPT"),
        base_learning_rate=_number(flat.get("SOLVER.BASE_LR")),
        max_epochs=_positive(flat.get("SOLVER.MAX_EPOCH")),
        iterations_per_epoch=iterations_per_epoch,
        warm_up_epochs=warm_up,
        schedule=flat.get("SOLVER.SCHED"),
        milestones=_milestones(flat, warm_up or 0.0),
        mixed_precision=_switch(flat.get("SOLVER.AMP.ENABLED")),
        frozen_layers=_names(flat.get("MODEL.FREEZE_LAYERS")) if "MODEL.FREEZE_LAYERS" in flat else None,
        settings={key: _plain(value) for key, value in flat.items()},
    )


def _strong_baseline(flat: Mapping[str, Any]) -> LogFacts:
    soft = bool(_switch(flat.get("MODEL.NO_MARGIN")))
    triplet = "triplet" in str(flat.get("DATALOADER.SAMPLER", "")) or "triplet" in str(flat.get("MODEL.METRIC_LOSS_TYPE", ""))
    cosine = str(flat.get("MODEL.ID_LOSS_TYPE", "softmax")) in ("arcface", "cosface", "amsoftmax", "circle")
    solver = "SOLVER.STAGE2." if any(key.startswith("SOLVER.STAGE2.") for key in flat) else "SOLVER."
    return LogFacts(
        batch_size=_positive(flat.get(f"{solver}IMS_PER_BATCH")),
        num_instances=_positive(flat.get("DATALOADER.NUM_INSTANCE")),
        feature_dim=_backbone_dim(str(flat.get("MODEL.TRANSFORMER_TYPE") or ""), str(flat.get("MODEL.NAME") or "")),
        initial_std=None if cosine else STRONG_BASELINE_INITIAL_STD,
        margin=(0.0 if soft else _number(flat.get("SOLVER.MARGIN"))) if triplet else None,
        label_smoothing=0.1 if _switch(flat.get("MODEL.IF_LABELSMOOTH")) else 0.0,  # their only value
        cross_entropy_weight=_number(flat.get("MODEL.ID_LOSS_WEIGHT", 1.0)),
        triplet_weight=_number(flat.get("MODEL.TRIPLET_LOSS_WEIGHT", 1.0)) if triplet else 0.0,
        classifier="cosine" if cosine else "Linear",
        cosine_scale=_number(flat.get("SOLVER.COSINE_SCALE")) if cosine else None,
        optimizer=flat.get(f"{solver}OPTIMIZER_NAME"),
        base_learning_rate=_number(flat.get(f"{solver}BASE_LR")),
        max_epochs=_positive(flat.get(f"{solver}MAX_EPOCHS")),
        warm_up_epochs=_number(flat.get(f"{solver}WARMUP_EPOCHS", flat.get(f"{solver}WARMUP_ITERS"))),
        milestones=_numbers(flat.get(f"{solver}STEPS")) if "MODEL.TRANSFORMER_TYPE" not in flat else None,
        schedule="MultiStepLR" if "MODEL.TRANSFORMER_TYPE" not in flat else "CosineAnnealingLR",  # TransReID ignores STEPS
    )


def _milestones(flat: Mapping[str, Any], warm_up: float) -> tuple[float, ...] | None:
    if flat.get("SOLVER.SCHED", "MultiStepLR") != "MultiStepLR":
        return ()
    ours = "VALIDATION.HELD_OUT" in flat  # fast-reid counts STEPS from the end of warm-up, we count from the start
    return tuple(step + (0.0 if ours else warm_up) for step in _numbers(flat.get("SOLVER.STEPS")) or ()) or None


def _instances(flat: Mapping[str, Any]) -> int | None:
    sampler = str(flat.get("DATALOADER.SAMPLER_TRAIN", ""))
    if not sampler:
        return None
    return _positive(flat.get("DATALOADER.NUM_INSTANCE")) if "Identity" in sampler else 1  # plain shuffling: mostly one each


def _weight(flat: Mapping[str, Any], section: str, used: bool) -> float | None:
    if "MODEL.LOSSES.NAME" not in flat:
        return None
    return _number(flat.get(f"MODEL.LOSSES.{section}.SCALE", 1.0)) if used else 0.0


def _backbone_dim(*names: str) -> int | None:
    for name in names:
        plain = name.lower()
        for part, dim in _BACKBONE_DIMS:
            if part in plain:
                return dim
    return None


def _names(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(str(item) for item in value)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _numbers(value: Any) -> tuple[float, ...] | None:
    if isinstance(value, str):  # YACS prints tuples as YAML text: (40, 70)
        value = [part for part in value.strip("()[] ").split(",") if part.strip()]
    if not isinstance(value, (list, tuple)):
        return None
    found = tuple(_number(item) for item in value)
    return tuple(item for item in found if item is not None)


def _plain(value: Any) -> Any:
    """A number or a tuple of numbers that YACS or YAML 1.1 left as text, as such; anything else as it is."""
    if not isinstance(value, str):
        return tuple(value) if isinstance(value, list) else value
    several = _numbers(value) if value.strip()[:1] in ("(", "[") else None
    number = _number(value)
    return several or (value if number is None else number)


def _positive(value: Any) -> int | None:
    found = counted(_number(value))
    return found if found is not None and found > 0 else None


def _share(value: float | None, whole: int | None) -> float | None:
    return None if value is None or not whole else value / whole


def _switch(value: Any) -> bool | None:
    if isinstance(value, str):
        return value.strip().lower() in ("yes", "on", "true", "1")
    return None if value is None else bool(value)
