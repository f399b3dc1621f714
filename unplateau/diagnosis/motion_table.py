"""What moved between two checkpoints, by layer group, as a table; and the answer where everything moved. Judges no cause."""

from __future__ import annotations

from unplateau.diagnosis.case import Case

_MOST_ROWS = 24
_BUFFERS = "buffers"


def motion_table(case: Case) -> str:
    """Return an aligned table of layer groups; empty where no checkpoints were compared."""
    motion, elements = case.measured("checkpoint_motion"), case.measured("elements")
    if "" not in elements:
        return ""
    groups = [group for group in motion if group not in ("", _BUFFERS)]
    shown = groups[:_MOST_ROWS]
    rows = [_row(case, group, group) for group in shown]
    if len(groups) > len(shown):
        rows.append((f"... and {len(groups) - len(shown)} more", "", "", ""))
    rows.append(_row(case, "", "all weights"))
    if _BUFFERS in motion:
        rows.append(_row(case, _BUFFERS, "batch-norm statistics"))
    cells = [("layers", "numbers", "change / length", "tensors equal to the bit"), *rows]
    widths = [max(len(cell[column]) for cell in cells) for column in range(3)]
    lines = ["  ".join([cell[0].ljust(widths[0]), cell[1].rjust(widths[1]), cell[2].rjust(widths[2]), cell[3]]) for cell in cells]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:], *_alone(case)])


def moved_answer(case: Case) -> str | None:
    """Return what two checkpoints that differ rule out, in a sentence; None where none were compared, or nothing moved."""
    change = case.measured("checkpoint_motion").get("")
    if change is None or not case.has_moved:
        return None
    return (
        f"the weights moved between the two checkpoints, by {change:.2g} of their length: an optimiser that does not hold them, "
        "a rate of 0 and a frozen network are ruled out. Give the log too (--log-file FILE) to learn more."
    )


def _row(case: Case, group: str, name: str) -> tuple[str, str, str, str]:
    change, same = case.measured("checkpoint_motion")[group], case.measured("tensors_unchanged")[group]
    moved = "exactly 0" if same == 1 else f"{change:.2g}"
    return name, f"{case.measured('elements')[group]:,.0f}", moved, f"{same:.0%}"


def _alone(case: Case) -> list[str]:
    found = next((m for m in case.measurements if m.name == "tensors_in_one_only" and m.value), None)
    if found is None:
        return []
    return [f"{found.value:.0f} tensors are in one file only, or differ in shape, and were not compared: {found.note}"]
