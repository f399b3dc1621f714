"""The page of several runs: solutions that were tried, a search, or simply a folder of runs. Its charts: `group_charts`."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from unplateau.config.delta import flatten
from unplateau.report.content import Cell, Charts, Fact, Listing, Page, Section, Table, sections_of
from unplateau.report.group_ahead import ahead_facts, ahead_section
from unplateau.report.group_charts import importance_charts, interval_charts, overlay_charts
from unplateau.report.group_view import GroupRun, GroupView, SelectionView
from unplateau.report.lines import metrics_line
from unplateau.report.run_verdict import test_note
from unplateau.report.words import duration_words, share_words, shown
from unplateau.runs.record import EpochRecord
from unplateau.search.trial import FINISHED, PAUSED, RUNNING
from unplateau.selection.select import CLEAR
from unplateau.solutions.expected import AFTER_ANY_SOLUTION, HOPED_FOR, STALLED, Losses

_MOST_KEYS = 12
_NOT_OF_THE_RECIPE = ("SOLVER.STOP_EPOCH", "OUTPUT_DIR", "DATASETS.ROOT", "DATALOADER.CACHE_DIR", "DATALOADER.NUM_WORKERS")
_LEGEND = "The best runs have colours, the control is dashed, the others are grey. Point at a curve or its name to see it alone."


def group_page(view: GroupView) -> Page:
    """Return the page of several runs."""
    verdict, tone = group_verdict(view)
    return Page(
        title=view.title,
        kind=view.kind,
        verdict=verdict,
        tone=tone,
        facts=_facts(view),
        sections=sections_of(
            ahead_section(view.ahead, _taken(view)),
            _selection(view),
            Section("runs", "Runs", (_runs_table(view), Listing(view.problems))),
            Section("curves", "Curves", (Charts(overlay_charts(view)),), _LEGEND if len(view.runs) > 1 else ""),
            _expected(view),
            Section("importance", "What mattered", (Charts(importance_charts(view)),)),
            _configurations(view),
        ),
        written=view.written,
        live=view.live,
    )


def group_verdict(view: GroupView) -> tuple[str, str]:
    """Return (one sentence, its tone)."""
    selection, best = view.selection, next((run for run in view.ranked if run.score >= 0), None)
    if selection is None or not selection.winner:
        if best is None:
            return f"{_count(view.runs)}; none of them has been validated yet.", "open"
        running = sum(run.is_running for run in view.runs)
        state = f", {running} of them training now" if running else ""
        apart = (
            " Not all were scored alike: compare within one chart only."
            if len({run.task for run in view.runs if run.task[0]}) > 1
            else ""
        )
        return f"{_count(view.runs)}{state}; the highest {_kind(best)} mAP is {_score(best)}, by {best.name}.{apart}", "open"
    if selection.broken_pipeline and not selection.helped:
        return f"None of these can help: {selection.broken_pipeline}", "bad"
    chosen = selection.best
    score = f", with {share_words(chosen.value, chosen.best_map)} {_protocol(selection)} mAP" if chosen is not None else ""
    words = f"{selection.winner} is the one to take{score}: {selection.how_sure or selection.verdict}."
    if view.live is not None:
        return f"Training now; this was chosen before: {words}", "open"
    return words, "good" if selection.verdict == CLEAR else "open"


def _protocol(selection: SelectionView) -> str:
    return "test-set" if selection.protocol == "test" else "held-out"


def _facts(view: GroupView) -> tuple[Fact, ...]:
    selection = view.selection
    seconds = sum(epoch.seconds for run in view.runs for epoch in run.record.epochs)
    facts = [Fact("Runs", str(len(view.runs)), f"{sum(len(run.record.epochs) for run in view.runs)} epochs")]
    winner = selection.best if selection is not None else None
    if selection is not None and winner is not None:
        note = f"epoch {winner.epoch}, {selection.num_identities} identities"
        facts.insert(0, Fact(f"Winner's {_protocol(selection)} mAP", f"{100 * winner.value:.1f} %", note))
        facts.insert(1, Fact("How sure", selection.verdict))
        facts += [
            Fact("Winner's test mAP", f"{100 * test.mAP:.1f} %", f"{test.dataset}{test_note(test)}".removeprefix(", "))
            for test in selection.tests[:1]
        ]
    return (*facts, Fact("Training time", duration_words(seconds)), *ahead_facts(view.ahead, _taken(view)))


def _taken(view: GroupView) -> dict[str, list[float]]:
    return {run.name: [epoch.seconds for epoch in run.record.epochs] for run in view.runs}


def _selection(view: GroupView) -> Section:
    tests = view.selection.tests if view.selection is not None else ()
    used = "Its test score was not used for the choice." if tests else "The test set was not scored."
    intro = f"Chosen on identities held out of training. {used}"
    if view.selection is not None and view.selection.protocol == "test":
        intro = "Chosen on the test set itself: every number here is optimistic."
    files = [(Cell(name, href=name),) for name in view.texts]
    blocks = (Charts(interval_charts(view)), Listing(tuple(metrics_line(test) for test in tests)))
    return Section("selection", "Selection", (*blocks, Table("In words", ("file",), tuple(files))), intro)


def _runs_table(view: GroupView) -> Table:
    has_changes = any(run.changes for run in view.runs)
    changes = ("change",) if has_changes else ()
    columns = (
        "run",
        "best mAP",
        "95 % interval",
        "epoch",
        "rank-1",
        *changes,
        "ended",
        "epochs",
        "time",
        "last CE",
        "last triplet",
    )
    rows = tuple(_run_row(view, run, has_changes) for run in view.ranked)
    caption = "Every run, the best first. mAP is of the run's own validation; only runs on the same identities can be compared."
    return Table(caption, columns, rows, is_sortable=True, picks=len(view.runs) > 1)


def _run_row(view: GroupView, run: GroupRun, has_changes: bool) -> tuple[Cell, ...]:
    record, best = run.record, run.best
    scored = best.validation if best is not None else None
    last = record.epochs[-1] if record.epochs else None
    seconds = sum(epoch.seconds for epoch in record.epochs)
    ended = record.stop.headline if record.stop is not None else "training now" if run.is_running else "broken off"
    interval = f"{100 * run.best_map.low:.1f} to {100 * run.best_map.high:.1f}" if run.best_map is not None else "–"
    changes = ", ".join(f"{key} {value}" for key, value in run.changes.items()) or "–"
    state = view.search.states.get(run.name, "") if view.search is not None else ""
    return (
        Cell(run.name, href=f"{quote(run.name)}/report.html" if run.has_page else ""),
        Cell(f"{100 * scored.mAP:.1f} %" if scored is not None else "–", run.score, is_strong=True, is_number=True),
        Cell(interval, run.best_map.low if run.best_map is not None else -1.0, is_number=True),
        Cell(str(best.epoch) if best is not None else "–", best.epoch if best is not None else 0, is_number=True),
        _number(scored.cmc.get("1") if scored is not None else None, 100, "{:.1f} %"),
        *((Cell(changes),) if has_changes else ()),
        Cell(_ended(state, ended)),
        Cell(str(len(record.epochs)), len(record.epochs), is_number=True),
        Cell(duration_words(seconds), seconds, is_number=True),
        _number(last.losses.get("cross_entropy") if last is not None else None, 1, "{:.2f}"),
        _number(last.losses.get("triplet") if last is not None else None, 1, "{:.2f}"),
    )


def _ended(state: str, ended: str) -> str:
    """Why a run ended; what a search calls it comes first, and a trial that it paused at the end of a rung is pruned."""
    if state in ("", FINISHED, RUNNING):
        return ended
    return "pruned, can go on" if state == PAUSED else f"{state}: {ended}"


def _number(value: float | None, factor: float, form: str) -> Cell:
    return Cell("–", -1.0, is_number=True) if value is None else Cell(form.format(factor * value), factor * value, is_number=True)


def _expected(view: GroupView) -> Section:
    """The table that was asked for: expected against what happened, for the solutions."""
    if view.kind != "solutions":
        return Section("expected", "", ())
    control = next((run for run in view.runs if run.name == view.control), None)
    rows = [row for run in view.runs if run.name != view.control for row in _expected_rows(run, control)]
    intro = (
        f"Losses are unweighted, CE / triplet / total. Hoped for {AFTER_ANY_SOLUTION}. These values are shown as asked and prove "
        "nothing: a trainer that works beats them in its first epoch."
    )
    columns = ("solution", "epoch", "happened", "control here", "expected, as asked", "stalled run")
    table = Table("Unweighted losses at the epochs that were asked about, and at the last", columns, tuple(rows))
    return Section("expected", "Expected against what happened", (table,), intro)


def _expected_rows(run: GroupRun, control: GroupRun | None) -> list[tuple[Cell, ...]]:
    epochs = run.record.epochs
    if not epochs:
        return []
    hoped = HOPED_FOR.get(run.name, {})
    places = sorted({*(epoch for epoch in STALLED if epoch <= epochs[-1].epoch), epochs[-1].epoch})
    return [
        (Cell(run.name), Cell(str(epoch), is_number=True), Cell(_at(run, epoch), is_strong=True, is_number=True),
         Cell(_at(control, epoch), is_number=True), Cell(_losses(hoped.get(epoch)), is_number=True),
         Cell(_losses(STALLED.get(epoch)), is_number=True))
        for epoch in places
    ]  # fmt: skip


def _at(run: GroupRun | None, epoch: int) -> str:
    record: EpochRecord | None = next((one for one in run.record.epochs if one.epoch == epoch), None) if run is not None else None
    if record is None:
        return "–"
    terms = [record.losses.get("cross_entropy"), record.losses.get("triplet"), sum(v for v in record.losses.values() if v)]
    return " / ".join("–" if term is None else f"{term:.2f}" for term in terms)


def _losses(losses: Losses | None) -> str:
    return "–" if losses is None else f"{losses.cross_entropy:.2f} / {losses.triplet:.2f} / {losses.total:.2f}"


def _configurations(view: GroupView) -> Section:
    """The keys in which the runs differ, side by side."""
    known = [(run, flatten(run.config)) for run in view.ranked if run.config is not None]
    if len(known) < 2:
        return Section("configuration", "", ())
    first = known[0][1]
    differing = [key for key in first if key not in _NOT_OF_THE_RECIPE and any(values[key] != first[key] for _, values in known)]
    shown_keys = differing[:_MOST_KEYS]
    rows = tuple((Cell(run.name), *(Cell(shown(values[key])) for key in shown_keys)) for run, values in known)
    left_out = f", the first {_MOST_KEYS} of {len(differing)}" if len(differing) > _MOST_KEYS else ""
    table = Table(
        f"Keys in which these runs differ{left_out}", ("run", *shown_keys), rows if shown_keys else (), is_sortable=True
    )
    return Section("configuration", "Configurations", (table,))


def _count(runs: Sequence[GroupRun]) -> str:
    return f"{len(runs)} run{'' if len(runs) == 1 else 's'}"


def _kind(run: GroupRun) -> str:
    return "held-out" if run.task[0] == "held-out" else "test-set (chosen on it: optimistic)"


def _score(run: GroupRun) -> str:
    return share_words(run.score, run.best_map)
