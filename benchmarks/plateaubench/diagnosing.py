"""Three views of a finished run for the diagnoser: its log alone, with two checkpoints, with probes. No training happens here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.plateaubench.training import case_of, known_before_probing, measurements
from unplateau.diagnosis.case import Case
from unplateau.diagnosis.causes import BY_CODE
from unplateau.diagnosis.diagnose import diagnose
from unplateau.diagnosis.track_record import LIKELY
from unplateau.runs.record import Finding
from unplateau.workflows.probing.probe import sure_finding, with_measured

VIEWS = ("log", "checkpoints", "probes")


@dataclass(frozen=True)
class Answer:
    """What a diagnoser says of a run, in the words of the vocabulary."""

    is_alarm: bool
    """It says that something is wrong."""
    ranked: tuple[tuple[str, ...], ...]
    """Sets of causes, the likeliest first; only what it calls likely."""
    confidence: float
    """Of the first; 0 without an alarm."""
    codes: tuple[str, ...] = ()
    """Names of the findings behind `ranked`."""
    remedies: tuple[str, ...] = ()
    """Of the first finding, the most promising first."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Values that were measured for them."""


def answers(story: dict[str, Any], probed: Case | None = None) -> dict[str, Answer]:
    """Return the product's answer in each view.

    Args:
        story: `training.Story` in plain form.
        probed: what `probed_case` gave, where it was asked already.
    """
    case = case_of(story["log"], story["facts"])
    with_files = replace(case, measurements=measurements(story["checkpoints"]))
    probed = probed_case(story)[0] if probed is None else probed
    return {view: _answer(diagnose(known).findings) for view, known in zip(VIEWS, (case, with_files, probed), strict=True)}


def probed_case(story: dict[str, Any]) -> tuple[Case, float]:
    """Return all that is known once probing stops, as the product stops it, and the processor seconds probing took until then."""
    watched, case, spent = measurements(story["watched"]), known_before_probing(story), 0.0
    for round_ in story["probes"]:
        if sure_finding(diagnose(case)) is not None:
            break
        spent += round_["seconds"]
        # what was seen live stands last and wins: it speaks of the run itself, where a probe does steps of its own
        case = with_measured(case, (*measurements(round_["measurements"]), *watched))
    return case, spent


def classes(causes: tuple[str, ...] | frozenset[str]) -> frozenset[str]:
    """Return the cures of causes: causes of one cure are one class; a word outside the vocabulary is its own."""
    return frozenset(BY_CODE[cause].cure if cause in BY_CODE else cause for cause in causes)


def _answer(findings: tuple[Finding, ...]) -> Answer:
    likely = [finding for finding in findings if finding.severity != "info" and finding.confidence >= LIKELY]
    if not findings or findings[0] not in likely:
        return Answer(False, (), 0.0, tuple(finding.code for finding in findings[:1]))
    first = likely[0]
    codes, causes = tuple(finding.code for finding in likely), tuple(finding.causes for finding in likely)
    return Answer(True, causes, first.confidence, codes, first.remedies, first.settings)
