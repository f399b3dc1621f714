"""The table of outcomes, by kind of fault."""

import collections
from pathlib import Path
from typing import Any

from benchmarks.faults.stage import Fault
from benchmarks.machine import commit_line, machine_line
from unplateau.base.files import write_json, write_text


def write_table(folder: Path, faults: tuple[Fault, ...], outcomes: list[dict[str, Any]], *, seed: int) -> None:
    """Write `faults.md` and `faults.json`."""
    troubled = [line for line in outcomes if line["problems"]]
    rows = [_row(fault, [line for line in outcomes if line["fault"] == fault.name]) for fault in faults]
    hangs = sum("had not ended" in problem for line in troubled for problem in line["problems"])
    reasons = sum("reason" in problem for line in troubled for problem in line["problems"])
    text = [
        "# Faults injected into real trainings",
        "",
        f"`python benchmarks/faults/many_faults.py SCRATCH --seed {seed}`; {machine_line()}; {commit_line()}",
        "",
        f"**{len(outcomes)} faults of {sum(bool(row) for row in rows)} kinds: {len(outcomes) - len(troubled)} as promised, "
        f"{hangs} hangs, {reasons} wrong reasons.** As promised: the process ended within its limit and printed no traceback; "
        "the reason it left is a right one; every epoch it had finished is recorded as in the undisturbed run; and the "
        "run that went on ended where the undisturbed one ended: every tensor of both model files, every metric of every epoch, "
        "the test scores.",
        "",
        "| kind | what happens | faults | as promised | reasons left |",
        "|---|---|---|---|---|",
        *(row for row in rows if row),
        *_listed(troubled),
    ]
    write_text(folder / "faults.md", "\n".join(text) + "\n")
    write_json(folder / "faults.json", {"seed": seed, "machine": machine_line(), "outcomes": outcomes})


def _row(fault: Fault, lines: list[dict[str, Any]]) -> str:
    if not lines:
        return ""
    reasons = collections.Counter(line["reason"] for line in lines if line["reason"])
    told = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    right = sum(not line["problems"] for line in lines)
    return f"| {fault.name} | {fault.what} | {len(lines)} | {right} | {told} |"


def _listed(troubled: list[dict[str, Any]]) -> list[str]:
    if not troubled:
        return []
    return [
        "",
        "Not as promised:",
        "",
        *(f"- {one['fault']} {one['round']}, {one['how']}: {'; '.join(one['problems'])}" for one in troubled),
    ]
