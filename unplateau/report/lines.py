"""An epoch and a score in one line of plain text, without anything that draws: that takes long to load."""

import sys
import unicodedata

from unplateau.runs.record import EpochRecord, RetrievalMetrics

SHORT_NAMES = {"cross_entropy": "CE", "triplet": "triplet", "circle": "circle", "center": "centre"}
"""Of the loss terms."""
_STEERING = ("Cc", "Cf", "Cs")  # control and format characters, halves of characters


def epoch_line(record: EpochRecord, max_epochs: int, best_map: float | None) -> str:
    """Return an epoch in one line; percent throughout."""
    width = len(str(max_epochs))
    losses = "  ".join(f"{SHORT_NAMES.get(name, name)} {value:.3f}" for name, value in record.losses.items())
    parts = [f"epoch {record.epoch:{width}d}/{max_epochs}", losses, f"lr {record.learning_rate:.2e}"]
    if record.validation is not None:
        best = "  best so far" if record.is_best else f"  best {best_map:.2%}" if best_map is not None else ""
        parts.append(
            f"{record.validation.protocol} mAP {record.validation.mAP:.2%}  rank-1 {record.validation.cmc['1']:.2%}{best}"
        )
    parts.append(f"{record.seconds:.0f} s")
    return "  ".join(parts)


def metrics_line(metrics: RetrievalMetrics) -> str:
    """Return one score with what it was measured on, for people."""
    options = "".join(f", {name} {value}" for name, value in metrics.options.items())
    options += ", best epoch chosen on it: optimistic" if metrics.chosen_on_it else ""
    rates = "  ".join(f"rank-{k} {rate:.2%}" for k, rate in metrics.cmc.items())
    size = f"{metrics.num_queries} queries of {metrics.num_identities} identities, gallery {metrics.num_gallery}"
    return (
        f"{metrics.protocol} {metrics.dataset}: mAP {metrics.mAP:.2%}  {rates}  mINP {metrics.mINP:.2%}  "
        f"({size}, chance {metrics.chance_mAP:.2%}{options})"
    )


def use_utf8() -> None:
    """Make printing safe on consoles whose code page lacks our characters (Windows): what is missing becomes '?'."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def visible(text: str) -> str:
    r"""Return a text without what steers a terminal or turns its direction: names and files of strangers are quoted in messages.

    >>> print(ascii(visible("run \x1b[31mred\u202e.yml")))
    'run \ufffd[31mred\ufffd.yml'
    """
    return "".join("\ufffd" if unicodedata.category(one) in _STEERING and one not in "\n\t" else one for one in text)
