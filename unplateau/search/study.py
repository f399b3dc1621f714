"""The study: which trials there are, in an Optuna storage (SQLite in the output folder, or any URL Optuna takes).

The coordinator alone writes to it. Curves and ends are read from the run folders and only shown here, for Optuna's own tools; a
trial that waits at a rung's end is "running" in Optuna's words, for an ended one could not be continued.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from unplateau.base.addresses import without_password
from unplateau.base.errors import UsageError, first_line
from unplateau.search.space import Choice, Number, Space
from unplateau.search.trial import FAILED, FINISHED, Standing, Trial

_FIELDS = ("name", "origin", "changes", "identity", "attempts")


class StudyStore:
    """The trials of one search, kept whatever ends its process."""

    def __init__(self, url: str, name: str, space: Space) -> None:
        """Open the study `name` at the storage `url`, or make it.

        Raises:
            UsageError: the storage cannot be opened.
        """
        logging.getLogger("optuna").setLevel(logging.WARNING)
        self._space = space
        try:
            self._study = optuna.create_study(storage=url, study_name=name, direction="maximize", load_if_exists=True)
        except Exception as error:  # noqa: BLE001 - the drivers behind a URL raise what they like
            first = first_line(error)
            place, said = without_password(url), without_password(first)
            raise UsageError(f"--storage {place} cannot be opened ({said}). Use, for example, sqlite:///search.db.") from error

    def facts(self) -> dict[str, Any]:
        """Return what was noted of the search as a whole."""
        return dict(self._study.user_attrs)

    def note(self, name: str, value: Any) -> None:
        """Note a fact of the search as a whole; `value` is plain data."""
        self._study.set_user_attr(name, value)

    def trials(self) -> list[Trial]:
        """Return all trials in their order."""
        return [_trial(frozen) for frozen in self._study.get_trials(deepcopy=False)]

    def add(self, trial: Trial) -> None:
        """Add a trial, whole or not at all; its number is the next."""
        point = dict(trial.point) if trial.point is not None else {}
        distributions = {part.name: _distribution(part) for part in self._space.parameters} if point else {}
        fields = {name: getattr(trial, name) for name in _FIELDS}
        self._study.add_trial(
            create_trial(
                state=TrialState.RUNNING, params=point, distributions=distributions,
                user_attrs={**fields, "changes": dict(trial.changes)},
            )
        )  # fmt: skip

    def count_attempt(self, trial: Trial) -> Trial:
        """Note that a process of the trial ended without a written result; return the trial with it."""
        counted = replace(trial, attempts=trial.attempts + 1)
        self._live(trial.number).set_user_attr("attempts", counted.attempts)
        return counted

    def forget_attempts(self, trial: Trial) -> Trial:
        """Note that the trial has got on; return it."""
        self._live(trial.number).set_user_attr("attempts", 0)
        return replace(trial, attempts=0)

    def show(self, standing: Standing) -> None:
        """Write how far a trial has come; once it is finished or failed, it stays so."""
        frozen = self._study.get_trials(deepcopy=False)[standing.number]
        if frozen.state.is_finished():
            return
        live = self._live(standing.number)
        for epoch, score in standing.curve:
            if epoch not in frozen.intermediate_values:
                live.report(score, epoch)
        if standing.ended:
            live.set_user_attr("ended", standing.ended)
        if standing.state == FINISHED and standing.best is not None:
            self._study.tell(standing.number, standing.best)
        elif standing.state in (FAILED, FINISHED):
            self._study.tell(standing.number, state=TrialState.FAIL)

    def _live(self, number: int) -> optuna.Trial:
        return optuna.Trial(self._study, self._study.get_trials(deepcopy=False)[number]._trial_id)


def _trial(frozen: FrozenTrial) -> Trial:
    attributes: Mapping[str, Any] = frozen.user_attrs
    fields = {name: attributes[name] for name in _FIELDS}
    return Trial(number=frozen.number, point=dict(frozen.params) or None, **fields)


def _distribution(part: Number | Choice) -> optuna.distributions.BaseDistribution:
    if isinstance(part, Choice):
        return optuna.distributions.CategoricalDistribution(tuple(part.options))
    kind = optuna.distributions.IntDistribution if part.is_whole else optuna.distributions.FloatDistribution
    low, high = (int(part.low), int(part.high)) if part.is_whole else (part.low, part.high)
    return kind(low, high, log=part.is_log)  # type: ignore[arg-type]
