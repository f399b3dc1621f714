"""Keys and defaults of reid-strong-baseline, TransReID, CLIP-ReID (baseline) and SOLIDER-REID, and what their names mean here.

A key that a file leaves out has its own code base's default, not ours. Facts only: the published `config/defaults.py` of each.
"""

from typing import Any

STRONG_BASELINE, TRANSREID, CLIP_REID, SOLIDER, FAST_REID = (
    "reid-strong-baseline", "transreid", "clip-reid", "solider", "fast-reid",
)  # fmt: skip
CODE_BASES = (STRONG_BASELINE, TRANSREID, CLIP_REID, SOLIDER, FAST_REID)

_SHARED: dict[str, Any] = {
    "MODEL.DEVICE": "cuda", "MODEL.DEVICE_ID": "0", "MODEL.NAME": "resnet50", "MODEL.LAST_STRIDE": 1,
    "MODEL.PRETRAIN_PATH": "", "MODEL.PRETRAIN_CHOICE": "imagenet", "MODEL.NECK": "bnneck", "MODEL.IF_WITH_CENTER": "no",
    "MODEL.METRIC_LOSS_TYPE": "triplet", "MODEL.IF_LABELSMOOTH": "on",
    "INPUT.SIZE_TRAIN": [384, 128], "INPUT.SIZE_TEST": [384, 128], "INPUT.PROB": 0.5, "INPUT.RE_PROB": 0.5,
    "INPUT.PIXEL_MEAN": [0.485, 0.456, 0.406], "INPUT.PIXEL_STD": [0.229, 0.224, 0.225], "INPUT.PADDING": 10,
    "DATASETS.NAMES": "market1501", "DATASETS.ROOT_DIR": "../data",
    "DATALOADER.NUM_WORKERS": 8, "DATALOADER.SAMPLER": "softmax", "DATALOADER.NUM_INSTANCE": 16,
    "SOLVER.OPTIMIZER_NAME": "Adam", "SOLVER.MAX_EPOCHS": 100, "SOLVER.BASE_LR": 3e-4, "SOLVER.BIAS_LR_FACTOR": 1,
    "SOLVER.MOMENTUM": 0.9, "SOLVER.MARGIN": 0.3, "SOLVER.CENTER_LR": 0.5, "SOLVER.CENTER_LOSS_WEIGHT": 0.0005,
    "SOLVER.WEIGHT_DECAY": 0.0005, "SOLVER.WEIGHT_DECAY_BIAS": 0.0005, "SOLVER.GAMMA": 0.1, "SOLVER.STEPS": [40, 70],
    "SOLVER.WARMUP_FACTOR": 0.01, "SOLVER.WARMUP_METHOD": "linear", "SOLVER.CHECKPOINT_PERIOD": 10, "SOLVER.LOG_PERIOD": 100,
    "SOLVER.EVAL_PERIOD": 10, "SOLVER.IMS_PER_BATCH": 64,
    "TEST.IMS_PER_BATCH": 128, "TEST.RE_RANKING": False, "TEST.WEIGHT": "", "TEST.NECK_FEAT": "after", "TEST.FEAT_NORM": "yes",
    "OUTPUT_DIR": "",
}  # fmt: skip

_OF_TRANSFORMERS: dict[str, Any] = {
    "MODEL.ID_LOSS_TYPE": "softmax", "MODEL.ID_LOSS_WEIGHT": 1.0, "MODEL.TRIPLET_LOSS_WEIGHT": 1.0,
    "MODEL.DIST_TRAIN": False, "MODEL.NO_MARGIN": False, "MODEL.COS_LAYER": False,
    "MODEL.DROP_PATH": 0.1, "MODEL.DROP_OUT": 0.0, "MODEL.ATT_DROP_RATE": 0.0, "MODEL.TRANSFORMER_TYPE": "None",
    "MODEL.STRIDE_SIZE": [16, 16], "MODEL.SIE_COE": 3.0, "MODEL.SIE_CAMERA": False, "MODEL.SIE_VIEW": False,
    "SOLVER.LARGE_FC_LR": False, "SOLVER.SEED": 1234, "SOLVER.WARMUP_EPOCHS": 5,
    "SOLVER.COSINE_MARGIN": 0.5, "SOLVER.COSINE_SCALE": 30, "TEST.DIST_MAT": "dist_mat.npy", "TEST.EVAL": False,
}  # fmt: skip

_OF_PARTS: dict[str, Any] = {
    "MODEL.JPM": False, "MODEL.SHIFT_NUM": 5, "MODEL.SHUFFLE_GROUP": 2, "MODEL.DEVIDE_LENGTH": 4, "MODEL.RE_ARRANGE": True,
}  # fmt: skip

DEFAULTS: dict[str, dict[str, Any]] = {
    STRONG_BASELINE: _SHARED | {
        "SOLVER.MAX_EPOCHS": 50, "SOLVER.BIAS_LR_FACTOR": 2, "SOLVER.CLUSTER_MARGIN": 0.3, "SOLVER.RANGE_K": 2,
        "SOLVER.RANGE_MARGIN": 0.3, "SOLVER.RANGE_ALPHA": 0, "SOLVER.RANGE_BETA": 1, "SOLVER.RANGE_LOSS_WEIGHT": 1,
        "SOLVER.WEIGHT_DECAY_BIAS": 0.0, "SOLVER.STEPS": [30, 55], "SOLVER.WARMUP_FACTOR": 1 / 3, "SOLVER.WARMUP_ITERS": 500,
        "SOLVER.CHECKPOINT_PERIOD": 50, "SOLVER.EVAL_PERIOD": 50, "TEST.RE_RANKING": "no", "DATASETS.ROOT_DIR": "./data",
    },
    TRANSREID: _SHARED | _OF_TRANSFORMERS | _OF_PARTS,
    CLIP_REID: _SHARED | _OF_TRANSFORMERS | {
        "MODEL.I2T_LOSS_WEIGHT": 1.0, "SOLVER.WARMUP_LR_INIT": 0.01, "SOLVER.LR_MIN": 0.000016, "SOLVER.WARMUP_ITERS": 500,
    },
    SOLIDER: _SHARED | _OF_TRANSFORMERS | _OF_PARTS | {
        "MODEL.PRETRAIN_HW_RATIO": 1, "MODEL.DROPOUT_RATE": 0.0, "MODEL.REDUCE_FEAT_DIM": False, "MODEL.FEAT_DIM": 512,
        "MODEL.GEM_POOLING": False, "MODEL.STEM_CONV": False, "MODEL.SEMANTIC_WEIGHT": 1.0,
        "DATASETS.ROOT_TRAIN_DIR": "../data", "DATASETS.ROOT_VAL_DIR": "../data", "DATALOADER.REMOVE_TAIL": 0,
        "SOLVER.WARMUP_METHOD": "cosine", "SOLVER.TRP_L2": False,
    },
}  # fmt: skip
"""Code base -> dotted key -> default."""

DATASET_NAMES = {
    "market1501": "Market1501", "dukemtmc": "DukeMTMC", "dukemtmcreid": "DukeMTMC", "duke": "DukeMTMC", "msmt17": "MSMT17",
    "cuhk03": "CUHK03", "veri": "VeRi",
}  # fmt: skip
"""Their names of data sets -> ours, which are fast-reid's."""

TRAINING_IMAGES = {"Market1501": 12_936, "DukeMTMC": 16_522, "MSMT17": 32_621, "CUHK03": 7_365, "VeRi": 37_778}
"""Published numbers of training images, to turn epochs into steps (MSMT17 V1, CUHK03 detected with the new protocol)."""

TIMM_NAMES = {
    "se_resnet50": "legacy_seresnet50", "se_resnet101": "legacy_seresnet101", "se_resnet152": "legacy_seresnet152",
    "se_resnext50": "legacy_seresnext50_32x4d", "se_resnext101": "legacy_seresnext101_32x4d", "senet154": "legacy_senet154",
    "vit_base_patch16_224_TransReID": "vit_base_patch16_224", "vit_small_patch16_224_TransReID": "vit_small_patch16_224",
    "deit_base_patch16_224_TransReID": "deit_base_patch16_224", "deit_small_patch16_224_TransReID": "deit_small_patch16_224",
    "swin_base_patch4_window7_224": "swin_base_patch4_window7_224",
    "swin_small_patch4_window7_224": "swin_small_patch4_window7_224",
    "swin_tiny_patch4_window7_224": "swin_tiny_patch4_window7_224",
    "vit_base": "vit_base_patch16_224", "vit_small": "vit_small_patch16_224",
    "ViT-B-16": "vit_base_patch16_clip_quickgelu_224", "RN50": "resnet50_clip",
}  # fmt: skip
"""Their names of networks -> timm's. Plain and IBN ResNets are built by us."""
