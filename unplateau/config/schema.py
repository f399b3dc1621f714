"""The whole configuration: fast-reid's key tree, typed and documented, with a few keys of our own marked "(ours)".

Reading files, inheritance and overrides: `load`. Keys of fast-reid that we refuse: `unsupported`.
"""

from typing import Literal

from unplateau.config.schema_model import IMAGENET_MEAN, Model
from unplateau.config.schema_solver import Solver
from unplateau.config.sections import Names, Section, Switch, key, section


class Flip(Switch):
    PROB: float = key(0.5, "probability of a horizontal flip", ge=0, le=1)


class Padding(Switch):
    MODE: Literal["constant"] = key("constant", "padding is black")
    SIZE: int = key(10, "pixels added on each side before a random crop back to size", ge=0)


class ColorJitter(Switch):
    PROB: float = key(0.5, "probability", ge=0, le=1)
    BRIGHTNESS: float = key(0.15, "largest relative change", ge=0)
    CONTRAST: float = key(0.15, "largest relative change", ge=0)
    SATURATION: float = key(0.1, "largest relative change", ge=0)
    HUE: float = key(0.1, "largest shift, in turns of the colour circle", ge=0, le=0.5)


class RandomErasing(Switch):
    PROB: float = key(0.5, "probability (Zhong et al. 2017)", ge=0, le=1)
    VALUE: tuple[float, float, float] = key(IMAGENET_MEAN, "colour of the erased rectangle on the 0-255 scale")


class Input(Section):
    SIZE_TRAIN: tuple[int, int] = key((256, 128), "height and width in training")
    SIZE_TEST: tuple[int, int] = key((256, 128), "height and width in validation and test")
    FLIP: Flip = section(Flip, "horizontal flip")
    PADDING: Padding = section(Padding, "pad and crop")
    CJ: ColorJitter = section(ColorJitter, "colour jitter")
    REA: RandomErasing = section(RandomErasing, "random erasing")


class Datasets(Section):
    ROOT: str = key("", "(ours) folder of the data sets; empty = $FASTREID_DATASETS, $REID_DATA, then ./datasets")
    NAMES: Names = key(
        ("Market1501",), "training sets by name, or `folder:PATH`, `csv:FILE`, or your own `package.module:function`"
    )
    TESTS: Names = key(("Market1501",), "test sets; the first one's mAP is the run's test mAP")
    COMBINEALL: bool = key(False, "train on query and gallery too (their scores then mean nothing)")


class Dataloader(Section):
    SAMPLER_TRAIN: Literal["TrainingSampler", "NaiveIdentitySampler", "BalancedIdentitySampler"] = key(
        "TrainingSampler", "plain shuffling, PK sampling, or PK sampling with images spread over cameras"
    )
    NUM_INSTANCE: int = key(4, "K: images of each identity in a PK batch", ge=1)
    NUM_WORKERS: int = key(-1, "loader processes for images that are not cached; -1 = up to 8, none on Windows", ge=-1)
    CACHE: Literal["auto", "on", "off"] = key("auto", "(ours) keep decoded images in one memory-mapped file")
    CACHE_DIR: str = key("", "(ours) folder of that file; empty = the user's cache folder")
    CACHE_LIMIT_GB: float = key(8.0, "(ours) with CACHE auto, larger data is decoded on the fly", gt=0)


class Rerank(Switch):
    K1: int = key(20, "size of the reciprocal neighbourhood", ge=1)
    K2: int = key(6, "size of the local expansion", ge=1)
    LAMBDA: float = key(0.3, "weight of the original distance", ge=0, le=1)


class Test(Section):
    EVAL_PERIOD: int = key(1, "epochs between validations (fast-reid: 20)", ge=1)
    IMS_PER_BATCH: int = key(128, "images a forward pass in evaluation", ge=1)
    METRIC: Literal["cosine", "euclidean"] = key("cosine", "similarity that ranks the gallery")
    MEASURE_EMBEDDING: bool = key(
        True,
        "(ours) time a few passes to choose how images are embedded, within what SOLVER.AMP and CHANNELS_LAST leave on auto; "
        "False = as steps are computed",
    )
    FLIP: Switch = section(Switch, "average the features of an image and its mirror image")
    RERANK: Rerank = section(Rerank, "k-reciprocal re-ranking of the test set (Zhong et al. 2017)")


class Validation(Section):
    HELD_OUT: float = key(0.1, "(ours) share of training identities kept out of training and validated on; 0 = none", ge=0, lt=1)
    MIN_IDENTITIES: int = key(20, "(ours) at least so many are held out, where there are three times as many", ge=2)
    SEED: int = key(0, "(ours) seed of the choice of held-out identities; runs that are compared need the same", ge=0)
    ON_TEST: bool = key(False, "(ours) validate on query/gallery instead; every number chosen by it is marked optimistic")
    SCORE_TEST: bool = key(True, "(ours) score the best model once on query/gallery at the end; launchers turn it off")


class Logging(Section):
    TENSORBOARD: bool = key(False, "(ours) also write TensorBoard event files, into `tensorboard/` of the run folder")
    WANDB: bool = key(
        False, "(ours) also write an offline Weights & Biases run, into `wandb/` of the run folder; nothing is sent"
    )


class Config(Section):
    MODEL: Model = section(Model, "network and losses")
    INPUT: Input = section(Input, "image size and augmentation")
    DATASETS: Datasets = section(Datasets, "what is trained and tested on")
    DATALOADER: Dataloader = section(Dataloader, "how batches are drawn and images read")
    SOLVER: Solver = section(Solver, "optimiser, schedule, stopping, precision")
    TEST: Test = section(Test, "retrieval and its scores")
    VALIDATION: Validation = section(Validation, "(ours) what early stopping and the best epoch look at")
    LOGGING: Logging = section(Logging, "(ours) records for other programs; our own do not depend on them")
    OUTPUT_DIR: str = key("", "folder of run folders; empty = logs/<first training set>, such as logs/market1501")
    SEED: int = key(0, "(ours) seed of every random stream", ge=0, lt=2**31)
    CUDNN_BENCHMARK: bool = key(False, "let cuDNN choose its fastest kernels; not reproducible to the bit")
    DETERMINISTIC: bool = key(
        False,
        "(ours) same seed, same bits, on a GPU too: exact kernels only, and none is chosen by the clock; slower",
    )
