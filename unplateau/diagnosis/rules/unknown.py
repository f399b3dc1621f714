"""Flat, and the cause is not known.

What it is
    The curve is flat or nothing is learned, and no landmark, no measurement and no symptom points at a cause.

Why it happens
    The evidence is too thin: only a log, or facts about head and losses are missing.

How it was seen
    Honest answers are part of the count: a diagnoser that always names something is wrong about healthy runs.

What to do
    Give what is asked for by name, two checkpoints, or let a live training be probed (solve_plateau.py --run D --probe).

Source
    Field notes: order of looking: measurement, pipeline, optimisation, data, capacity, generalisation.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.runs.record import Evidence, Finding

CODE = "unknown"


def unknown(case: Case) -> Finding | None:
    """Return the finding for a case that no rule explains, or None for a case without curves."""
    curve = case.curve("cross_entropy") or case.curve("total") or case.curve("triplet") or case.curve("mAP")
    if curve is None:
        return None
    text = f"{curve.name} {curve.y.min():.3g}-{curve.y.max():.3g}, latest {curve.latest:.3g}: at no landmark that is known"
    return Finding(
        code=CODE,
        title="The cause is not known",
        severity="info",
        confidence=0.5,
        evidence=(Evidence(text, curve.latest, None, curve.where()),),
        refuted_by="",
        next_test="two checkpoints of this run (--checkpoints A B), then the facts asked for below",
    )
