"""Where this program and fast-reid 1.3 read the same key differently: other defaults, other meanings.

The tables are what notes, `unplateau config explain` and the documentation show.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Difference:
    """One key whose default, or whose meaning, is not fast-reid's."""

    key: str
    theirs: Any
    ours: Any
    why: str


DIFFERENT_DEFAULTS = (
    Difference("TEST.EVAL_PERIOD", 20, 1, "early stopping and the best epoch need the mAP of every epoch"),
    Difference("MODEL.DEVICE", "cuda", "auto", "a GPU where there is one, else the processor"),
    Difference(
        "DATALOADER.NUM_WORKERS", 8, -1, "up to 8, fewer on small machines, none on Windows, where starting them costs more"
    ),
    Difference("OUTPUT_DIR", "logs/", "", "logs/<first training set>, such as logs/market1501"),
    Difference(
        "MODEL.BACKBONE.FEAT_DIM", 2048, 0, "read off the network, so it cannot disagree with it; another number is checked"
    ),
    Difference("SOLVER.CHECKPOINT_PERIOD", 20, 1, "an interrupted run loses one epoch at most"),
    Difference("TEST.IMS_PER_BATCH", 64, 128, "evaluation needs no gradients, so twice the images fit"),
)
"""Keys with another default. A test keeps `ours` equal to the schema."""

DIFFERENT_MEANINGS = (
    Difference(
        "SOLVER.STEPS", "epochs counted from the end of warm-up", "absolute epochs",
        "one can read off the file when the rate drops; imports are converted",
    ),
    Difference(
        "SOLVER.FREEZE_ITERS", "0 freezes nothing", "0 freezes for good",
        "FREEZE_LAYERS alone should do what it says",
    ),
    Difference(
        "MODEL.HEADS.NUM_CLASSES", "overwritten by the data's count", "must agree with the data, or be 0",
        "a number that is silently ignored hides mistakes; identities held out of training are not counted",
    ),
    Difference(
        "SOLVER.CLIP_GRADIENTS.CLIP_TYPE", "norm clips each tensor by itself", "norm clips all gradients together",
        "clipping together keeps the direction of the step",
    ),
    Difference(
        "MODEL.LOSSES.CE.EPSILON", "below 0 = adaptive smoothing", "0 or more",
        "adaptive smoothing is not supported",
    ),
)  # fmt: skip
"""Keys that say something else."""


def difference_of(key: str) -> Difference | None:
    """Return how fast-reid's default or meaning of `key` differs, or None."""
    return next((row for row in (*DIFFERENT_DEFAULTS, *DIFFERENT_MEANINGS) if row.key == key), None)


def defaults_note(keys_set: frozenset[str]) -> str | None:
    """Return one sentence on the defaults that hold here because nothing was written, and that are not fast-reid's."""
    silent = [row for row in DIFFERENT_DEFAULTS if row.key not in keys_set]
    if not silent:
        return None
    listed = ", ".join(f"{row.key} {row.ours if row.ours != '' else repr('')} (fast-reid: {row.theirs})" for row in silent)
    return f"Not set, and not fast-reid's default: {listed}. `unplateau config explain KEY` says why."
