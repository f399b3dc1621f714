"""Values of our configuration that the measurements give themselves, where a remedy would otherwise take a published one.

Source
    Rate: Smith 2017, section 3.3, and Gugger 2018: a tenth of the rate at which the loss of a range test is lowest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.rules.rate_measured import rates_measured
from unplateau.diagnosis.usual_settings import cosine_scale
from unplateau.runs.record import Finding

_OF_LOWEST = 0.1
_LEAST_FALL, _BEGINNING = 0.005, 1e-4  # of ln I; a rate
_CLEARLY = 2.0  # times the rate that is to be changed
_RATE, _SCALE = "SOLVER.BASE_LR", "MODEL.HEADS.SCALE"


def with_settings(finding: Finding, case: Case) -> Finding:
    """Return the finding with the values that its remedies should set, as far as they were measured."""
    found = dict(finding.settings)
    for name in finding.remedies:
        found |= _MEASURED[name](case) if name in _MEASURED else {}
    if _RATE in finding.settings:
        found |= _higher(case) | _lower(case)
    return replace(finding, settings=found) if found else finding


def _higher(case: Case) -> dict[str, float]:
    wanted, base = _measured_rate(case), case.facts.base_learning_rate
    return {_RATE: wanted} if base and wanted and wanted > _CLEARLY * base else {}


def _lower(case: Case) -> dict[str, float]:
    wanted, base = _measured_rate(case), case.facts.base_learning_rate
    return {_RATE: wanted} if base and wanted and wanted < base / _CLEARLY else {}


def _measured_rate(case: Case) -> float | None:
    """A sweep of a fresh network falls little before it leaves; one that is lowest at its very beginning fell by chance."""
    rates = rates_measured(case, least_fall=_LEAST_FALL)
    return None if rates is None or rates.lowest < _BEGINNING else float(f"{_OF_LOWEST * rates.lowest:.2g}")


def _scale(case: Case) -> dict[str, float]:
    people = case.facts.num_identities
    return {_SCALE: cosine_scale(people)} if people and people > 2 else {}


_MEASURED: Mapping[str, Callable[[Case], dict[str, float]]] = {
    "higher_learning_rate": _higher,
    "lower_learning_rate": _lower,
    "restore_cosine_scale": _scale,
}
