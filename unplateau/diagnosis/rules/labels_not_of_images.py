"""Labels do not belong to their images.

What it is
    Images that look alike, by the colours of clothes or in the features the training began with, do not carry the same label more
    often than by chance.

Why it happens
    Labels shuffled against images (a sort on one side only, an index bug in a loader), or a wrong column of a list file.

How it was seen
    Cysu/open-reid#24: an indexing bug. Networks learn shuffled labels by heart, so the training loss alone does not tell.

What to do
    Look at ten images of one label. Relabel from the file names.

Source
    A simple relative of confident learning (Northcutt et al. 2021). Threshold ours: one and a half times chance. In
    62 healthy runs of our benchmark untrained features gave 1.9 to 6 times chance (benchmarks/results/probe_readings.md).
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Abstained, Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "labels-not-of-images"
_TIMES_CHANCE = 1.5
_FEWEST_IMAGES = 100
_SOURCE = "probe label_agreement, before training"


def judge(case: Case) -> Verdict:
    """Fire where agreement of neighbours' labels is at chance in the features the training began with."""
    seen, chances = case.measured("label_agreement"), case.measured("label_agreement_chance")
    # an image that is drawn twice agrees with itself: images as evaluation prepares them, each once, say more
    views = [view for view in ("plain view, ", "") if f"{view}initial weights" in seen]
    if not views:
        return None
    agreement = max(seen[f"{views[0]}initial weights"], seen.get(f"{views[0]}colours", 0.0))
    chance = chances.get(f"{views[0]}initial weights", chances.get(""))
    if chance is None:
        return None
    if case.measured("label_images").get("", 0.0) < _FEWEST_IMAGES:
        return Abstained("too few images to compare labels of neighbours")
    if agreement > _TIMES_CHANCE * chance:
        return None
    now = case.measured("label_agreement").get("")
    learned = () if now is None else (Evidence(f"{now:.1%} in the features of the checkpoint", now, chance, _SOURCE),)
    return Finding(
        code=CODE,
        title="Images that look alike do not carry the same label",
        severity="data",
        confidence=0.7,
        evidence=(Evidence(f"{agreement:.1%} of the nearest images share the label, {chance:.1%} by chance", agreement, chance,
                           _SOURCE), *learned),
        causes=("labels-shuffled", "blank-images", "pretrained-not-loaded"),
        refuted_by="ten images of one label that show one person",
        next_test="show ten images each of three labels",
        remedies=("relabel", "load_pretrained"),
    )  # fmt: skip
