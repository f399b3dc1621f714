"""The page of one run: what it says, in which order. Its sentence: `run_verdict`; its charts: `run_charts`."""

from __future__ import annotations

from typing import Any

from unplateau.config.delta import difference
from unplateau.config.schema import Config
from unplateau.config.tree import leaves
from unplateau.report.content import Cell, Charts, Findings, Listing, Page, Section, Table, Text, sections_of, text_table
from unplateau.report.drawn import words_of_drawn
from unplateau.report.lines import metrics_line
from unplateau.report.rankings import rankings_block
from unplateau.report.run_charts import loss_charts, motion_charts, score_charts, time_charts, triplet_charts
from unplateau.report.run_verdict import facts_of, verdict_of
from unplateau.report.run_view import RunView
from unplateau.report.words import shown

_PRIVACY = (
    "This page holds photographs of persons from the data set. Share it only as the data set's terms, the persons' consent and "
    "the law allow."
)


def run_page(view: RunView) -> Page:
    """Return the page of a run, finished, running or broken off."""
    verdict, tone = verdict_of(view)
    return Page(
        title=view.folder.name,
        kind="run",
        verdict=verdict,
        tone=tone,
        facts=facts_of(view),
        sections=sections_of(
            _ending(view),
            _findings(view),
            _scores(view),
            Section("losses", "Losses", (Charts(loss_charts(view)),), "Each term unweighted, so that weights do not flatter."),
            Section("motion", "What moves", (Charts(motion_charts(view)),)),
            Section("triplets", "Triplet geometry", (Charts(triplet_charts(view)),)),
            Section("time", "Time", (Charts(time_charts(view)),)),
            _rankings(view),
            _configuration(view.config),
            _provenance(view),
        ),
        written=view.written,
        up=view.up,
        live=view.live,
    )


def _ending(view: RunView) -> Section:
    stop = view.stop
    thinned = words_of_drawn(len(view.epochs))
    said = (*view.problems, *((thinned,) if thinned else ()))
    items = (*said, *(() if stop is None else (*stop.evidence, *(f"To do: {one}" for one in stop.recommendation))))
    title = "Why it ended" if stop is not None else "State"
    return Section("ending", title, (Listing(items),), f"{stop.headline} ({stop.code})." if stop is not None else "")


def _findings(view: RunView) -> Section:
    words = (view.about_hyper_parameters,) if view.about_hyper_parameters else ()
    return Section("findings", "Findings", (Findings(view.findings), Text(words if view.findings else ())))


def _scores(view: RunView) -> Section:
    intro = {
        "held-out": "On training identities that were kept out of training. Not comparable with a test mAP.",
        "test": "Validated on query/gallery: the best epoch was chosen on the test set, so these numbers are optimistic.",
    }.get(view.protocol, "")
    tests = tuple(metrics_line(test) for test in view.tests)
    title = "Held-out scores" if view.protocol == "held-out" else "Scores"
    times = "once" if view.times_scored <= 1 else f"{view.times_scored} times in this run, now"
    once = Text((f"The test set, scored {times} with the best model:",)) if tests and view.protocol != "test" else Text(())
    return Section("scores", title, (Charts(score_charts(view)), once, Listing(tests)), intro)


def _rankings(view: RunView) -> Section:
    blocks = tuple(rankings_block(one, view.images) for one in view.rank_lists)
    kinds = " and ".join(dict.fromkeys(one.protocol for one in view.rank_lists))
    privacy = f" {_PRIVACY}" if view.images else " Images are left out; `unplateau report FOLDER --images` puts them in."
    intro = f"Best, median and worst queries of the best model ({kinds}), each with its first answers.{privacy}"
    return Section("ranks", "Ranked lists", blocks, intro if blocks else "")


def _configuration(config: Config | None) -> Section:
    if config is None:
        return Section("configuration", "Configuration", ())
    changed = difference(Config(), config)
    rows = tuple(
        (Cell(key), Cell(shown(new), is_strong=True), Cell(shown(old) or "(empty)"), Cell(leaves()[key].meaning))
        for key, (old, new) in changed.items()
    )
    caption = f"{len(changed)} of {len(leaves())} keys differ from the defaults"
    return Section("configuration", "Configuration", (Table(caption, ("key", "here", "default", "meaning"), rows),))


def _provenance(view: RunView) -> Section:
    rows = [(name, words) for name, words in _provenance_rows(view.info) if words]
    notes = tuple(str(note) for note in _list(view.info, "notes") if isinstance(note, str))
    return Section("provenance", "Provenance", (text_table("Where it comes from", ("what", "value"), rows), Listing(notes)))


def _provenance_rows(info: dict[str, Any]) -> list[tuple[str, str]]:
    provenance, data, model = (_section(info, name) for name in ("provenance", "data", "model"))
    source, versions = _section(provenance, "source"), _section(provenance, "versions")
    commit = f"{source.get('commit', '')}{' with changed files' if source.get('changed') else ''}" if source else ""
    return [
        ("command line", " ".join(map(str, _list(provenance, "command_line")))),
        ("data", ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in data.items())),
        ("model", ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in model.items())),
        ("seed", str(info.get("seed", ""))),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ("Python", str(provenance.get("python", ""))),
        ("system", ", ".join(str(provenance[key]) for key in ("system", "device") if key in provenance)),
        ("threads", str(provenance.get("threads", ""))),
        ("source commit", commit),
    ]


def _list(plain: dict[str, Any], name: str) -> list[Any]:
    found = plain.get(name)
    return found if isinstance(found, list) else []


def _section(plain: dict[str, Any], name: str) -> dict[str, Any]:
    found = plain.get(name)
    return found if isinstance(found, dict) else {}
