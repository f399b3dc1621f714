"""Which epochs of a run are drawn: all, or of very many a part, so that no record makes a page that fills the memory."""

from __future__ import annotations

from collections.abc import Sequence

from unplateau.runs.record import EpochRecord

MOST_DRAWN = 2000
MOST_TERMS = 24
"""Of the loss; each has a chart."""
_BESIDE = 2  # the best and the last


def drawn(epochs: Sequence[EpochRecord]) -> Sequence[EpochRecord]:
    """Return the epochs that a chart and the table behind it show: above `MOST_DRAWN` every so many-th, the best and the last."""
    every = _every(len(epochs))
    if every == 1:
        return epochs
    best = max(range(len(epochs)), key=lambda place: _score(epochs[place]))
    return [epoch for place, epoch in enumerate(epochs) if place % every == 0 or place in (best, len(epochs) - 1)]


def words_of_drawn(num_epochs: int) -> str:
    """Return in words which of so many epochs are drawn; empty where all are.

    >>> words_of_drawn(2000), words_of_drawn(50_000)
    ('', 'Of 50,000 epochs one in 25 is drawn, and the best and the last.')
    """
    every = _every(num_epochs)
    return f"Of {num_epochs:,} epochs one in {every} is drawn, and the best and the last." if every > 1 else ""


def _every(num_epochs: int) -> int:
    return 1 if num_epochs <= MOST_DRAWN + _BESIDE else -(-num_epochs // MOST_DRAWN)


def _score(epoch: EpochRecord) -> float:
    score = epoch.validation.mAP if epoch.validation is not None else None
    return -1.0 if score is None else score  # NaN is written as null
