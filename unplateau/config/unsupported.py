"""Keys and values of fast-reid that are known and not supported: refused with the reason when they are active.

A dumped configuration lists every key, so a key at its inactive default is only noted.
"""

from dataclasses import dataclass
from typing import Any

from unplateau.config.entries import Entry, decode
from unplateau.config.tree import section_names


@dataclass(frozen=True)
class Unsupported:
    """A key we know: the values at which it does nothing (None = it never does anything by itself), and why we lack it."""

    inactive: tuple[Any, ...] | None
    reason: str


_DISTILLATION = "knowledge distillation is not supported; train the student on its own"
_MOCO = "momentum contrast (META_ARCHITECTURE MoCo) is not supported"
_FOCAL = "the focal loss is not supported; use CrossEntropyLoss, or your own loss as `package.module:function`"
_COSFACE = "the pairwise CosFace loss is not supported; use CircleLoss, or MODEL.HEADS.CLS_LAYER CosSoftmax"
_CROP = "random resized crops change a person's proportions; use INPUT.PADDING, the re-ID crop"
_AFFINE = "random affine warping is not supported; use INPUT.PADDING"
_AUTOAUG = "AutoAugment is not supported; use INPUT.CJ and INPUT.REA"
_AUGMIX = "AugMix is not supported; use INPUT.CJ and INPUT.REA"
_PATCH = "random patch is not supported; use INPUT.REA, which hides a part as well"
_ROC = "ROC curves are not drawn; mAP, CMC and mINP are scored"
_EXPANSION = "query expansion is not supported; use TEST.RERANK"
_PRECISE_BN = "precise batch-norm statistics are not supported; use SOLVER.EMA for smoother weights"
_OFF = (False,)

UNSUPPORTED: dict[str, Unsupported] = {
    "MODEL.QUEUE_SIZE": Unsupported(None, _MOCO),
    "MODEL.BACKBONE.WITH_SE": Unsupported(_OFF, "take a timm network with squeeze-and-excitation, such as legacy_seresnet50"),
    "MODEL.BACKBONE.WITH_NL": Unsupported(_OFF, "non-local blocks are not supported; leave them out"),
    "MODEL.LOSSES.FL.ALPHA": Unsupported(None, _FOCAL),
    "MODEL.LOSSES.FL.GAMMA": Unsupported(None, _FOCAL),
    "MODEL.LOSSES.FL.SCALE": Unsupported(None, _FOCAL),
    "MODEL.LOSSES.COSFACE.MARGIN": Unsupported(None, _COSFACE),
    "MODEL.LOSSES.COSFACE.GAMMA": Unsupported(None, _COSFACE),
    "MODEL.LOSSES.COSFACE.SCALE": Unsupported(None, _COSFACE),
    "KD.MODEL_CONFIG": Unsupported(((), ("",), ""), _DISTILLATION),
    "KD.MODEL_WEIGHTS": Unsupported(((), ("",), ""), _DISTILLATION),
    "KD.EMA.ENABLED": Unsupported(_OFF, _DISTILLATION),
    "KD.EMA.MOMENTUM": Unsupported(None, _DISTILLATION),
    "INPUT.CROP.ENABLED": Unsupported(_OFF, _CROP),
    "INPUT.CROP.SIZE": Unsupported(None, _CROP),
    "INPUT.CROP.SCALE": Unsupported(None, _CROP),
    "INPUT.CROP.RATIO": Unsupported(None, _CROP),
    "INPUT.AFFINE.ENABLED": Unsupported(_OFF, _AFFINE),
    "INPUT.AUTOAUG.ENABLED": Unsupported(_OFF, _AUTOAUG),
    "INPUT.AUTOAUG.PROB": Unsupported(None, _AUTOAUG),
    "INPUT.AUGMIX.ENABLED": Unsupported(_OFF, _AUGMIX),
    "INPUT.AUGMIX.PROB": Unsupported(None, _AUGMIX),
    "INPUT.RPT.ENABLED": Unsupported(_OFF, _PATCH),
    "INPUT.RPT.PROB": Unsupported(None, _PATCH),
    "DATALOADER.SET_WEIGHT": Unsupported(((), "", None), "data sets are not drawn with weights; list them in DATASETS.NAMES"),
    "TEST.ROC.ENABLED": Unsupported(_OFF, _ROC),
    "TEST.AQE.ENABLED": Unsupported(_OFF, _EXPANSION),
    "TEST.AQE.ALPHA": Unsupported(None, _EXPANSION),
    "TEST.AQE.QE_TIME": Unsupported(None, _EXPANSION),
    "TEST.AQE.QE_K": Unsupported(None, _EXPANSION),
    "TEST.PRECISE_BN.ENABLED": Unsupported(_OFF, _PRECISE_BN),
    "TEST.PRECISE_BN.DATASET": Unsupported(None, _PRECISE_BN),
    "TEST.PRECISE_BN.NUM_ITER": Unsupported(None, _PRECISE_BN),
}

UNSUPPORTED_VALUES: dict[tuple[str, str], str] = {
    ("MODEL.LOSSES.NAME", "FocalLoss"): _FOCAL,
    ("MODEL.LOSSES.NAME", "Cosface"): _COSFACE,
    ("MODEL.META_ARCHITECTURE", "MoCo"): _MOCO,
    ("MODEL.META_ARCHITECTURE", "Distiller"): _DISTILLATION,
    ("MODEL.META_ARCHITECTURE", "MGN"): "part-based MGN is not supported; use Baseline",
    ("MODEL.META_ARCHITECTURE", "MultiTaskBaseline"): "attribute training is not supported; use Baseline",
    ("MODEL.META_ARCHITECTURE", "AttrBaseline"): "attribute training is not supported; use Baseline",
    ("MODEL.HEADS.NAME", "AttrHead"): "attribute training is not supported; use EmbeddingHead",
    ("MODEL.HEADS.NAME", "ClasHead"): "plain image classification is not supported; use EmbeddingHead",
    ("MODEL.BACKBONE.NORM", "syncBN"): "synchronised batch normalisation is not supported; use BN",
    ("MODEL.BACKBONE.NORM", "GhostBN"): "ghost batch normalisation is not supported; use BN",
    ("MODEL.HEADS.NORM", "syncBN"): "synchronised batch normalisation is not supported; use BN",
    ("MODEL.HEADS.NORM", "GhostBN"): "ghost batch normalisation is not supported; use BN",
    ("DATALOADER.SAMPLER_TRAIN", "SetReWeightSampler"): "data sets are not drawn with weights; use NaiveIdentitySampler",
    ("DATALOADER.SAMPLER_TRAIN", "ImbalancedDatasetSampler"): "it is not supported; use BalancedIdentitySampler",
    ("TEST.METRIC", "jaccard"): "it is k-reciprocal re-ranking; use TEST.RERANK.ENABLED True with cosine",
    ("MODEL.HEADS.POOL_LAYER", "ClipGlobalAvgPool"): "it is not supported; use GlobalAvgPool",
}
"""(key, value) of fast-reid that we know and lack, with the reason."""

_WHOLE_GROUP = Unsupported(((), "", False), "")
_GROUPS = frozenset(key.rsplit(".", depth)[0] for key in UNSUPPORTED for depth in range(1, key.count(".") + 1))


def is_unsupported(key: str) -> bool:
    """Tell whether `key` is fast-reid's and not ours, as a key or as a group of such keys."""
    return key in UNSUPPORTED or (key in _GROUPS and key not in section_names())


def is_active(key: str, entry: Entry) -> bool:
    """Tell whether an unsupported key is set to something that would change the training."""
    row = UNSUPPORTED.get(key, _WHOLE_GROUP)
    if row.inactive is None:
        return False
    value = decode(entry.raw) if isinstance(entry.raw, str) else entry.raw
    value = tuple(value) if isinstance(value, list) else value
    return value is not None and value not in row.inactive


def reason_of(key: str) -> str:
    """Return why `key`, or the first key of the group `key`, is not supported."""
    return next(row.reason for name, row in UNSUPPORTED.items() if name == key or name.startswith(f"{key}."))
