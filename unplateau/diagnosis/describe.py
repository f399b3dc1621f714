"""A diagnosis as text for people and as plain data for programs."""

from __future__ import annotations

import textwrap
from typing import Any

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.causes import BY_CODE, PLACES
from unplateau.diagnosis.diagnose import Diagnosis
from unplateau.diagnosis.motion_table import motion_table, moved_answer
from unplateau.diagnosis.targets import Row, target_table
from unplateau.diagnosis.track_record import record_of
from unplateau.runs.record import Evidence, Finding, to_plain

_WIDTH = 118
_MOST_NAMES = 6
_OPTION_MEANINGS = {
    "--num-identities": "people in the training set (751 for Market-1501)",
    "--feature-dim": "dimension of the classifier's input (2048 for ResNet-50)",
    "--initial-std": "standard deviation of the classifier's initial weights (fast-reid 0.01, reid-strong-baseline 0.001)",
    "--margin": "margin of the triplet loss, 0 for the soft margin",
    "--max-epochs": "epochs planned",
    "--learning-rate": "peak learning rate",
}


def describe(case: Case, diagnosis: Diagnosis) -> str:
    """Return the whole diagnosis as text: what was read, the answer, the table, findings with their evidence, what is missing."""
    tables = (table_text(target_table(case)), motion_table(case))
    parts = [_source(case), _answer(case, diagnosis), *tables, *_findings(diagnosis), *_missing(diagnosis)]
    return "\n\n".join(part for part in parts if part) + "\n"


def to_json(case: Case, diagnosis: Diagnosis) -> dict[str, Any]:
    """Return the diagnosis as plain data."""
    return {
        "source": case.log.source if case.log else "",
        "trainer": case.log.trainer if case.log else "",
        "facts": to_plain(case.facts),
        "symptoms": list(case.symptoms),
        "measurements": [to_plain(measurement) for measurement in case.measurements],
        "table": [to_plain(row) for row in target_table(case)],
        "findings": [to_plain(finding) for finding in diagnosis.findings],
        "abstentions": [to_plain(abstention) for abstention in diagnosis.abstentions],
        "missing": list(diagnosis.missing),
        "pipeline_broken": diagnosis.is_pipeline_broken,
        "about_hyper_parameters": diagnosis.about_hyper_parameters(),
        "notes": list(case.log.notes) if case.log else [],
    }


def table_text(rows: tuple[Row, ...]) -> str:
    """Return the rows as an aligned text table; empty for no rows."""
    if not rows:
        return ""
    cells = [("metric", "current", "status", "target"), *((row.metric, row.current, row.status, row.target) for row in rows)]
    widths = [max(len(cell[column]) for cell in cells) for column in range(3)]
    lines = ["  ".join([*(text.ljust(width) for text, width in zip(cell, widths, strict=False)), cell[3]]) for cell in cells]
    return "\n".join([lines[0], "-" * min(_WIDTH, max(map(len, lines))), *lines[1:]])


def _source(case: Case) -> str:
    lines = []
    if case.log is not None:
        epochs = "" if case.last_epoch is None else f", up to epoch {case.last_epoch:.0f}"
        lines.append(f"Read: {case.log.source} ({case.log.trainer}, {len(case.log.points)} points{epochs})")
        lines += [f"  note: {note}" for note in case.log.notes]
    if case.measurements:
        names = sorted({m.name for m in case.measurements})
        listed = f" ({', '.join(names)})" if len(names) <= _MOST_NAMES else f" of {len(names)} kinds"
        lines.append(f"Measured: {len(case.measurements)} values{listed}")
    if case.symptoms:
        lines.append(f"Symptoms: {', '.join(case.symptoms)}")
    return "\n".join(lines)


def _findings(diagnosis: Diagnosis) -> list[str]:
    return [_finding(number, finding) for number, finding in enumerate(diagnosis.findings, 1)]


def _finding(number: int, finding: Finding) -> str:
    lines = [f"FINDING {number}: {finding.title}", f"  [{finding.code}]  {finding.severity}, confidence {finding.confidence:.0%}"]
    lines += [_wrapped("evidence", _evidence(evidence)) for evidence in finding.evidence]
    lines += _causes(finding)
    if finding.causes and record_of(finding.code):
        lines.append(_wrapped("track record", record_of(finding.code)))
    if finding.refuted_by:
        lines.append(_wrapped("would be refuted by", finding.refuted_by))
    if finding.next_test:
        lines.append(_wrapped("next test", finding.next_test))
    lines.append(f"  more: unplateau explain {finding.code}")
    return "\n".join(lines)


def _causes(finding: Finding) -> list[str]:
    lines = [_wrapped("where", f"{place}: {BY_CODE[place].meaning}") for place in finding.causes if place in PLACES]
    others = [cause for cause in finding.causes if cause not in PLACES]
    if len(others) == 1:
        return [*lines, _wrapped("possible cause" if lines else "cause", others[0])]
    if others:
        lines.append(_wrapped("possible causes", ", ".join(others) + " (this evidence does not tell them apart)"))
    return lines


def _evidence(evidence: Evidence) -> str:
    return f"{evidence.statement} ({evidence.source})" if evidence.source else evidence.statement


def _wrapped(label: str, text: str) -> str:
    return textwrap.fill(f"{label}: {text}", _WIDTH, initial_indent="  ", subsequent_indent="      ")


def _answer(case: Case, diagnosis: Diagnosis) -> str:
    """The whole story in a few lines, for those who read no further."""
    first = diagnosis.first
    if first is None:
        said = moved_answer(case) or "this alone says nothing about a cause."
        return textwrap.fill(f"ANSWER: {said}", _WIDTH, subsequent_indent="  ")
    sure = "" if first.severity == "info" else f" (confidence {first.confidence:.0%})"
    lines = [
        textwrap.fill(f"ANSWER: {first.title}{sure}.", _WIDTH, subsequent_indent="  "),
        textwrap.fill(diagnosis.about_hyper_parameters(), _WIDTH, initial_indent="  ", subsequent_indent="  "),
    ]
    if first.next_test:
        lines.append(_wrapped("next", first.next_test))
    return "\n".join(lines)


def _missing(diagnosis: Diagnosis) -> list[str]:
    parts = []
    if diagnosis.missing:
        lines = [f"  {name:<18} {_OPTION_MEANINGS.get(name, '')}".rstrip() for name in diagnosis.missing]
        parts.append("MISSING, and would let more rules judge:\n" + "\n".join(lines))
    found = {finding.code for finding in diagnosis.findings}
    abstained = [abstention for abstention in diagnosis.abstentions if abstention.code not in found]
    reasons = dict.fromkeys(f"  {abstention.code}: {abstention.reason}" for abstention in abstained)
    if reasons:
        parts.append("NOT JUDGED:\n" + "\n".join(reasons))
    return parts
