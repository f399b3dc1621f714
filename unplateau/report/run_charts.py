"""The charts of one run: each curve with the values that say something by themselves. What those mean: `curves.landmarks`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from unplateau.diagnosis.landmarks_of import collapsed_triplet, floor, head_starts, uniform
from unplateau.report.drawn import MOST_TERMS, drawn
from unplateau.report.figures.line_chart import Landmark, LineChart, Mark, Series
from unplateau.report.figures.row_chart import Row, RowChart
from unplateau.report.run_view import RunView
from unplateau.report.words import duration_words
from unplateau.runs.record import EpochRecord

_NAMES = {"cross_entropy": "Cross-entropy", "triplet": "Triplet loss", "circle": "Circle loss", "center": "Centre loss"}
Reader = Callable[[EpochRecord], float | None]


def loss_charts(view: RunView) -> tuple[LineChart, ...]:
    """Return one chart a loss term, unweighted, and the weighted total where there are several terms."""
    names = list(dict.fromkeys(name for epoch in view.epochs for name in epoch.losses))[:MOST_TERMS]
    charts = [_loss_chart(view, name) for name in names]
    if len(names) > 1:
        total = _series("total", view.epochs, lambda epoch: epoch.total_loss, "c1")
        charts.append(
            LineChart(
                "Total loss", "weighted sum", (total,), from_zero=True, caption="What the optimiser lowers; its weights flatter."
            )
        )
    return tuple(charts)


def score_charts(view: RunView) -> tuple[LineChart, ...]:
    """Return mAP with its interval, and the rank-k rates, of the validation; never of the test set beside held-out identities."""
    scored = drawn([epoch for epoch in view.epochs if epoch.validation is not None])
    if not scored:
        return ()
    where = "held-out identities" if view.protocol == "held-out" else "the test set (chosen on it: optimistic)"
    first = scored[0].validation
    assert first is not None  # filtered above
    best = view.record.best
    marks = (Mark(best.epoch, f"best, epoch {best.epoch}"),) if best is not None else ()
    chance = () if first.chance_mAP is None else (Landmark(100 * first.chance_mAP, "chance"),)
    band = "The band is the 95 % interval over identities. " if view.intervals else ""
    size = f"{first.num_queries} queries of {first.num_identities} identities, gallery {first.num_gallery}."
    return (
        LineChart(f"mAP on {where}", "%", (_map_series(view, scored),), landmarks=chance, marks=marks, unit=" %", from_zero=True,
                  caption=band + size),
        LineChart(f"Rank-k rates on {where}", "% of queries", _rates(scored), marks=marks, unit=" %", from_zero=True),
    )  # fmt: skip


def motion_charts(view: RunView) -> tuple[LineChart, ...]:
    """Return learning rate, weight motion, gradient norm and training accuracy: is something moving, and how fast."""
    epochs = view.epochs
    accuracy = _series("accuracy", epochs, lambda epoch: _scaled(epoch.accuracy, 100), "c1")
    motion = _measured(
        view, "Weight motion", "relative, first step of the epoch", (("weight_motion", "motion"),), may_be_log=True,
        caption="Exactly 0 means that the optimiser does not touch the weights.",
    )  # fmt: skip
    charts = [
        LineChart("Learning rate", "of the epoch's last step, logarithmic", (_series("rate", epochs, _rate, "c1"),), is_log=True),
        replace(motion, landmarks=(Landmark(1e-3, "healthy, about"),)),
        _measured(view, "Gradient norm", "after clipping, first step", (("gradient_norm", "norm"),), may_be_log=True),
        LineChart("Training accuracy", "% of training images", (accuracy,), unit=" %", from_zero=True),
    ]  # fmt: skip
    return tuple(chart for chart in charts if _has_values(chart))


def triplet_charts(view: RunView) -> tuple[LineChart, ...]:
    """Return the geometry of the triplets: distances, and the share that still teaches something."""
    share = _series("active", view.epochs, lambda epoch: _scaled(epoch.measurements.get("active_triplets"), 100), "c1")
    charts = [
        _measured(view, "Distances in the batch", "mean over anchors",
                  (("d_ap", "hardest positive"), ("d_an", "hardest negative")),
                  caption="Learning shows as the negative moving above the positive; both near 0 is a collapse."),
        LineChart("Active triplets", "% of anchors with a loss above 0", (share,), unit=" %", from_zero=True),
    ]  # fmt: skip
    positives = _measured(view, "Positives for each anchor", "mean", (("positives_per_anchor", "positives"),))
    if len(set(positives.series[0].y)) > 1:  # a PK sampler gives every anchor as many, which is no news
        charts.append(positives)
    return tuple(chart for chart in charts if _has_values(chart))


def time_charts(view: RunView) -> tuple[LineChart | RowChart, ...]:
    """Return throughput, and where the time went."""
    if not view.epochs:
        return ()
    training = sum(epoch.train_seconds for epoch in view.epochs)
    validation = sum(epoch.validation_seconds for epoch in view.epochs)
    total = max(training + validation, 1e-9)
    rows = tuple(
        Row(name, seconds, f"{duration_words(seconds)}, {seconds / total:.0%}", style=style)
        for name, seconds, style in (("training", training, "c1"), ("validation", validation, "c2"))
    )
    speed = _series("images", view.epochs, lambda epoch: epoch.images_per_second, "c1")
    return (
        LineChart("Throughput", "training images a second", (speed,), from_zero=True),
        RowChart("Where the time went", rows, value_title="seconds", name_title="part", unit=" s"),
    )


def _loss_chart(view: RunView, name: str) -> LineChart:
    landmarks: tuple[Landmark, ...] = ()
    caption = ""
    if name == "cross_entropy":
        landmarks, caption = _entropy_landmarks(view)
    if name == "triplet":
        landmarks = (Landmark(collapsed_triplet(view.case), "all in one point"),)
        caption = "At the marked value (the margin, or ln 2 for the soft margin) positive and negative are equally far."
    series = _series(name.replace("_", "-"), view.epochs, lambda epoch: epoch.losses.get(name), "c1")
    return LineChart(
        _NAMES.get(name, name), "unweighted, mean of the epoch", (series,), landmarks=landmarks, from_zero=True, caption=caption
    )


def _entropy_landmarks(view: RunView) -> tuple[tuple[Landmark, ...], str]:
    case = view.case
    chance, lowest = uniform(case), floor(case)
    if chance is None:
        return (), ""
    starts = [start for start in head_starts(case) if start.is_known]
    marks = [Landmark(chance, "chance ln I")]
    marks += [Landmark(starts[0].start.mean, "initialisation")] if starts else []
    marks += [Landmark(lowest, "smoothing floor")] if lowest else []
    flat = "Flat at chance or at the initialisation: nothing is learned."
    done = " At the smoothing floor it is finished, not stuck." if lowest else ""
    return tuple(marks), f"{case.facts.num_identities} identities. {flat}{done}"


def _map_series(view: RunView, scored: Sequence[EpochRecord]) -> Series:
    known = [view.intervals.get(epoch.epoch) for epoch in scored]
    has_band = all(one is not None for one in known)
    return Series(
        "mAP",
        tuple(float(epoch.epoch) for epoch in scored),
        tuple(_scaled(epoch.validation.mAP if epoch.validation else None, 100) for epoch in scored),
        low=tuple(100 * one.low for one in known if one is not None) if has_band else (),
        high=tuple(100 * one.high for one in known if one is not None) if has_band else (),
    )


def _rates(scored: Sequence[EpochRecord]) -> tuple[Series, ...]:
    ranks = list(scored[-1].validation.cmc) if scored[-1].validation else []
    return tuple(
        _series(f"rank-{rank}", scored, lambda epoch, rank=rank: _rate_of(epoch, rank), f"c{number}")  # type: ignore[misc]
        for number, rank in enumerate(ranks[:4], 1)
    )


def _rate_of(epoch: EpochRecord, rank: str) -> float | None:
    return _scaled(epoch.validation.cmc.get(rank), 100) if epoch.validation else None


def _measured(
    view: RunView,
    title: str,
    y_title: str,
    names: Sequence[tuple[str, str]],
    *,
    may_be_log: bool = False,
    caption: str = "",
) -> LineChart:
    """Return the chart of measurements; a value of 0, which says much here, keeps it off a logarithmic scale."""
    series = tuple(
        _series(words, view.epochs, lambda epoch, name=name: epoch.measurements.get(name), f"c{number}")  # type: ignore[misc]
        for number, (name, words) in enumerate(names, 1)
    )
    is_log = may_be_log and all(value is None or value > 0 for one in series for value in one.y)
    scale = ", logarithmic" if is_log else ""
    return LineChart(title, f"{y_title}{scale}", series, is_log=is_log, from_zero=not is_log, caption=caption)


def _series(name: str, epochs: Sequence[EpochRecord], read: Reader, style: str) -> Series:
    epochs = drawn(epochs)
    return Series(name, tuple(float(epoch.epoch) for epoch in epochs), tuple(read(epoch) for epoch in epochs), style)


def _rate(epoch: EpochRecord) -> float | None:
    return epoch.learning_rate if epoch.learning_rate > 0 else None


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value


def _has_values(chart: LineChart) -> bool:
    return any(value is not None for one in chart.series for value in one.y)
