"""Figures: round ticks, values at their places, every text escaped, a table behind each chart."""

import math
import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unplateau.report.figures.axis import axis_of, linear_ticks
from unplateau.report.figures.line_chart import Landmark, LineChart, Mark, Series, line_svg
from unplateau.report.figures.row_chart import Row, RowChart, row_svg

HOSTILE = "\"><script>alert(1)</script>&'\x1f"
CURVE = Series("cross-entropy", (1.0, 2.0, 3.0), (6.7, None, 5.0), low=(6.5, 6.0, 4.8), high=(6.9, 6.4, 5.2))


def _chart(**changes: object) -> LineChart:
    return LineChart("Loss", "nats", (CURVE,), landmarks=(Landmark(6.62, "chance"),), marks=(Mark(3, "best"),), **changes)


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_lie_inside_the_axis_in_order_and_are_few(low: float, span: float) -> None:
    axis = axis_of([low, low + span])
    assert axis.low <= low
    assert low + span <= axis.high
    assert 2 <= len(axis.ticks) <= 12
    assert list(axis.ticks) == sorted(set(axis.ticks))
    assert all(-1e-9 <= axis.place(tick) <= 1 + 1e-9 for tick in axis.ticks)


@given(st.floats(1e-9, 1e3), st.floats(1.0, 1e6))
def test_a_logarithmic_axis_places_by_ratio_and_always_has_ticks(low: float, ratio: float) -> None:
    axis = axis_of([low, low * ratio], is_log=True)
    middle = math.sqrt(axis.low * axis.high)
    assert axis.place(middle) == pytest.approx(0.5)
    assert len(axis.ticks) >= 1


@pytest.mark.parametrize("values", [[], [float("nan")], [3.0], [0.0, 0.0], [float("inf"), 1.0], [1e300, -1e300]])
@pytest.mark.parametrize("is_log", [False, True])
def test_odd_values_still_give_an_axis(values: list[float], is_log: bool) -> None:
    axis = axis_of(values, is_log=is_log)
    assert axis.high > axis.low
    assert all(math.isfinite(axis.place(tick)) for tick in axis.ticks)


def test_ticks_count_in_whole_epochs() -> None:
    assert axis_of([1, 3], is_whole=True).ticks == (1.0, 2.0, 3.0)
    assert linear_ticks(1, 120) == (20.0, 40.0, 60.0, 80.0, 100.0, 120.0)


def test_a_line_chart_is_well_formed_and_speaks_for_itself() -> None:
    root = ElementTree.fromstring(str(line_svg(_chart())))
    words = root.attrib["aria-label"]
    assert "Loss" in words
    assert "from 6.7 to 5" in words
    assert "chance at 6.62" in words
    assert root.attrib["role"] == "img"


def test_a_curve_goes_through_its_values_and_breaks_where_one_is_missing() -> None:
    chart = _chart()
    path = next(one for one in ElementTree.fromstring(str(line_svg(chart))).iter() if one.attrib.get("class") == "line")
    places = re.findall(r"([ML])([\d.]+) ([\d.]+)", path.attrib["d"])
    axis = chart.y_axis
    assert [place[0] for place in places] == ["M", "M"]
    assert float(places[0][2]) == pytest.approx(1000 * (1 - axis.place(6.7)), abs=0.1)
    assert float(places[1][1]) == 1000


def test_the_table_behind_a_chart_holds_every_value() -> None:
    other = Series("triplet", (2.0, 4.0), (0.5, 0.25))
    chart = LineChart("Losses", "", (CURVE, other))
    assert chart.columns() == ("epoch", "cross-entropy", "triplet")
    assert chart.rows() == [["1", "6.7", "–"], ["2", "–", "0.5"], ["3", "5", "–"], ["4", "–", "0.25"]]


def test_landmark_names_that_would_lie_on_each_other_share_a_line() -> None:
    marks = (Landmark(6.62, "chance"), Landmark(6.72, "initialisation"), Landmark(0.97, "floor"))
    svg = str(line_svg(LineChart("Loss", "", (CURVE,), landmarks=marks)))
    names = re.findall(r'class="landmark-name"[^>]*>([^<]+)<', svg)
    assert names == ["initialisation 6.72 · chance 6.62", "floor 0.97"]


def test_hostile_names_stay_text() -> None:
    series = Series(HOSTILE, (1.0,), (1.0,))
    line = str(line_svg(LineChart(HOSTILE, HOSTILE, (series,), landmarks=(Landmark(1, HOSTILE),), marks=(Mark(1, HOSTILE),))))
    rows = str(row_svg(RowChart(HOSTILE, (Row(HOSTILE, 1.0, HOSTILE),))))
    assert "<script" not in line + rows
    assert "&lt;script&gt;" in line
    assert "&lt;script&gt;" in rows


def test_an_interval_without_an_end_is_drawn_as_its_value_alone() -> None:
    chart = RowChart("mAP", (Row("a", 0.5, "50 %", -math.inf, math.inf), Row("b", 0.4, "40 %", 0.3, 0.5)), kind="interval")
    root = ElementTree.fromstring(str(row_svg(chart)))
    assert sum("interval" in one.attrib.get("class", "") for one in root.iter()) == 1
    assert sum("dot" in one.attrib.get("class", "") for one in root.iter()) == 2


def test_bars_are_as_long_as_their_values() -> None:
    chart = RowChart("time", (Row("training", 3.0, "3 s"), Row("validation", 1.5, "1.5 s")))
    root = ElementTree.fromstring(str(row_svg(chart)))
    widths = [float(one.attrib["width"].rstrip("%")) for one in root.iter() if one.tag == "rect"]
    assert widths[0] == pytest.approx(2 * widths[1], abs=0.02)
