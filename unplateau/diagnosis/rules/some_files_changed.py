"""A part of the files is of another kind than the others: in BGR, negative, or upside down.

What it is
    Two images of one label should show the same clothes. Among files that evaluation and training read alike, pairs are counted
    that fit clearly better once the channels of one are reversed, its colours are inverted, or it is turned over.

Why it happens
    Two programs that wrote the files, one with OpenCV and one with PIL; scans and photographs; files that another tool rotated by
    their EXIF tag; a decoder that fails over to another for some of them.

How it was seen
    OpenCV reads and writes BGR, PIL RGB. Half of a set written by each trains, and stays far below what it could reach.

What to do
    Show twenty files of five people side by side, sorted by where they come from.

Source
    Colours of clothes: Gray and Tao 2008. Thresholds ours: of Market-1501's pairs 0.0 % fit better in BGR, 4.7 % where half of
    the files are changed so; as negatives 0.0 and 35 %, upside down 0.5 and 21 %.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "files-of-two-kinds"
_LEAST = {"channels reversed": 0.02, "negative": 0.06, "upside down": 0.06}  # of the pairs
_CAUSES = {"channels reversed": ("channels-swapped", "images-corrupted")}


def judge(case: Case) -> Verdict:
    """Fire where many pairs of one label fit better once one of the two is changed."""
    shares = case.measured("pairs_fit_changed")
    off = {change: share for change, share in shares.items() if share >= _LEAST.get(change, 1.0)}
    if not off:
        return None
    best = max(off, key=lambda change: off[change] / _LEAST[change])
    text = f"{off[best]:.0%} of the pairs of one label fit clearly better with one of the two {best}"
    return Finding(
        code=CODE,
        title=f"Some files are of another kind than the others: {best}",
        severity="pipeline",
        confidence=0.9,
        evidence=(Evidence(text, off[best], 0.0, "probe plain view"),),
        causes=_CAUSES.get(best, ("images-corrupted",)),
        refuted_by="twenty files of five people that show them in the same colours and upright",
        next_test="show twenty files of five people side by side, sorted by where they come from",
        remedies=("clean_images", *(("repair_normalisation",) if best in _CAUSES else ())),
    )
