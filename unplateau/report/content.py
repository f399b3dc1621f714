"""What a page shows, as plain data: headline numbers and sections of blocks. Making HTML of it: `html`. Filling it: `run_page`
for a run, `group_page` for several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from unplateau.report.figures.line_chart import LineChart
from unplateau.report.figures.row_chart import RowChart
from unplateau.runs.record import Finding

Chart = LineChart | RowChart


@dataclass(frozen=True)
class Fact:
    """One headline number."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    order: float | None = None
    """What the column is sorted by; None sorts by the text."""
    href: str = ""
    """A page of ours that the text opens, relative to this one."""
    is_strong: bool = False
    is_number: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under headings."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    is_sortable: bool = False
    picks: bool = False
    """Whether each row can be picked; picked rows alone are drawn in the page's overlays."""
    kind: str = field(default="table", init=False)


@dataclass(frozen=True)
class Charts:
    """Charts side by side."""

    charts: tuple[Chart, ...]
    kind: str = field(default="charts", init=False)


@dataclass(frozen=True)
class Text:
    """Paragraphs."""

    paragraphs: tuple[str, ...]
    kind: str = field(default="text", init=False)


@dataclass(frozen=True)
class Listing:
    """Sentences as a list."""

    items: tuple[str, ...]
    kind: str = field(default="listing", init=False)


@dataclass(frozen=True)
class Findings:
    """What a diagnosis found, with its evidence."""

    findings: tuple[Finding, ...]
    kind: str = field(default="findings", init=False)


@dataclass(frozen=True)
class Answer:
    """One image of a ranked list."""

    title: str
    note: str
    is_right: bool | None
    """None for the query itself."""
    image: str = ""
    """A `data:` address; empty where images were not asked for."""


@dataclass(frozen=True)
class Ranking:
    """One query and its answers, the most alike first."""

    title: str
    query: Answer
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Rankings:
    """Ranked lists below each other."""

    rankings: tuple[Ranking, ...]
    kind: str = field(default="rankings", init=False)


Block = Table | Charts | Text | Listing | Findings | Rankings


@dataclass(frozen=True)
class Section:
    """A titled part of a page."""

    anchor: str
    title: str
    blocks: tuple[Block, ...]
    intro: str = ""


@dataclass(frozen=True)
class Live:
    """Of a page that is written again while something trains: when it was, and within what time it has to be again."""

    written_at: float
    """Seconds since 1970."""
    due_seconds: float
    """No newer page after this time means that the process is gone."""
    ask: str
    """The command that says what became of it."""


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    kind: str
    """ "run", "solutions", "search" or "runs"."""
    verdict: str
    """One sentence."""
    tone: str
    """ "good", "bad", "open" (not decided, or still running)."""
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]
    written: str
    """When and by what, in words."""
    up: str = ""
    """Address of the page above, relative; empty for none."""
    live: Live | None = None
    """None where nothing trains, or nobody writes the page again."""


def text_table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table of plain texts."""
    return Table(caption, tuple(columns), tuple(tuple(Cell(text) for text in row) for row in rows))


def sections_of(*sections: Section) -> tuple[Section, ...]:
    """Return the sections that hold something, without their empty blocks."""
    kept = [Section(one.anchor, one.title, tuple(block for block in one.blocks if _holds(block)), one.intro) for one in sections]
    return tuple(one for one in kept if one.blocks)


def _holds(block: Block) -> bool:
    match block:
        case Table():
            return bool(block.rows)
        case Charts():
            return bool(block.charts)
        case Text():
            return bool(block.paragraphs)
        case Listing():
            return bool(block.items)
        case Findings():
            return bool(block.findings)
        case Rankings():
            return bool(block.rankings)
