"""Data, optimiser, schedule and test of reid-strong-baseline, TransReID, CLIP-ReID and SOLIDER in our keys and units."""

from unplateau.config.entries import shown
from unplateau.config.foreign_defaults import SOLIDER, STRONG_BASELINE, TRANSREID
from unplateau.config.foreign_source import ForeignSource, TranslationStep

_LARGE_FC_FACTOR = 2.0  # fixed in their code
_COSINE_WARMUP_FACTOR = 0.01  # TransReID solver/scheduler_factory.py: warmup_lr_init = 0.01 * BASE_LR, WARMUP_FACTOR is not read
_COSINE_FINAL_SHARE = 0.002  # ibid.: lr_min = 0.002 * BASE_LR


def _data(source: ForeignSource) -> None:
    names = source.dataset_names()
    source.put("DATASETS.NAMES", names, "DATASETS.NAMES")
    source.put("DATASETS.TESTS", names, "DATASETS.NAMES")
    source.put_if_set("DATASETS.ROOT", "DATASETS.ROOT_DIR")
    if source.code_base == SOLIDER:
        source.put_if_set("DATASETS.ROOT", "DATASETS.ROOT_TRAIN_DIR")
    source.put_if_set("DATALOADER.NUM_WORKERS", "DATALOADER.NUM_WORKERS")
    source.put_if_set("OUTPUT_DIR", "OUTPUT_DIR")
    if source.code_base != STRONG_BASELINE:
        source.put("SEED", source.raw("SOLVER.SEED"), "SOLVER.SEED")


def _machine(source: ForeignSource) -> None:
    """Read so that they are not listed as lost: they are ours on purpose, which the first note says."""
    for key in ("MODEL.DEVICE_ID", "SOLVER.LOG_PERIOD", "SOLVER.CHECKPOINT_PERIOD", "SOLVER.EVAL_PERIOD", "MODEL.DIST_TRAIN"):
        source.raw(key)
    if source.text("MODEL.DEVICE") == "cpu":
        source.put("MODEL.DEVICE", "cpu", "MODEL.DEVICE")


def _optimiser(source: ForeignSource) -> None:
    source.put("SOLVER.OPT", source.raw("SOLVER.OPTIMIZER_NAME"), "SOLVER.OPTIMIZER_NAME")
    source.put("SOLVER.MAX_EPOCH", source.raw("SOLVER.MAX_EPOCHS"), "SOLVER.MAX_EPOCHS")
    for key in ("BASE_LR", "MOMENTUM", "BIAS_LR_FACTOR", "WEIGHT_DECAY", "WEIGHT_DECAY_BIAS", "IMS_PER_BATCH"):
        source.put(f"SOLVER.{key}", source.raw(f"SOLVER.{key}"), f"SOLVER.{key}")
    source.put("SOLVER.WEIGHT_DECAY_NORM", source.raw("SOLVER.WEIGHT_DECAY"), "SOLVER.WEIGHT_DECAY")
    if source.code_base != STRONG_BASELINE and source.flag("SOLVER.LARGE_FC_LR"):
        source.put("SOLVER.HEADS_LR_FACTOR", _LARGE_FC_FACTOR, "SOLVER.LARGE_FC_LR")


def _schedule(source: ForeignSource) -> None:
    """TransReID is always cosine and reads neither STEPS nor GAMMA; SOLIDER is so unless WARMUP_METHOD says otherwise."""
    method = source.text("SOLVER.WARMUP_METHOD")
    is_cosine = source.code_base == TRANSREID or (source.code_base == SOLIDER and method == "cosine")
    if is_cosine:
        _cosine(source)
        return
    source.put("SOLVER.SCHED", "MultiStepLR", "SOLVER.STEPS")
    source.put("SOLVER.STEPS", source.raw("SOLVER.STEPS"), "SOLVER.STEPS")
    source.put("SOLVER.GAMMA", source.raw("SOLVER.GAMMA"), "SOLVER.GAMMA")
    source.put("SOLVER.WARMUP_FACTOR", source.raw("SOLVER.WARMUP_FACTOR"), "SOLVER.WARMUP_FACTOR")
    source.put("SOLVER.WARMUP_METHOD", method, "SOLVER.WARMUP_METHOD")
    _warmup(source, "SOLVER.WARMUP_EPOCHS" if source.code_base == SOLIDER else "SOLVER.WARMUP_ITERS")


def _cosine(source: ForeignSource) -> None:
    for key in ("SOLVER.STEPS", "SOLVER.GAMMA", "SOLVER.WARMUP_FACTOR"):
        value = shown(source.raw(key))
        if source.is_set(key):
            source.notes.append(f"{source.where(key)}: {key} is {value}, which {source.code_base} does not read: cosine.")
    base = "SOLVER.BASE_LR"
    source.put("SOLVER.SCHED", "CosineAnnealingLR", base)
    source.put("SOLVER.ETA_MIN_LR", _COSINE_FINAL_SHARE * max(source.number(base), 0.0), base)
    source.put("SOLVER.WARMUP_FACTOR", _COSINE_WARMUP_FACTOR, base)
    _warmup(source, "SOLVER.WARMUP_EPOCHS")


def _warmup(source: ForeignSource, key: str) -> None:
    """Their warm-up is counted in epochs, ours in steps."""
    epochs = max(source.number(key), 0.0)
    images, origin = source.images_per_epoch()
    steps = round(epochs * images / max(source.number("SOLVER.IMS_PER_BATCH"), 1))
    source.put("SOLVER.WARMUP_ITERS", steps, key)
    source.notes.append(f"{source.where(key)}: {key} is {epochs:g} epochs, taken as {steps} steps ({images} images, {origin}).")
    if epochs >= source.number("SOLVER.MAX_EPOCHS"):
        source.notes.append(
            f"{source.where(key)}: the warm-up of {epochs:g} epochs is as long as the run, as in {source.code_base}."
        )


def _test(source: ForeignSource) -> None:
    source.put("TEST.IMS_PER_BATCH", source.raw("TEST.IMS_PER_BATCH"), "TEST.IMS_PER_BATCH")
    source.put("TEST.RERANK.ENABLED", source.flag("TEST.RE_RANKING"), "TEST.RE_RANKING")
    source.put("TEST.METRIC", "cosine" if source.flag("TEST.FEAT_NORM") else "euclidean", "TEST.FEAT_NORM")
    if source.text("TEST.NECK_FEAT") == "before" and source.text("MODEL.NECK") == "bnneck":
        where = source.where("TEST.NECK_FEAT")
        source.notes.append(f"{where}: TEST.NECK_FEAT is before; here retrieval ranks the feature after the BNNeck.")
    if source.text("TEST.WEIGHT"):
        source.notes.append(f"{source.where('TEST.WEIGHT')}: TEST.WEIGHT is for scoring; use --eval-only MODEL.WEIGHTS FILE.")


TRAINING_STEPS: tuple[TranslationStep, ...] = (_data, _machine, _optimiser, _schedule, _test)
