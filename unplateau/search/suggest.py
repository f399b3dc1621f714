"""Suggests the next point of a space from what is known of others: Optuna's samplers, asked without any memory of their own.

Everything a sampler knows is handed to it each time, so a search that was killed goes on as if it had not been. TPE: Bergstra et
al. 2011, Watanabe 2023; GP: Gaussian process; CMA-ES: Hansen 2016. What counts as a trial's score is decided in `halving`.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unplateau.base.errors import UsageError
from unplateau.base.randomness import stream_seed
from unplateau.search.space import Choice, Number, Point, Space, Value

if TYPE_CHECKING:
    import optuna

SAMPLERS = ("tpe", "gp", "cmaes", "random")
_NEEDS = {"gp": ("scipy",), "cmaes": ("cmaes",)}
_STARTUP_TRIALS = 10  # random ones before a model is trusted; Optuna's own default


@dataclass(frozen=True)
class Scored:
    """A point and how good it was; larger is better."""

    point: Point
    score: float


def suggest(
    space: Space, scored: Sequence[Scored], running: Sequence[Point] = (), *, sampler: str = "tpe", seed: int = 0, draw: int = 0
) -> dict[str, Value]:
    """Return a point to try next.

    Args:
        space: what may change.
        scored: points that were tried, in the order they were begun.
        running: points that are being tried, so that their neighbourhood is not asked for again.
        sampler: one of `SAMPLERS`.
        seed: of the search.
        draw: number of this suggestion; another draw gives another point.

    Raises:
        UsageError: the sampler needs a package that is not installed.
    """
    check_sampler(sampler)
    distributions = {part.name: _distribution(part) for part in space.parameters}
    study = _study(_sampler(sampler, stream_seed(seed, "suggest", draw) % 2**32))
    if sampler == "cmaes":
        _replay(study, space, scored, distributions)
    else:
        _tell_all(study, space, scored, running, distributions)
    params = study.ask(distributions).params
    return space.tidy({part.name: _from_optuna(part, params[part.name]) for part in space.parameters})


def check_sampler(sampler: str) -> None:
    """Raises UsageError: there is no such sampler, or a package that it needs is not installed."""
    import importlib.util

    if sampler not in SAMPLERS:
        raise UsageError(f"--sampler {sampler}: there is none of that name, expected one of {', '.join(SAMPLERS)}.")
    missing = [name for name in _NEEDS.get(sampler, ()) if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"--sampler {sampler} needs {', '.join(missing)}: pip install 'unplateau[search]'. Or use --sampler tpe."
        )


def importances(space: Space, scored: Sequence[Scored]) -> dict[str, float]:
    """Return the share of each parameter in what makes a trial one of the best (PED-ANOVA, Watanabe et al. 2023), largest first.

    Args:
        space: what was searched.
        scored: scores that can be compared, so all after the same number of epochs.
    """
    import optuna

    distributions = {part.name: _distribution(part) for part in space.parameters}
    study = _study(optuna.samplers.RandomSampler(seed=0))
    _tell_all(study, space, scored, (), distributions)
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _study(sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    import optuna

    logging.getLogger("optuna").setLevel(logging.WARNING)  # a line for each study made otherwise
    return optuna.create_study(direction="maximize", sampler=sampler)


def _sampler(name: str, seed: int) -> optuna.samplers.BaseSampler:
    from optuna import samplers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Optuna calls experimental in some of its versions
        if name == "tpe":
            return samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=_STARTUP_TRIALS)
        if name == "gp":
            return samplers.GPSampler(seed=seed, n_startup_trials=_STARTUP_TRIALS)
        if name == "cmaes":
            return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
        return samplers.RandomSampler(seed=seed)


def _tell_all(
    study: optuna.Study, space: Space, scored: Sequence[Scored], running: Sequence[Point], distributions: Mapping[str, Any]
) -> None:
    from optuna.trial import TrialState, create_trial

    known: list[tuple[Point, float | None]] = [(one.point, one.score) for one in scored]
    for point, score in (*known, *((point, None) for point in running)):
        state = TrialState.RUNNING if score is None else TrialState.COMPLETE
        study.add_trial(
            create_trial(params=_to_optuna(space, point), distributions=dict(distributions), value=score, state=state)
        )


def _replay(study: optuna.Study, space: Space, scored: Sequence[Scored], distributions: Mapping[str, Any]) -> None:
    """CMA-ES lives from one generation to the next: ask and tell again all that was asked and told."""
    for one in scored:
        study.enqueue_trial(_to_optuna(space, one.point))
        study.tell(study.ask(dict(distributions)), one.score)


def _distribution(part: Number | Choice) -> optuna.distributions.BaseDistribution:
    from optuna import distributions

    if isinstance(part, Choice):
        if part.is_ordered:
            return distributions.IntDistribution(0, len(part.options) - 1)
        return distributions.CategoricalDistribution(tuple(part.options))
    if part.is_whole:
        return distributions.IntDistribution(int(part.low), int(part.high), log=part.is_log)
    return distributions.FloatDistribution(part.low, part.high, log=part.is_log)


def _to_optuna(space: Space, point: Point) -> dict[str, Any]:
    return {part.name: _one_to_optuna(part, point[part.name]) for part in space.parameters}


def _one_to_optuna(part: Number | Choice, value: Value) -> Any:
    if isinstance(part, Choice):
        return list(part.options).index(str(value)) if part.is_ordered else value
    return int(value) if part.is_whole else float(value)


def _from_optuna(part: Number | Choice, value: Any) -> Value:
    if isinstance(part, Choice) and part.is_ordered:
        return list(part.options)[value]
    return value
