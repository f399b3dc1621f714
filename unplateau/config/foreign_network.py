"""Network, head, losses and images of reid-strong-baseline, TransReID, CLIP-ReID and SOLIDER in our keys."""

import re

from unplateau.config.foreign_defaults import CLIP_REID, SOLIDER, STRONG_BASELINE, TIMM_NAMES
from unplateau.config.foreign_source import ForeignSource, TranslationStep

_RESNET = re.compile(r"(?:resnet|r)(18|34|50|101|152)(_ibn_a|_ibn)?", re.IGNORECASE)
_CLASSIFIERS = {
    "softmax": "Linear", "arcface": "ArcSoftmax", "cosface": "CosSoftmax", "amsoftmax": "CosSoftmax", "circle": "CircleSoftmax",
}  # fmt: skip
_SMOOTHING = 0.1  # fixed in their code
_PIXEL_SCALE = 255
_PLAIN_SAMPLER_MEANING = (
    "which trains with cross-entropy alone, without label smoothing, whatever METRIC_LOSS_TYPE and IF_LABELSMOOTH say. "
    "Use softmax_triplet for the triplet loss."
)


def _backbone(source: ForeignSource) -> None:
    key = "MODEL.TRANSFORMER_TYPE" if source.text("MODEL.NAME") == "transformer" else "MODEL.NAME"
    name = source.text(key)
    resnet = _RESNET.fullmatch(name)
    if resnet:
        source.put("MODEL.BACKBONE.NAME", "build_resnet_backbone", key)
        source.put("MODEL.BACKBONE.DEPTH", f"{resnet[1]}x", key)
        source.put("MODEL.BACKBONE.WITH_IBN", bool(resnet[2]), key)
    elif name in TIMM_NAMES:
        source.put("MODEL.BACKBONE.NAME", TIMM_NAMES[name], key)
        source.notes.append(f"{source.where(key)}: {key} is {name}, taken as timm's {TIMM_NAMES[name]}.")
    else:
        source.refuse(key, "it has no counterpart; name a timm model in MODEL.BACKBONE.NAME of a file of ours")
    source.put("MODEL.BACKBONE.LAST_STRIDE", source.raw("MODEL.LAST_STRIDE"), "MODEL.LAST_STRIDE")


def _pretrained(source: ForeignSource) -> None:
    choice, path = source.text("MODEL.PRETRAIN_CHOICE"), source.text("MODEL.PRETRAIN_PATH")
    if choice == "imagenet" or (choice == "self" and source.code_base == SOLIDER):
        source.put("MODEL.BACKBONE.PRETRAIN", True, "MODEL.PRETRAIN_CHOICE")
        source.put("MODEL.BACKBONE.PRETRAIN_PATH", path, "MODEL.PRETRAIN_PATH")
    elif choice == "self":
        source.put("MODEL.WEIGHTS", path, "MODEL.PRETRAIN_PATH")


def _transformer(source: ForeignSource) -> None:
    if source.code_base == STRONG_BASELINE:
        return
    for theirs, ours in (
        ("MODEL.SIE_CAMERA", "SIE_CAMERA"), ("MODEL.SIE_COE", "SIE_COE"), ("MODEL.STRIDE_SIZE", "STRIDE_SIZE"),
        ("MODEL.DROP_PATH", "DROP_PATH_RATIO"), ("MODEL.DROP_OUT", "DROP_RATIO"), ("MODEL.ATT_DROP_RATE", "ATT_DROP_RATE"),
    ):  # fmt: skip
        source.put(f"MODEL.BACKBONE.{ours}", source.raw(theirs), theirs)
    if source.flag("MODEL.SIE_VIEW"):
        source.refuse("MODEL.SIE_VIEW", "viewpoint embeddings are not supported; only MODEL.SIE_CAMERA is")
    if source.flag("MODEL.COS_LAYER"):
        source.refuse("MODEL.COS_LAYER", "use MODEL.ID_LOSS_TYPE arcface or cosface, or MODEL.HEADS.CLS_LAYER CosineLinear here")


def _parts(source: ForeignSource) -> None:
    if "MODEL.JPM" in source.defaults and source.flag("MODEL.JPM"):
        source.refuse("MODEL.JPM", "the jigsaw branch is not supported, and results with it are not comparable; use False")
    if source.code_base != SOLIDER:
        return
    if source.flag("MODEL.STEM_CONV"):
        source.refuse("MODEL.STEM_CONV", "a convolutional stem is not supported; use False")
    if source.flag("MODEL.GEM_POOLING"):
        source.put("MODEL.HEADS.POOL_LAYER", "GeneralizedMeanPoolingP", "MODEL.GEM_POOLING")
    if source.flag("MODEL.REDUCE_FEAT_DIM"):
        source.put("MODEL.HEADS.EMBEDDING_DIM", source.raw("MODEL.FEAT_DIM"), "MODEL.FEAT_DIM")
    if source.number("MODEL.DROPOUT_RATE") > 0:
        source.refuse("MODEL.DROPOUT_RATE", "dropout in the head is not supported; use 0")
    if source.text("MODEL.TRANSFORMER_TYPE").startswith("swin"):
        key = "MODEL.SEMANTIC_WEIGHT"
        source.notes.append(f"{source.where(key)}: {key} is {source.text(key)}; the semantic controller has no counterpart.")


def _head(source: ForeignSource) -> None:
    neck = source.text("MODEL.NECK")
    if neck not in ("bnneck", "no"):
        source.refuse("MODEL.NECK", "expected bnneck or no")
    source.put("MODEL.HEADS.WITH_BNNECK", neck == "bnneck", "MODEL.NECK")
    source.put("MODEL.HEADS.NECK_FEAT", "before", "MODEL.NECK")
    if source.code_base == STRONG_BASELINE:
        return
    kind = source.text("MODEL.ID_LOSS_TYPE")
    if kind not in _CLASSIFIERS:
        source.refuse("MODEL.ID_LOSS_TYPE", f"expected one of {', '.join(_CLASSIFIERS)}")
        return
    source.put("MODEL.HEADS.CLS_LAYER", _CLASSIFIERS[kind], "MODEL.ID_LOSS_TYPE")
    if kind != "softmax":
        source.put("MODEL.HEADS.MARGIN", source.raw("SOLVER.COSINE_MARGIN"), "SOLVER.COSINE_MARGIN")
        source.put("MODEL.HEADS.SCALE", source.raw("SOLVER.COSINE_SCALE"), "SOLVER.COSINE_SCALE")


def _losses(source: ForeignSource) -> None:
    """SAMPLER chooses the sampler and the loss; with a centre loss, METRIC_LOSS_TYPE does."""
    sampler, metric = source.text("DATALOADER.SAMPLER"), source.text("MODEL.METRIC_LOSS_TYPE")
    with_center = source.flag("MODEL.IF_WITH_CENTER") and source.code_base == STRONG_BASELINE
    names = _loss_names(sampler, metric, with_center=with_center)
    uses_metric = sampler != "softmax" or with_center
    if sampler not in ("softmax", "triplet", "softmax_triplet"):
        source.refuse("DATALOADER.SAMPLER", "expected softmax, triplet or softmax_triplet")
    if uses_metric and metric not in (("center", "triplet_center") if with_center else ("triplet",)):
        source.refuse("MODEL.METRIC_LOSS_TYPE", "cluster, range and other metric losses are not supported; use triplet")
    is_plain = sampler == "softmax"
    source.put("DATALOADER.SAMPLER_TRAIN", "TrainingSampler" if is_plain else "NaiveIdentitySampler", "DATALOADER.SAMPLER")
    source.put("DATALOADER.NUM_INSTANCE", source.raw("DATALOADER.NUM_INSTANCE"), "DATALOADER.NUM_INSTANCE")
    source.put("MODEL.LOSSES.NAME", names, "DATALOADER.SAMPLER")
    smooths = source.text("MODEL.IF_LABELSMOOTH") in ("on", "True") and uses_metric and "CrossEntropyLoss" in names
    source.put("MODEL.LOSSES.CE.EPSILON", _SMOOTHING if smooths else 0.0, "MODEL.IF_LABELSMOOTH")
    if not uses_metric:
        where = source.where("DATALOADER.SAMPLER")
        source.notes.append(f"{where}: DATALOADER.SAMPLER is softmax, {_PLAIN_SAMPLER_MEANING}")


def _loss_names(sampler: str, metric: str, *, with_center: bool) -> list[str]:
    if with_center:
        return ["CrossEntropyLoss", *["TripletLoss"] * ("triplet" in metric), "CenterLoss"]
    return [*["CrossEntropyLoss"] * ("softmax" in sampler), *["TripletLoss"] * ("triplet" in sampler)] or ["CrossEntropyLoss"]


def _loss_weights(source: ForeignSource) -> None:
    source.put("MODEL.LOSSES.TRI.HARD_MINING", True, "SOLVER.MARGIN")
    source.put("MODEL.LOSSES.TRI.MARGIN", source.raw("SOLVER.MARGIN"), "SOLVER.MARGIN")
    source.put("MODEL.LOSSES.CENTER.SCALE", source.raw("SOLVER.CENTER_LOSS_WEIGHT"), "SOLVER.CENTER_LOSS_WEIGHT")
    source.put("MODEL.LOSSES.CENTER.LR", source.raw("SOLVER.CENTER_LR"), "SOLVER.CENTER_LR")
    if source.code_base == STRONG_BASELINE:
        return
    source.put("MODEL.LOSSES.CE.SCALE", source.raw("MODEL.ID_LOSS_WEIGHT"), "MODEL.ID_LOSS_WEIGHT")
    source.put("MODEL.LOSSES.TRI.SCALE", source.raw("MODEL.TRIPLET_LOSS_WEIGHT"), "MODEL.TRIPLET_LOSS_WEIGHT")
    if source.flag("MODEL.NO_MARGIN"):
        source.put("MODEL.LOSSES.TRI.MARGIN", 0.0, "MODEL.NO_MARGIN")
    if source.code_base == SOLIDER and source.flag("SOLVER.TRP_L2"):
        source.put("MODEL.LOSSES.TRI.NORM_FEAT", True, "SOLVER.TRP_L2")
    if source.code_base == CLIP_REID:
        source.notes.append("CLIP-ReID's baseline adds losses on a second, projected feature; here there is one feature.")


def _images(source: ForeignSource) -> None:
    for key in ("INPUT.SIZE_TRAIN", "INPUT.SIZE_TEST"):
        source.put(key, source.raw(key), key)
    for theirs, ours in (("INPUT.PIXEL_MEAN", "MODEL.PIXEL_MEAN"), ("INPUT.PIXEL_STD", "MODEL.PIXEL_STD")):
        values = source.numbers(theirs)
        scale = _PIXEL_SCALE if all(value <= 1 for value in values) else 1
        source.put(ours, tuple(round(value * scale, 6) for value in values), theirs)
    for theirs, ours in (("INPUT.PROB", "FLIP"), ("INPUT.RE_PROB", "REA")):
        source.put(f"INPUT.{ours}.ENABLED", source.number(theirs) > 0, theirs)
        source.put(f"INPUT.{ours}.PROB", source.raw(theirs), theirs)
    source.put("INPUT.PADDING.ENABLED", source.number("INPUT.PADDING") > 0, "INPUT.PADDING")
    source.put("INPUT.PADDING.SIZE", source.raw("INPUT.PADDING"), "INPUT.PADDING")


NETWORK_STEPS: tuple[TranslationStep, ...] = (
    _backbone, _pretrained, _transformer, _parts, _head, _losses, _loss_weights, _images,
)  # fmt: skip
