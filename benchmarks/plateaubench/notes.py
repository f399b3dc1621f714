"""What a report of PlateauBench is called, and what it says about itself: which parts were tuned on what."""

from __future__ import annotations

from benchmarks.plateaubench.backbones import STANDARD
from benchmarks.plateaubench.data_sets import DATA
from benchmarks.plateaubench.data_sets import STANDARD as STANDARD_DATA

_COUNTED = """\
Top-1: one cause of the first finding is of a right class (causes of one cure are one class). Wrong: said at a confidence of 0.5
or more; sure: 0.75. Baselines: their rules as far as our records hold what they look at, causes mapped in their favour
(`baselines.py`)."""

_STANDARD = f"""\
MiniMarket at 64 x 32, 60 identities, a network of half a million weights, 12 epochs of 15 steps, one thread.

The list of faults was known to those who wrote the rules. Rules were tuned on the results of the calibration half
(`benchmarks/plateaubench/halves.py`) and on healthy runs, and frozen; then the held-out half was looked at once: that first look
is `plateaubench_first_look.md`, and it is the number that says how the diagnosis does on kinds it was not tuned on. Afterwards
rules were mended for kinds of the held-out half too; those kinds stand in the calibration half here (`TUNED_SINCE`), and what is
left of the held-out half is what was right, or silent, at first sight: its row below flatters. What says how the diagnosis does
on kinds it does not know are the files `plateaubench_unseen_*.md`: only the last one for today's rules.

{_COUNTED}"""

_OTHER = """\
{title} at 64 x 32, {trained} identities to train on and {held_out} others to be found, network `{backbone}`, 12 epochs, one
thread; otherwise the standard recipe.

Fault kinds, rules, thresholds and probes are those of the standard list, tuned there on MiniMarket and the standard network.
{counted}"""


def is_standard(data: str, backbone: str) -> bool:
    """Whether this is what everything was tuned on."""
    return (data, backbone) == (STANDARD_DATA, STANDARD)


def note(data: str, backbone: str) -> str:
    """Return what the report says of data, network and tuning."""
    if is_standard(data, backbone):
        return _STANDARD
    chosen = DATA[data]
    return _OTHER.format(
        title=chosen.title, trained=chosen.num_trained, held_out=chosen.num_held_out, backbone=backbone, counted=_COUNTED
    )


def title(data: str, backbone: str, *, is_quick: bool) -> str:
    """Return the heading of the report."""
    others = [DATA[data].title] * (data != STANDARD_DATA) + [f"network {backbone}"] * (backbone != STANDARD)
    return ", ".join(["PlateauBench", *others, *["quick"] * is_quick])


def file_stem(data: str, backbone: str, *, is_quick: bool) -> str:
    """Return the name of the report's files; a part of another network or data set is no other report than all of it."""
    others = [data] * (data != STANDARD_DATA) + [backbone] * (backbone != STANDARD)
    return "_".join(["plateaubench", *(others or ["quick"] * is_quick)])
