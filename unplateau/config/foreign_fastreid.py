"""fast-reid's own files: our keys, but milestones counted from the end of warm-up, and dumps with values filled in by its run."""

from collections.abc import Mapping
from typing import Any

from unplateau.config.entries import Entry, coerce
from unplateau.config.foreign_defaults import FAST_REID
from unplateau.config.foreign_source import Translation, known_images
from unplateau.config.tree import leaves
from unplateau.config.unsupported import UNSUPPORTED

_FEWEST_DUMPED_KEYS = 8  # a dump has all 33 unsupported keys; written by hand are one or two
_MILESTONES = "SOLVER.STEPS"
_SHIFTING_KEYS = (_MILESTONES, "SOLVER.WARMUP_ITERS", "SOLVER.IMS_PER_BATCH", "SOLVER.DELAY_EPOCHS")
_FREEZE_LAYERS = "MODEL.FREEZE_LAYERS"
_NUM_CLASSES = "MODEL.HEADS.NUM_CLASSES"


def looks_dumped(entries: Mapping[str, Entry]) -> bool:
    """Tell whether the entries are a whole configuration that fast-reid wrote."""
    is_ours = any(key in leaves() and leaves()[key].is_ours for key in entries)
    return not is_ours and sum(key in UNSUPPORTED for key in entries) >= _FEWEST_DUMPED_KEYS


def translate_fastreid(written: Mapping[str, Entry], typed: Mapping[str, Entry], images_per_epoch: int | None) -> Translation:
    """Return the entries with milestones as absolute epochs. Keys of the command line are ours and are not converted."""
    entries = dict(written)
    notes = ["Read as a configuration of fast-reid."]
    if _MILESTONES not in typed:
        notes += _convert_milestones(entries, {**written, **typed}, images_per_epoch)
    for key, is_dropped, meaning in (
        (_NUM_CLASSES, _value(written, _NUM_CLASSES) != 0, "filled in by fast-reid; identities are counted here"),
        (_FREEZE_LAYERS, _freezes_nothing(written), "which fast-reid ignores with SOLVER.FREEZE_ITERS 0, so nothing is frozen"),
    ):
        if key in written and key not in typed and is_dropped:
            notes.append(f"{written[key].where}: {key} is {entries.pop(key).shown}, {meaning}.")
    return Translation({**entries, **typed}, tuple(notes), code_base=FAST_REID)


def _freezes_nothing(written: Mapping[str, Entry]) -> bool:
    layers = _value(written, _FREEZE_LAYERS)
    return bool(layers) and (_value(written, "SOLVER.FREEZE_ITERS") == 0 or layers == ("",))


def _convert_milestones(entries: dict[str, Entry], known: Mapping[str, Entry], images_per_epoch: int | None) -> list[str]:
    """fast-reid counts an epoch for the schedule when its last step lies behind warm-up; the epochs before shift all drops."""
    steps, warmup_steps, batch, delay = (_value(known, key) for key in _SHIFTING_KEYS)
    are_numbers = (
        all(isinstance(value, int) for value in (*steps, warmup_steps, batch, delay)) if isinstance(steps, tuple) else False
    )
    if _value(known, "SOLVER.SCHED") != "MultiStepLR" or not are_numbers or batch < 1:
        return []
    names = list(_value(known, "DATASETS.NAMES"))
    images, origin = known_images(names) if images_per_epoch is None else (images_per_epoch, "as given")
    shift = max(warmup_steps // max(images // batch, 1), delay, 0)
    converted = tuple(step + shift for step in steps)
    where = known[_MILESTONES].where if _MILESTONES in known else "fast-reid's default"
    entries[_MILESTONES] = Entry(converted, where)
    return [
        f"{where}: {_MILESTONES} is {list(steps)} counted from the end of warm-up, taken as {list(converted)} absolute "
        f"({warmup_steps} warm-up steps are {shift} whole epochs of {images} images, {origin})."
    ]


def _value(known: Mapping[str, Entry], key: str) -> Any:
    leaf = leaves()[key]
    return coerce(known[key].raw, leaf.annotation) if key in known else leaf.default
