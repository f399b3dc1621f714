"""SOLVER: optimiser, schedule, stopping, precision. Key names follow fast-reid; ours are marked "(ours)"."""

from typing import Literal

from pydantic import AliasChoices, Field

from unplateau.config.sections import Section, Switch, key, section


class MixedPrecision(Switch):
    DTYPE: Literal["auto", "bf16", "fp16"] = key(
        "auto", "(ours) auto = what MEASURE_STEP finds fastest; by rule bf16 where the device computes it natively, else fp16"
    )
    FROZEN_DTYPE: Literal["auto", "same", "bf16"] = key(
        "auto",
        "(ours) number format of layers frozen for good, where the others are computed in single precision: same = theirs; "
        "bf16 = so, also with ENABLED False; auto = what MEASURE_STEP finds fastest with ENABLED True, by rule theirs",
    )


class ClipGradients(Switch):
    CLIP_TYPE: Literal["norm", "value"] = key("norm", "clip the norm over all parameters, or each value")
    CLIP_VALUE: float = key(5.0, "largest norm or value", gt=0)
    NORM_TYPE: float = key(2.0, "order of the norm", gt=0)


class MovingAverage(Switch):
    DECAY: float = key(0.999, "(ours) decay per step of the averaged weights that are validated and saved", gt=0, lt=1)


class Solver(Section):
    AMP: MixedPrecision = section(MixedPrecision, "mixed precision")
    OPT: Literal["Adam", "AdamW", "SGD"] = key("Adam", "optimiser")
    MAX_EPOCH: int = key(120, "epochs to train; the cosine's length, so raising it later lifts the rate again", ge=1, le=100_000)
    STOP_EPOCH: int = key(
        0,
        "(ours) train only this many of MAX_EPOCH's epochs, on MAX_EPOCH's schedule; 0 = all (used by --refit and halving)",
        ge=0,
    )
    BASE_LR: float = key(3e-4, "peak learning rate", ge=0, le=1e3)
    HEADS_LR_FACTOR: float = key(1.0, "learning rate of the head relative to BASE_LR", ge=0)
    BIAS_LR_FACTOR: float = key(1.0, "learning rate of biases relative to BASE_LR", ge=0)
    MOMENTUM: float = key(0.9, "momentum of SGD", ge=0, lt=1)
    NESTEROV: bool = key(False, "Nesterov momentum for SGD")
    WEIGHT_DECAY: float = key(0.0005, "weight decay (coupled in Adam and SGD, decoupled in AdamW)", ge=0)
    WEIGHT_DECAY_NORM: float = key(0.0005, "weight decay of normalisation layers", ge=0)
    WEIGHT_DECAY_BIAS: float = key(0.0005, "weight decay of biases", ge=0)
    SCHED: Literal["MultiStepLR", "CosineAnnealingLR"] = key("MultiStepLR", "shape of the learning rate after warm-up")
    DELAY_EPOCHS: int = key(0, "cosine: epochs at the peak rate before it descends", ge=0)
    GAMMA: float = key(0.1, "multi-step: factor at each milestone", gt=0, le=1)
    STEPS: tuple[int, ...] = key((30, 55), "multi-step: milestones in absolute epochs (fast-reid counts from warm-up's end)")
    ETA_MIN_LR: float = Field(
        1e-7, ge=0, description="cosine: final learning rate (ETA_MIN is read as this key)",
        validation_alias=AliasChoices("ETA_MIN_LR", "ETA_MIN"),
    )  # fmt: skip
    WARMUP_FACTOR: float = key(0.1, "learning rate at the first step relative to the peak", ge=0, le=1)
    WARMUP_ITERS: int = key(1000, "length of warm-up in steps", ge=0)
    WARMUP_METHOD: Literal["linear", "constant"] = key("linear", "shape of warm-up")
    FREEZE_ITERS: int = key(0, "steps during which FREEZE_LAYERS stay frozen; 0 = for good", ge=0)
    CHECKPOINT_PERIOD: int = key(1, "epochs between resume checkpoints; the first epoch always writes one", ge=1)
    IMS_PER_BATCH: int = key(64, "images a step, over all processes", ge=2)
    CLIP_GRADIENTS: ClipGradients = section(ClipGradients, "gradient clipping")
    EMA: MovingAverage = section(MovingAverage, "(ours) moving average of the weights")
    EARLY_STOP_PATIENCE: int = key(10, "(ours) epochs without mAP improvement before it stops; 0 = never", ge=0)
    ON_PLATEAU: Literal["stop", "drop"] = key(
        "stop", "(ours) what patience's end does: stop, or take the next learning-rate drop at once and stop when none is left"
    )
    TARGET_MAP: float = key(0.0, "(ours) stop when the validation mAP reaches this (0-1); 0 = no target", ge=0, le=1)
    TIME_BUDGET_HOURS: float = key(0.0, "(ours) stop, resumable, after this many hours; 0 = no limit", ge=0)
    CHANNELS_LAST: Literal["auto", "on", "off"] = key("auto", "(ours) memory layout of images and convolutions")
    MEASURE_STEP: bool = key(
        True,
        "(ours) time a few steps to choose what AMP.DTYPE, CHANNELS_LAST and CUDA_GRAPH leave on auto; False = choose by rule",
    )
    CUDA_GRAPH: Literal["auto", "on", "off"] = key(
        "auto",
        "(ours) record the network's passes once and replay them, on one GPU; auto = where MEASURE_STEP finds it clearly faster, "
        "and where it is False",
    )
    COMPILE: bool = key(False, "(ours) torch.compile the network")
    MEMORY_PLAN: Literal["auto", "off", "checkpoint", "2", "4", "8", "16", "32"] = key(
        "auto",
        "(ours) a step that runs out of memory: auto = done again with gradient checkpointing, then in 2, 4 ... micro-batches; "
        "off = the run ends; checkpoint or a number = so from the start, and only so",
    )
