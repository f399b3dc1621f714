"""Configurations of other code bases, recognised by their keys and translated with their units. Here: whose, and the report.

What each key becomes: `foreign_network`, `foreign_training`, `foreign_fastreid`. Their keys and defaults: `foreign_defaults`.
"""

from collections.abc import Mapping

from unplateau.base.errors import UsageError
from unplateau.config.entries import COMMAND_LINE, Entry
from unplateau.config.foreign_defaults import CLIP_REID, CODE_BASES, DEFAULTS, FAST_REID, SOLIDER, STRONG_BASELINE, TRANSREID
from unplateau.config.foreign_fastreid import looks_dumped, translate_fastreid
from unplateau.config.foreign_network import NETWORK_STEPS
from unplateau.config.foreign_source import ForeignSource, Translation
from unplateau.config.foreign_training import TRAINING_STEPS
from unplateau.config.suggest import nearest_key
from unplateau.config.tree import ALIASES, leaves
from unplateau.config.unsupported import is_unsupported

__all__ = ["CODE_BASES", "detect", "translate"]

_FEWEST_FOREIGN_KEYS = 2
_TWO_STAGE = ("SOLVER.STAGE1.", "SOLVER.STAGE2.")
_TYPICAL_NAMES = {"swin": SOLIDER, "ViT-B-16": CLIP_REID, "RN50": CLIP_REID}
_REST_NOTE = "Validation every epoch, checkpoints, device and output folder are ours"


def detect(entries: Mapping[str, Entry]) -> str | None:
    """Return the code base whose keys these are, or None for ours.

    A single foreign key is more likely a slip, and is answered with "did you mean".
    """
    if any(key.startswith(_TWO_STAGE) for key in entries):
        return CLIP_REID
    theirs_alone = [key for key in entries if not _is_native(key) and any(key in keys for keys in DEFAULTS.values())]
    ours_alone = [key for key in entries if _is_native(key) and not any(key in keys for keys in DEFAULTS.values())]
    if len(theirs_alone) >= _FEWEST_FOREIGN_KEYS and len(theirs_alone) > len(ours_alone):
        return _nearest_code_base(entries)
    return FAST_REID if looks_dumped(entries) else None


def translate(
    written: Mapping[str, Entry], typed: Mapping[str, Entry], *, code_base: str | None, images_per_epoch: int | None
) -> Translation:
    """Return the entries in our keys and units.

    Args:
        written: the file's entries.
        typed: the command line's; keys the file's code base has are read in its units, the others are ours.
        code_base: whose file it is; None = told by its keys.
        images_per_epoch: training images; None = known from the data set.

    Raises:
        UsageError: `code_base` is not one of `CODE_BASES`.
    """
    if code_base is not None and code_base not in CODE_BASES:
        raise UsageError(f"--from is {code_base}, expected one of {', '.join(CODE_BASES)}.")
    whose = code_base or detect(written)
    if whose is None:
        return Translation({**written, **typed})
    if whose == FAST_REID:
        return translate_fastreid(written, typed, images_per_epoch)
    return _translate_family(whose, written, typed, images_per_epoch)


def _translate_family(
    whose: str, written: Mapping[str, Entry], typed: Mapping[str, Entry], images_per_epoch: int | None
) -> Translation:
    two_stage = next((key for key in written if key.startswith(_TWO_STAGE)), None)
    if two_stage:
        reason = "CLIP-ReID's two-stage prompt learning is not supported. Use its baseline configuration"
        return Translation({}, problems=(f"{written[two_stage].where}: {two_stage} is set, but {reason}.",), code_base=whose)
    theirs = {**written, **{key: entry for key, entry in typed.items() if key in DEFAULTS[whose]}}
    source = ForeignSource(whose, theirs, DEFAULTS[whose], images_per_epoch)
    for step in (*NETWORK_STEPS, *TRAINING_STEPS):
        step(source)
    _report_rest(source)
    ours = {key: entry for key, entry in typed.items() if key not in DEFAULTS[whose]}
    _note_shared(source, typed)
    return source.translation(ours)


def _report_rest(source: ForeignSource) -> None:
    """Keys that were written and that no step read."""
    ignored = []
    for key, entry in source.unread():
        if key in source.defaults:
            ignored.append(key)
            continue
        near = nearest_key(key, source.defaults)
        hint = f" Did you mean {near}?" if near else ""
        source.problems.append(f"{entry.where}: {key} is {entry.shown}, expected a key of {source.code_base}.{hint}")
    listed = f"; without counterpart and left out: {', '.join(ignored)}" if ignored else ""
    source.notes.insert(0, f"Read as a configuration of {source.code_base}, unset keys with its defaults. {_REST_NOTE}{listed}.")


def _note_shared(source: ForeignSource, typed: Mapping[str, Entry]) -> None:
    shared = [key for key in typed if key in source.defaults and key in leaves()]
    if shared:
        source.notes.append(f"{COMMAND_LINE}: {', '.join(shared)} read as {source.code_base} reads it, like the file.")


def _nearest_code_base(entries: Mapping[str, Entry]) -> str:
    """The code base that knows most of the keys; the network's name, then the older one, breaks a tie."""
    known = {whose: sum(key in keys for key in entries) for whose, keys in DEFAULTS.items()}
    best = [whose for whose in (STRONG_BASELINE, TRANSREID, CLIP_REID, SOLIDER) if known[whose] == max(known.values())]
    names = [str(entries[key].raw) for key in ("MODEL.NAME", "MODEL.TRANSFORMER_TYPE") if key in entries]
    typical = [whose for start, whose in _TYPICAL_NAMES.items() if any(name.startswith(start) for name in names)]
    return next((whose for whose in typical if whose in best), best[0])


def _is_native(key: str) -> bool:
    return key in leaves() or key in ALIASES or is_unsupported(key)
