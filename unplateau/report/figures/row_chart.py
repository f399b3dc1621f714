"""Charts of one row a thing: intervals (a forest plot) and bars. Data in, one SVG string out.

A row is two lines high, its name and value above, its interval or bar below, so that long names need no margin on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from unplateau.report.figures.axis import Axis, axis_of
from unplateau.report.figures.line_chart import Landmark
from unplateau.report.figures.svg import element, label, percent

ROW_HEIGHT = 38
_FOOT = 4


@dataclass(frozen=True)
class Row:
    """One thing: its value, and its interval where it has one."""

    name: str
    value: float
    words: str
    low: float | None = None
    high: float | None = None
    style: str = "c1"


@dataclass(frozen=True)
class RowChart:
    """All that a chart of rows shows. `kind`: "interval" or "bar"."""

    title: str
    rows_shown: tuple[Row, ...]
    kind: str = "bar"
    value_title: str = "value"
    name_title: str = "what"
    landmarks: tuple[Landmark, ...] = ()
    unit: str = ""
    caption: str = ""
    is_wide: bool = False

    @property
    def axis(self) -> Axis:
        ends = [end for row in self.rows_shown for end in (row.value, row.low, row.high) if end is not None]
        return axis_of([*ends, *(mark.value for mark in self.landmarks)], from_zero=self.kind == "bar")

    @property
    def summary(self) -> str:
        """The chart in words, for those who cannot see it."""
        return f"{self.title}. " + "; ".join(f"{row.name}: {row.words}" for row in self.rows_shown) + "."

    @property
    def height(self) -> int:
        """In pixels, without the axis below."""
        return ROW_HEIGHT * max(1, len(self.rows_shown)) + _FOOT

    def columns(self) -> tuple[str, ...]:
        """Return the headings of the table behind the chart."""
        return (self.name_title, self.value_title)

    def rows(self) -> list[list[str]]:
        """Return the table behind the chart."""
        return [[row.name, row.words] for row in self.rows_shown]


def row_svg(chart: RowChart) -> Markup:
    """Return the chart as one SVG element."""
    axis = chart.axis
    parts = [
        *_scale(chart, axis),
        *(part for place, row in enumerate(chart.rows_shown) for part in _row(chart, axis, place, row)),
    ]
    frame: dict[str, str | int] = {
        "class": "chart rows",
        "width": "100%",
        "height": chart.height,
        "role": "img",
        "aria_label": chart.summary,
    }
    return element("svg", frame, parts)


def _scale(chart: RowChart, axis: Axis) -> Iterable[Markup]:
    for value in axis.ticks:
        place = percent(axis.place(value))
        yield element("line", {"class": "grid", "x1": place, "x2": place, "y1": 0, "y2": "100%"})
        words = f"{axis.words(value)}{chart.unit}"
        yield label(words, {"class": "tick", "x": place, "y": "100%", "dy": 16, "text_anchor": "middle"})
    for mark in chart.landmarks:
        place = percent(axis.place(mark.value))
        yield element("line", {"class": "landmark", "x1": place, "x2": place, "y1": 0, "y2": "100%"})


def _row(chart: RowChart, axis: Axis, place: int, row: Row) -> Iterable[Markup]:
    top = place * ROW_HEIGHT
    yield label(row.name, {"class": "row-name", "x": 0, "y": top + 14})
    yield label(row.words, {"class": "row-value", "x": "100%", "y": top + 14, "text_anchor": "end"})
    middle = top + 26
    if chart.kind == "bar":
        width = percent(max(0.0, axis.place(row.value)))
        yield element("rect", {"class": f"bar {row.style}", "x": 0, "y": middle - 4, "width": width, "height": 8, "rx": 2})
        return
    if row.low is not None and row.high is not None and math.isfinite(row.low) and math.isfinite(row.high):
        ends = {"x1": percent(axis.place(row.low)), "x2": percent(axis.place(row.high))}
        yield element("line", {"class": f"interval {row.style}", **ends, "y1": middle, "y2": middle})
    yield element("circle", {"class": f"dot {row.style}", "cx": percent(axis.place(row.value)), "cy": middle, "r": 5})
