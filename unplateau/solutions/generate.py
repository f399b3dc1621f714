"""From findings to solutions: the five that were asked for and what the evidence calls for beyond, by expected gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unplateau.base.errors import ConfigError
from unplateau.config.delta import difference, with_values
from unplateau.config.schema import Config
from unplateau.runs.record import Finding, Solution
from unplateau.solutions.asked_for import ASKED_FOR, Asked
from unplateau.solutions.catalogue import BY_NAME, Remedy

_MOST_EXTRA = 6
_WEIGHT = {"pipeline": 1.0, "optimisation": 0.7, "data": 0.6, "generalisation": 0.5, "info": 0.2}
_Candidate = tuple[float, Remedy, dict[str, object], tuple[str, ...]]  # rank, remedy, what it changes, findings it treats
_PRIOR = 0.1  # rank of a solution that treats nothing found; the order asked for decides among these


def generate(config: Config, findings: Sequence[Finding]) -> tuple[Solution, ...]:
    """Return the solutions, the most promising by evidence first; the five that were asked for are among them, but for those
    that would change nothing of this run (`would_change_nothing`).

    Args:
        config: the run's own configuration, which every solution is a change of.
        findings: ranked, as `diagnose` gives them; none = nothing is known.
    """
    idle = would_change_nothing(config)
    five = [_asked(asked, config, findings, place) for place, asked in enumerate(ASKED_FOR) if asked.name not in idle]
    extra = _evidence_based(config, findings, first_number=len(ASKED_FOR) + 1)
    return tuple(sorted([*five, *extra], key=lambda solution: -solution.rank))


def would_change_nothing(config: Config) -> dict[str, dict[str, object]]:
    """Return name -> what the run has already, of those asked for that would be the unchanged control."""
    changes = {asked.name: asked.change(config) for asked in ASKED_FOR}
    return {name: delta for name, delta in changes.items() if not difference(config, with_values(config, delta))}


def things_to_do(findings: Sequence[Finding]) -> tuple[tuple[str, Remedy], ...]:
    """Return (finding, remedy) for cures that lie outside of a configuration, such as relabelling."""
    pairs = [(finding.code, BY_NAME[name]) for finding in findings for name in finding.remedies if name in BY_NAME]
    first = {remedy.name: (code, remedy) for code, remedy in reversed(pairs) if remedy.elsewhere}
    return tuple(first[name] for name in dict.fromkeys(remedy.name for _, remedy in pairs) if name in first)


def _asked(asked: Asked, config: Config, findings: Sequence[Finding], place: int) -> Solution:
    treated = [finding for finding in findings if finding.code in asked.treats]
    rank = max((_expected_gain(finding, 0) for finding in treated), default=0.0) or _PRIOR - place * 0.01
    hypothesis = f"{asked.hypothesis} {asked.remark}".strip()
    codes = tuple(finding.code for finding in treated)
    return Solution(
        asked.name, hypothesis, _without_unchanged(asked.change(config), config), asked.expected, codes, round(rank, 3)
    )


def _without_unchanged(delta: dict[str, object], config: Config) -> dict[str, object]:
    """Leave out what the run has already."""
    changed = difference(config, with_values(config, delta))
    return {key: value for key, value in delta.items() if key in changed}


def _evidence_based(config: Config, findings: Sequence[Finding], *, first_number: int) -> list[Solution]:
    by_remedy: dict[str, list[tuple[Finding, int]]] = {}
    for finding in findings:
        for place, name in enumerate(finding.remedies):
            by_remedy.setdefault(name, []).append((finding, place))
    candidates: list[_Candidate] = []
    for name, cases in by_remedy.items():
        remedy = BY_NAME.get(name)
        settings = {key: value for finding, _ in reversed(cases) for key, value in finding.settings.items()}
        delta = None if remedy is None else _delta(remedy, config, settings)
        if remedy is not None and delta is not None and name != "cosine_annealing":  # that one is solution 2
            rank = max(_expected_gain(finding, place) for finding, place in cases)
            candidates.append((rank, remedy, delta, tuple(finding.code for finding, _ in cases)))
    candidates = _each_change_once(sorted(candidates, key=lambda candidate: -candidate[0]))
    return [
        Solution(
            f"solution_{number}_{remedy.name}",
            f"{remedy.hypothesis} ({remedy.source})",
            delta,
            remedy.expected,
            codes,
            round(rank, 3),
        )
        for number, (rank, remedy, delta, codes) in enumerate(candidates[:_MOST_EXTRA], first_number)
    ]


def _each_change_once(candidates: list[_Candidate]) -> list[_Candidate]:
    """Leave out what would train the run of a likelier one again; that one treats its findings too."""
    kept: list[_Candidate] = []
    for rank, remedy, delta, codes in candidates:
        place = next((number for number, other in enumerate(kept) if delta and other[2] == delta), None)
        if place is None:
            kept.append((rank, remedy, delta, codes))
        else:
            kept[place] = (*kept[place][:3], tuple(dict.fromkeys((*kept[place][3], *codes))))
    return kept


def _delta(remedy: Remedy, config: Config, settings: Mapping[str, object]) -> dict[str, object] | None:
    """The keys that really change; None where the cure is no configuration, or is in force already."""
    if remedy.change is None:
        return None
    wanted = changes_of(remedy, config, settings)
    if not wanted and remedy.sets_all:
        return None
    if not wanted:
        return {}  # the unchanged recipe, in a trainer that checks that weights move
    try:
        changed = with_values(config, wanted)
    except ConfigError:
        return None
    keys = difference(config, changed)
    return {key: wanted.get(key, new) for key, (_, new) in keys.items()} or None


def changes_of(remedy: Remedy, config: Config, settings: Mapping[str, object]) -> dict[str, object]:
    """Return what a remedy sets: its published values, or those that a finding gives for the same keys."""
    if remedy.sets_all:
        return dict(settings)
    published = {} if remedy.change is None else remedy.change(config)
    return {key: settings.get(key, value) for key, value in published.items()}


def _expected_gain(finding: Finding, place: int) -> float:
    return finding.confidence * _WEIGHT[finding.severity] * 0.85**place
