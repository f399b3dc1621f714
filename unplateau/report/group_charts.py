"""The charts of several runs: curves over each other, intervals below each other, and what mattered in a search."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from unplateau.report.drawn import drawn
from unplateau.report.figures.line_chart import Landmark, LineChart, Series
from unplateau.report.figures.row_chart import Row, RowChart
from unplateau.report.group_view import Chosen, Compared, GroupRun, GroupView, SelectionView
from unplateau.runs.record import EpochRecord

_NUM_COLOURS = 6
_CONTROL_STYLE = "c7"
Reader = Callable[[EpochRecord], float | None]


def overlay_charts(view: GroupView) -> tuple[LineChart, ...]:
    """Return mAP, one chart a task, then losses and rates, of all runs over each other."""
    charts = [_map_overlay(view, task) for task in _tasks(view)]
    for name, title in (("cross_entropy", "Cross-entropy"), ("triplet", "Triplet loss")):
        charts.append(_overlay(view, title, "unweighted, mean of the epoch", _loss(name), from_zero=True))
    charts.append(_overlay(view, "Learning rate", "logarithmic", _rate, is_log=True))
    return tuple(chart for chart in charts if chart.series)


def interval_charts(view: GroupView) -> tuple[RowChart, ...]:
    """Return the selection as forest plots: each run's mAP, its distance to the winner, and what it gains over the control."""
    selection = view.selection
    if selection is None or not selection.chosen:
        return ()
    scores = tuple(
        Row(one.name, 100 * one.value, _score_words(one), *_ends(one.best_map, 100), style=_style(view, one.run))
        for one in selection.chosen
    )  # fmt: skip
    behind = _differences(view, selection, "behind_winner", sign=-1.0)
    over = _differences(view, selection, "over_control")
    zero = (Landmark(0.0, "equal"),)
    charts = [
        RowChart("mAP at the best epoch", scores, kind="interval", value_title="mAP", name_title="run", unit=" %",
                 caption="95 % intervals over identities. Each epoch was chosen on these identities, so a little optimistic."),
        RowChart(f"Difference from {selection.winner}", behind, kind="interval", value_title="points of mAP", name_title="run",
                 landmarks=zero, caption="Points of mAP, epochs chosen on other identities; left of 0 is worse than the winner."),
        RowChart(f"Gain over {selection.control}", over, kind="interval", value_title="points of mAP", name_title="run",
                 landmarks=zero, caption="Points of mAP; an interval right of 0 helped, one across 0 is not enough evidence."),
    ]  # fmt: skip
    return tuple(chart for chart in charts if chart.rows_shown)


def importance_charts(view: GroupView) -> tuple[RowChart, ...]:
    """Return which keys of a search made its trials differ."""
    if view.search is None or not view.search.importances:
        return ()
    ordered = sorted(view.search.importances.items(), key=lambda item: -item[1].value)
    rows = tuple(
        Row(key, 100 * share.value, f"{share.value:.0%} ({share.low:.0%} to {share.high:.0%})", 100 * share.low, 100 * share.high)
        for key, share in ordered
    )
    caption = "Share of what makes a trial one of the best, with 95 % intervals: which key matters here, not which value is good."
    return (
        RowChart(
            "Importance of the parameters",
            rows,
            kind="interval",
            name_title="key",
            value_title="importance",
            unit=" %",
            caption=caption,
        ),
    )


def _score_words(one: Chosen) -> str:
    interval = (
        f" ({100 * one.best_map.low:.1f} to {100 * one.best_map.high:.1f})" if one.best_map is not None else " (no interval)"
    )
    return f"{100 * one.value:.1f} %{interval}"


def _tasks(view: GroupView) -> list[tuple[str, str]]:
    return [task for task in dict.fromkeys(run.task for run in view.ranked) if task[0]]


def _map_overlay(view: GroupView, task: tuple[str, str]) -> LineChart:
    protocol, dataset = task
    runs = [run for run in view.ranked if run.task == task]
    validated = [epoch.validation for epoch in runs[0].record.epochs if epoch.validation is not None]
    chance = [one.chance_mAP for one in validated if one.chance_mAP is not None]
    where = "held-out identities" if protocol == "held-out" else "the test set (chosen on it: optimistic)"
    landmarks = tuple(Landmark(100 * one, "chance") for one in chance[:1])
    title = f"mAP on {where}, {dataset}" if dataset else f"mAP on {where}"
    return _overlay(view, title, "%", _map, runs=runs, from_zero=True, unit=" %", landmarks=landmarks, is_wide=True)


def _overlay(
    view: GroupView,
    title: str,
    y_title: str,
    read: Reader,
    *,
    runs: Sequence[GroupRun] | None = None,
    **look: object,
) -> LineChart:
    series = [_series(view, run, read) for run in (view.ranked if runs is None else runs)]
    shown = tuple(one for one in series if any(value is not None for value in one.y))
    return LineChart(title, y_title, shown, has_legend=runs is not None, **look)  # type: ignore[arg-type]


def _series(view: GroupView, run: GroupRun, read: Reader) -> Series:
    epochs = drawn(run.record.epochs)
    x, y = tuple(float(epoch.epoch) for epoch in epochs), tuple(read(epoch) for epoch in epochs)
    return Series(run.name, x, y, _style(view, run.name))


def _style(view: GroupView, name: str) -> str:
    """The best runs have colours, the control is dashed, the others are grey until one looks at them."""
    if name == view.control:
        return _CONTROL_STYLE
    names = [run.name for run in view.ranked if run.name != view.control]
    place = names.index(name) if name in names else len(names)
    return f"c{place + 1}" if place < _NUM_COLOURS else "muted"


def _differences(view: GroupView, selection: SelectionView, which: str, *, sign: float = 1.0) -> tuple[Row, ...]:
    rows = []
    for one in selection.chosen:
        compared: Compared | None = getattr(one, which)
        if compared is None:
            continue
        low, high = sorted(_ends(compared.estimate, 100 * sign), key=lambda end: (end is None, end))
        words = f"{100 * sign * compared.value:+.1f}"
        words += f" ({low:+.1f} to {high:+.1f})" if low is not None and high is not None else " (no interval)"
        rows.append(Row(one.name, 100 * sign * compared.value, words, low, high, _style(view, one.run)))
    return tuple(rows)


def _ends(estimate: object, factor: float) -> tuple[float | None, float | None]:
    if estimate is None:
        return None, None
    return factor * estimate.low, factor * estimate.high  # type: ignore[attr-defined]


def _map(epoch: EpochRecord) -> float | None:
    score = epoch.validation.mAP if epoch.validation is not None else None
    return None if score is None else 100 * score  # NaN is written as null


def _rate(epoch: EpochRecord) -> float | None:
    return epoch.learning_rate if epoch.learning_rate > 0 else None


def _loss(name: str) -> Reader:
    return lambda epoch: epoch.losses.get(name)
