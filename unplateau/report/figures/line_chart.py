"""Line charts: curves over epochs with bands, landmark lines and marks. Data in, one SVG string out.

The SVG's own area is the plot; tick labels lie outside of it (`overflow: visible`), so that text keeps its size at every width
while the curves stretch. Styles are classes: `c1` to `c7` are colours of the page's style sheet, `muted` is grey.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from markupsafe import Markup, escape

from unplateau.report.figures.axis import Axis, axis_of
from unplateau.report.figures.svg import element, label, percent

_STRETCH = 1000  # units of the inner, stretched picture
_CLOSEST_LABELS = 0.065  # of the height: landmark names nearer than this share a line


@dataclass(frozen=True)
class Series:
    """One curve, in the units that are shown."""

    name: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]
    """None leaves a gap."""
    style: str = "c1"
    low: tuple[float | None, ...] = ()
    """Lower ends of the intervals; empty for none."""
    high: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Landmark:
    """A value that says something by itself, drawn as a line across."""

    value: float
    name: str


@dataclass(frozen=True)
class Mark:
    """A place along x, such as the best epoch."""

    x: float
    name: str


@dataclass(frozen=True)
class LineChart:
    """All that a line chart shows."""

    title: str
    y_title: str
    series: tuple[Series, ...]
    x_title: str = "epoch"
    unit: str = ""
    """Appended to values in words, such as " %"."""
    digits: int = 3
    """Significant digits of values in words."""
    landmarks: tuple[Landmark, ...] = ()
    marks: tuple[Mark, ...] = ()
    is_log: bool = False
    from_zero: bool = False
    caption: str = ""
    is_wide: bool = False
    has_legend: bool = True
    """Whether it names its curves itself; several charts of the same curves need one legend only."""
    kind: str = field(default="line", init=False)

    @property
    def x_axis(self) -> Axis:
        return axis_of((x for one in self.series for x in one.x), is_whole=True)

    @property
    def y_axis(self) -> Axis:
        values = [value for one in self.series for value in (*one.y, *one.low, *one.high) if value is not None]
        return axis_of([*values, *(mark.value for mark in self.landmarks)], is_log=self.is_log, from_zero=self.from_zero)

    def words(self, value: float | None) -> str:
        """Return a value as people read it; a dash for none."""
        if value is None or not math.isfinite(value):
            return "–"
        return f"{value:.{self.digits}g}{self.unit}" if abs(value) < 10**self.digits else f"{value:,.0f}{self.unit}"

    @property
    def summary(self) -> str:
        """The chart in words, for those who cannot see it."""
        curves = [f"{one.name} from {self.words(_first(one))} to {self.words(_first_of_last(one))}" for one in self.series[:4]]
        more = [f"and {len(self.series) - 4} more"] if len(self.series) > 4 else []
        lines = [f"{mark.name} at {self.words(mark.value)}" for mark in self.landmarks]
        return f"{self.title}. Line chart over {self.x_title}: " + "; ".join([*curves, *more, *lines]) + "."

    def columns(self) -> tuple[str, ...]:
        """Return the headings of the table behind the chart."""
        return (self.x_title, *(one.name for one in self.series))

    def rows(self) -> list[list[str]]:
        """Return the table behind the chart, one row a place along x."""
        known = [dict(zip(one.x, one.y, strict=True)) for one in self.series]
        places = sorted({x for one in known for x in one})
        return [[f"{x:g}", *(self.words(one.get(x)) for one in known)] for x in places]


def line_svg(chart: LineChart) -> Markup:
    """Return the chart as one SVG element; it needs no script, and its colours come from the page."""
    x_axis, y_axis = chart.x_axis, chart.y_axis
    curves = [_curve(number, one, x_axis, y_axis) for number, one in enumerate(chart.series)]
    stretched = {"class": "curves", "viewBox": f"0 0 {_STRETCH} {_STRETCH}", "preserveAspectRatio": "none", "width": "100%"}
    inner = element("svg", {**stretched, "height": "100%", "aria_hidden": "true"}, reversed(curves))
    frame = {
        "class": "chart", "width": "100%", "height": "100%", "role": "img", "aria_label": chart.summary,
        "data_x": f"{x_axis.low} {x_axis.high}", "data_y": f"{y_axis.low} {y_axis.high} {'log' if y_axis.is_log else 'linear'}",
    }  # fmt: skip
    parts = [*_grid(x_axis, y_axis), *_landmarks(chart, y_axis), *_marks(chart, x_axis), inner, *_titles(chart)]
    return element("svg", frame, parts)


def _first(series: Series) -> float | None:
    return next((value for value in series.y if value is not None), None)


def _first_of_last(series: Series) -> float | None:
    return next((value for value in reversed(series.y) if value is not None), None)


def _grid(x_axis: Axis, y_axis: Axis) -> Iterable[Markup]:
    for value in y_axis.ticks:
        place = percent(1 - y_axis.place(value))
        yield element("line", {"class": "grid", "x1": 0, "x2": "100%", "y1": place, "y2": place})
        yield label(y_axis.words(value), {"class": "tick", "x": -8, "y": place, "dy": "0.32em", "text_anchor": "end"})
    for value in x_axis.ticks:
        place = percent(x_axis.place(value))
        yield label(x_axis.words(value), {"class": "tick", "x": place, "y": "100%", "dy": 18, "text_anchor": "middle"})
    yield element("line", {"class": "axis", "x1": 0, "x2": "100%", "y1": "100%", "y2": "100%"})


def _titles(chart: LineChart) -> Iterable[Markup]:
    yield label(chart.x_title, {"class": "axis-title", "x": "100%", "y": "100%", "dy": 34, "text_anchor": "end"})


def _landmarks(chart: LineChart, y_axis: Axis) -> Iterable[Markup]:
    for mark in chart.landmarks:
        place = percent(1 - y_axis.place(mark.value))
        yield element("line", {"class": "landmark", "x1": 0, "x2": "100%", "y1": place, "y2": place})
    for group in _grouped(chart.landmarks, y_axis):
        words = " · ".join(f"{mark.name} {chart.words(mark.value)}" for mark in group)
        share = 1 - y_axis.place(group[0].value)
        dy = -5 if share > 0.1 else 14  # below the line where there is no room above
        yield label(words, {"class": "landmark-name", "x": "100%", "y": percent(share), "dy": dy, "text_anchor": "end"})


def _grouped(landmarks: Sequence[Landmark], axis: Axis) -> list[list[Landmark]]:
    """Landmarks whose names would lie on each other stand in one line, the highest first."""
    groups: list[list[Landmark]] = []
    for mark in sorted(landmarks, key=lambda mark: -mark.value):
        if groups and axis.place(groups[-1][0].value) - axis.place(mark.value) < _CLOSEST_LABELS:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    return groups


def _marks(chart: LineChart, x_axis: Axis) -> Iterable[Markup]:
    for mark in chart.marks:
        share = x_axis.place(mark.x)
        yield element("line", {"class": "mark", "x1": percent(share), "x2": percent(share), "y1": 0, "y2": "100%"})
        anchor = "end" if share > 0.5 else "start"
        yield label(mark.name, {"class": "mark-name", "x": percent(share), "y": -5, "text_anchor": anchor})


def _curve(number: int, series: Series, x_axis: Axis, y_axis: Axis) -> Markup:
    parts = [element("title", {}, (escape(series.name),))]
    if series.low and series.high:
        parts.append(_band(series, x_axis, y_axis))
    parts.append(element("path", {"class": "line", "d": _path(_places(series.x, series.y, x_axis, y_axis))}))
    return element("g", {"class": f"series {series.style}", "data_series": number}, parts)


def _band(series: Series, x_axis: Axis, y_axis: Axis) -> Markup:
    upper = [place for place in _places(series.x, series.high, x_axis, y_axis) if place is not None]
    lower = [place for place in _places(series.x, series.low, x_axis, y_axis) if place is not None]
    points = " ".join(f"{x:.0f},{y:.1f}" for x, y in (*upper, *reversed(lower)))
    return element("polygon", {"class": "band", "points": points})


def _places(x: Sequence[float], y: Sequence[float | None], x_axis: Axis, y_axis: Axis) -> list[tuple[float, float] | None]:
    return [
        (_STRETCH * x_axis.place(one), _STRETCH * (1 - y_axis.place(value)))
        if value is not None and math.isfinite(value) else None
        for one, value in zip(x, y, strict=True)
    ]  # fmt: skip


def _path(places: Sequence[tuple[float, float] | None]) -> str:
    """A line through the places, broken where one is missing; a lone place becomes a dot."""
    words = []
    for before, place in pairwise([None, *places]):
        if place is not None:
            words.append(f"{'M' if before is None else 'L'}{place[0]:.0f} {place[1]:.1f}" + ("h0" if before is None else ""))
    return "".join(words)
