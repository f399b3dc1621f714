"""MODEL: backbone, head and losses. Key names and meanings follow fast-reid; ours are marked "(ours)"."""

from typing import Literal

from unplateau.config.sections import Names, Section, key, section

IMAGENET_MEAN = (123.675, 116.28, 103.53)  # 0.485, 0.456, 0.406 on the 0-255 scale
IMAGENET_STD = (58.395, 57.12, 57.375)  # 0.229, 0.224, 0.225


class Backbone(Section):
    NAME: str = key(
        "build_resnet_backbone",
        "build_resnet_backbone, build_osnet_backbone, any timm model name, or your own `package.module:function`",
    )
    DEPTH: str = key("50x", "ResNet: 18x, 34x, 50x, 101x, 152x; OSNet: x1_0, x0_75, x0_5, x0_25")
    LAST_STRIDE: Literal[1, 2] = key(1, "stride of the last ResNet stage; 1 doubles the feature map")
    FEAT_DIM: int = key(0, "channels of the backbone's output; 0 = what the network has, another number is checked", ge=0)
    NORM: Literal["BN"] = key("BN", "normalisation of the backbone")
    WITH_IBN: bool = key(False, "instance-batch normalisation in the first three ResNet stages (IBN-a)")
    SIE_CAMERA: bool = key(False, "(ours) add a learned camera embedding to a ViT's tokens (TransReID's SIE)")
    SIE_COE: float = key(3.0, "weight of the camera embedding", ge=0)
    STRIDE_SIZE: tuple[int, int] = key((16, 16), "stride of a ViT's patch embedding")
    DROP_PATH_RATIO: float = key(0.1, "stochastic depth of a ViT", ge=0, lt=1)
    DROP_RATIO: float = key(0.0, "dropout of a ViT", ge=0, lt=1)
    ATT_DROP_RATE: float = key(0.0, "attention dropout of a ViT", ge=0, lt=1)
    PRETRAIN: bool = key(False, "start from pretrained weights: PRETRAIN_PATH, or timm's own where it is empty")
    PRETRAIN_PATH: str = key("", "local weight file (.pth, .pt, .tar, .safetensors); plain tensors only")
    PRETRAIN_MIN_COVERAGE: float = key(0.9, "(ours) share of backbone parameters that must load, else it stops", ge=0, le=1)


class Heads(Section):
    NAME: Literal["EmbeddingHead"] = key("EmbeddingHead", "kind of head")
    NORM: Literal["BN"] = key("BN", "normalisation of the BNNeck")
    NUM_CLASSES: int = key(0, "training identities; 0 = counted from the data, another number must agree with it", ge=0)
    EMBEDDING_DIM: int = key(0, "dimension of an added linear reduction; 0 = none", ge=0)
    WITH_BNNECK: bool = key(False, "batch normalisation between feature and classifier (Luo et al. 2019)")
    NECK_FEAT: Literal["before", "after"] = key("before", "which feature the triplet loss sees: before or after the BNNeck")
    POOL_LAYER: Literal[
        "GlobalAvgPool", "FastGlobalAvgPool", "GlobalMaxPool", "AdaptiveAvgMaxPool",
        "GeneralizedMeanPooling", "GeneralizedMeanPoolingP", "Identity",
    ] = key("GlobalAvgPool", "pooling of the feature map; ...PoolingP learns its exponent")  # fmt: skip
    CLS_LAYER: Literal["Linear", "CosineLinear", "ArcSoftmax", "CosSoftmax", "CircleSoftmax"] = key(
        "Linear", "classifier; CosineLinear (ours) is cosine logits times SCALE without a margin"
    )
    MARGIN: float = key(0.0, "margin of ArcSoftmax, CosSoftmax, CircleSoftmax", ge=0)
    SCALE: float = key(1.0, "scale of cosine logits (30 to 64 is usual; 1 keeps the loss above 5.6 for 751 identities)", gt=0)


class CrossEntropy(Section):
    EPSILON: float = key(0.0, "label smoothing", ge=0, lt=1)
    ALPHA: float = key(0.2, "of fast-reid's adaptive smoothing, which is not supported; has no effect", ge=0)
    SCALE: float = key(1.0, "weight of this loss in the total", ge=0)


class Triplet(Section):
    MARGIN: float = key(0.3, "margin in units of distance; 0 = soft margin, log(1 + exp(d_ap - d_an))", ge=0)
    NORM_FEAT: bool = key(False, "distances between unit-length features")
    HARD_MINING: bool = key(False, "hardest positive and negative of the batch; off = weighted mean (Ristani 2018)")
    SCALE: float = key(1.0, "weight of this loss in the total", ge=0)


class Circle(Section):
    MARGIN: float = key(0.25, "relaxation margin m of the circle loss", ge=0, lt=1)
    GAMMA: float = key(128.0, "scale of the circle loss", gt=0)
    SCALE: float = key(1.0, "weight of this loss in the total", ge=0)


class Center(Section):
    SCALE: float = key(0.0005, "(ours) weight of this loss in the total", ge=0)
    LR: float = key(0.5, "(ours) learning rate of the centres, updated by SGD", gt=0)


class Losses(Section):
    NAME: Names = key(
        ("CrossEntropyLoss",),
        "losses in use: CrossEntropyLoss, TripletLoss, CircleLoss, CenterLoss, or your own `package.module:function`",
    )
    CE: CrossEntropy = section(CrossEntropy, "cross-entropy over training identities")
    TRI: Triplet = section(Triplet, "triplet loss")
    CIRCLE: Circle = section(Circle, "pairwise circle loss")
    CENTER: Center = section(Center, "centre loss (Wen 2016)")


class Model(Section):
    DEVICE: str = key("auto", "auto (a GPU where there is one), cpu, cuda, cuda:1, mps")
    META_ARCHITECTURE: Literal["Baseline"] = key("Baseline", "kept for fast-reid's files")
    FREEZE_LAYERS: Names = key(
        (), "module name prefixes that are not trained during the first SOLVER.FREEZE_ITERS steps (0 = for good)"
    )
    BACKBONE: Backbone = section(Backbone, "the network that makes feature maps")
    HEADS: Heads = section(Heads, "pooling, BNNeck, classifier")
    LOSSES: Losses = section(Losses, "what is minimised")
    WEIGHTS: str = key("", "whole-model weights to start from or to score with --eval-only; ours or another trainer's")
    PIXEL_MEAN: tuple[float, float, float] = key(IMAGENET_MEAN, "mean of the channels R, G, B on the 0-255 scale")
    PIXEL_STD: tuple[float, float, float] = key(IMAGENET_STD, "standard deviation of the channels on the 0-255 scale")
