"""What keys say together: sampling and batch size, losses and heads, schedule and length, images.

Each check is a pure function from a configuration to issues. What a single key may be is said in the schema.
"""

import math
import re

from unplateau.config.check_training import SCHEDULE_CHECKS
from unplateau.config.issues import Check, Issue, note, problem
from unplateau.config.schema import Config
from unplateau.config.suggest import nearest_word
from unplateau.config.unsupported import UNSUPPORTED_VALUES

LOSSES = ("CrossEntropyLoss", "TripletLoss", "CircleLoss", "CenterLoss")
_PAIR_LOSSES = frozenset({"TripletLoss", "CircleLoss"})
_SCALE_KEYS = {"CrossEntropyLoss": "CE", "TripletLoss": "TRI", "CircleLoss": "CIRCLE", "CenterLoss": "CENTER"}
_OWN_FUNCTION = re.compile(r"[\w.]+:\w+")
_MARKET1501_IDENTITIES = 751
_SMALLEST_SIDE, _LARGEST_SIDE = 16, 2048
_DEPTHS = {
    "build_resnet_backbone": ("18x", "34x", "50x", "101x", "152x"),
    "build_osnet_backbone": ("x1_0", "x0_75", "x0_5", "x0_25"),
    "build_tiny_backbone": (),  # one size only
}


def check(config: Config) -> list[Issue]:
    """Return everything that is wrong or worth saying about a configuration as a whole."""
    return [issue for function in _CHECKS for issue in function(config)]


def _batch(config: Config) -> list[Issue]:
    size, instances = config.SOLVER.IMS_PER_BATCH, config.DATALOADER.NUM_INSTANCE
    keys = ("SOLVER.IMS_PER_BATCH", "DATALOADER.NUM_INSTANCE", "DATALOADER.SAMPLER_TRAIN")
    if config.DATALOADER.SAMPLER_TRAIN == "TrainingSampler":
        return []
    if size < 2 * instances:
        text = f"which holds fewer than 2 identities of DATALOADER.NUM_INSTANCE {instances}, so there are no negatives. "
        return [problem(keys[0], text + f"Use {2 * instances} or more.", *keys[1:])]
    if size % instances:
        below = max(size // instances, 2) * instances
        text = f"which is not a multiple of DATALOADER.NUM_INSTANCE {instances}. Use {below} or {below + instances}."
        return [problem(keys[0], text, *keys[1:])]
    return []


def _positives(config: Config) -> list[Issue]:
    pair_losses = _PAIR_LOSSES.intersection(config.MODEL.LOSSES.NAME)
    if not pair_losses:
        return []
    listed = " and ".join(sorted(pair_losses))
    if config.DATALOADER.SAMPLER_TRAIN == "TrainingSampler":
        text = f"which draws images at random, so {listed} will seldom see two images of one identity. Use NaiveIdentitySampler."
        return [note("DATALOADER.SAMPLER_TRAIN", text, "MODEL.LOSSES.NAME")]
    if config.DATALOADER.NUM_INSTANCE < 2:
        text = f"so {listed} has no positives. Use 4."
        return [problem("DATALOADER.NUM_INSTANCE", text, "MODEL.LOSSES.NAME", "DATALOADER.SAMPLER_TRAIN")]
    return []


def _loss_names(config: Config) -> list[Issue]:
    names = config.MODEL.LOSSES.NAME
    if not names:
        return [problem("MODEL.LOSSES.NAME", f"so nothing is minimised. Use one or more of {', '.join(LOSSES)}.")]
    issues = []
    for name in names:
        if name in LOSSES or _OWN_FUNCTION.fullmatch(name):
            continue
        if reason := UNSUPPORTED_VALUES.get(("MODEL.LOSSES.NAME", name)):
            issues.append(problem("MODEL.LOSSES.NAME", f"of which {name} is refused: {reason}."))
            continue
        near = nearest_word(name, LOSSES)
        hint = f"Did you mean {near}?" if near else "Your own loss is named `package.module:function`."
        issues.append(problem("MODEL.LOSSES.NAME", f"but there is no loss {name}, expected {', '.join(LOSSES)}. {hint}"))
    if len(set(names)) < len(names):
        issues.append(problem("MODEL.LOSSES.NAME", "which names a loss twice. Use its SCALE to weigh it."))
    return issues


def _loss_scales(config: Config) -> list[Issue]:
    names = [name for name in config.MODEL.LOSSES.NAME if name in _SCALE_KEYS]
    scales = [getattr(config.MODEL.LOSSES, _SCALE_KEYS[name]).SCALE for name in names]
    if names and len(names) == len(config.MODEL.LOSSES.NAME) and not any(scales):
        keys = [f"MODEL.LOSSES.{_SCALE_KEYS[name]}.SCALE" for name in names]
        return [problem(keys[0], "and no other loss weighs more, so nothing is learned. Use 1.0.", *keys[1:])]
    return []


def _head(config: Config) -> list[Issue]:
    heads = config.MODEL.HEADS
    issues = []
    if heads.NECK_FEAT == "after" and not heads.WITH_BNNECK:
        issues.append(note("MODEL.HEADS.NECK_FEAT", "but MODEL.HEADS.WITH_BNNECK is False, so before and after are the same."))
    if heads.CLS_LAYER == "Linear":
        return issues + [note("MODEL.HEADS.MARGIN", "which a Linear classifier does not use.")] * (heads.MARGIN > 0)
    if heads.SCALE == 1:
        floor = math.log(1 + (_MARKET1501_IDENTITIES - 1) / math.e)
        text = f"and with cosine logits that keeps the cross-entropy of {_MARKET1501_IDENTITIES} identities above {floor:.1f}. "
        issues.append(note("MODEL.HEADS.SCALE", text + "Use 30 to 64.", "MODEL.HEADS.CLS_LAYER"))
    if heads.MARGIN == 0 and heads.CLS_LAYER != "CosineLinear":
        issues.append(note("MODEL.HEADS.MARGIN", f"so {heads.CLS_LAYER} has no margin.", "MODEL.HEADS.CLS_LAYER"))
    if heads.MARGIN > 0 and heads.CLS_LAYER == "CosineLinear":
        issues.append(note("MODEL.HEADS.MARGIN", "which CosineLinear does not use.", "MODEL.HEADS.CLS_LAYER"))
    return issues


def _backbone(config: Config) -> list[Issue]:
    backbone = config.MODEL.BACKBONE
    issues = []
    depths = _DEPTHS.get(backbone.NAME)
    if backbone.NAME.startswith("build_") and depths is None:
        near = nearest_word(backbone.NAME, _DEPTHS)
        hint = f"Did you mean {near}?" if near else "Use a timm model's name instead."
        issues.append(problem("MODEL.BACKBONE.NAME", f"expected one of {', '.join(_DEPTHS)}, or a timm model's name. {hint}"))
    if depths and backbone.DEPTH not in depths:
        text = (
            f"expected one of {', '.join(depths)} with {backbone.NAME}. Use {nearest_word(backbone.DEPTH, depths) or depths[0]}."
        )
        issues.append(problem("MODEL.BACKBONE.DEPTH", text, "MODEL.BACKBONE.NAME"))
    if backbone.WITH_IBN and backbone.NAME != "build_resnet_backbone":
        text = f"which only build_resnet_backbone has, and MODEL.BACKBONE.NAME is {backbone.NAME}. Use False."
        issues.append(problem("MODEL.BACKBONE.WITH_IBN", text, "MODEL.BACKBONE.NAME"))
    if backbone.SIE_CAMERA and depths is not None:
        issues.append(problem("MODEL.BACKBONE.SIE_CAMERA", f"which only a ViT has, not {backbone.NAME}. Use False."))
    if backbone.PRETRAIN_PATH and not backbone.PRETRAIN:
        text = "which is not read, since MODEL.BACKBONE.PRETRAIN is False. Use MODEL.BACKBONE.PRETRAIN True."
        issues.append(note("MODEL.BACKBONE.PRETRAIN_PATH", text))
    return issues


def _images(config: Config) -> list[Issue]:
    issues = []
    for key, size in (("INPUT.SIZE_TRAIN", config.INPUT.SIZE_TRAIN), ("INPUT.SIZE_TEST", config.INPUT.SIZE_TEST)):
        if not all(_SMALLEST_SIDE <= side <= _LARGEST_SIDE for side in size):
            issues.append(problem(key, f"expected sides of {_SMALLEST_SIDE} to {_LARGEST_SIDE} pixels. Use [256, 128]."))
    for key, values in (("MODEL.PIXEL_MEAN", config.MODEL.PIXEL_MEAN), ("MODEL.PIXEL_STD", config.MODEL.PIXEL_STD)):
        if all(0 < value < 1 for value in values):
            scaled = ", ".join(f"{value * 255:.6g}" for value in values)
            issues.append(problem(key, f"which is on the 0-1 scale, expected the 0-255 scale. Use [{scaled}]."))
    if min(config.MODEL.PIXEL_STD) <= 0:
        issues.append(problem("MODEL.PIXEL_STD", "expected numbers above 0. Use [58.395, 57.12, 57.375]."))
    if not all(0 <= value <= 255 for value in config.INPUT.REA.VALUE):
        issues.append(problem("INPUT.REA.VALUE", "expected a colour on the 0-255 scale. Use [123.675, 116.28, 103.53]."))
    return issues


def _datasets(config: Config) -> list[Issue]:
    issues = []
    if not config.DATASETS.NAMES:
        issues.append(problem("DATASETS.NAMES", "so there is nothing to train on. Use Market1501."))
    if not config.DATASETS.TESTS and config.VALIDATION.SCORE_TEST:
        issues.append(note("DATASETS.TESTS", "so no test mAP is scored at the end."))
    if config.DATASETS.COMBINEALL:
        issues.append(note("DATASETS.COMBINEALL", "so the test identities are trained on and their scores mean nothing."))
    if config.TEST.RERANK.K2 > config.TEST.RERANK.K1:
        issues.append(
            problem("TEST.RERANK.K2", f"expected at most TEST.RERANK.K1 {config.TEST.RERANK.K1}. Use 6.", "TEST.RERANK.K1")
        )
    return issues


_CHECKS: tuple[Check, ...] = (
    _batch, _positives, _loss_names, _loss_scales, _head, _backbone, _images, _datasets, *SCHEDULE_CHECKS,
)  # fmt: skip
