"""Trains one experiment and keeps all that a diagnoser may look at later: a log, two checkpoints, probes, vital signs.

Diagnosing what was kept: `diagnosing`. So a rule that changes is scored again without training again.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.plateaubench.experiment import Batches, Experiment
from benchmarks.plateaubench.probing import Probing
from benchmarks.plateaubench.vitals import Vitals
from unplateau.base.errors import DataError, UnplateauError
from unplateau.base.randomness import stream_seed
from unplateau.config.delta import flatten
from unplateau.diagnosis.case import Case
from unplateau.engine.requests import Diverged
from unplateau.engine.step_log import StepLog
from unplateau.models.classifiers import LinearClassifier
from unplateau.runs.foreign_logs.config_facts import facts_of_config
from unplateau.runs.foreign_logs.training_log import LogFacts
from unplateau.runs.record import Measurement, to_plain
from unplateau.workflows.diagnosing.diagnose import Sources, compare_checkpoints, gather

FIRST_CHECKPOINT = 2  # epochs


@dataclass
class Story:
    """What is left of a run."""

    log: list[dict[str, Any]]
    facts: dict[str, Any]
    checkpoints: list[dict[str, Any]]
    watched: list[dict[str, Any]]
    """Seen from inside while it trained."""
    probes: list[dict[str, Any]]
    """Every probe of the plan in its order: name, processor seconds, measurements. Where to stop is decided when it is judged."""
    vitals: list[dict[str, Any]]
    final_map: float
    problem: str
    """What ended it early; empty otherwise."""
    seconds: dict[str, float]
    """Processor seconds of training and watching."""


def run(
    experiment: Experiment,
    *,
    facts_of: Experiment,
    make_probing: Callable[[Experiment], Probing] | None,
    keep_at: Path | None = None,
    until_sure: bool = False,
) -> Story:
    """Train an experiment to its end, or until it breaks, and return the story.

    Args:
        experiment: with its fault.
        facts_of: the same without: what its author would say about it.
        make_probing: watches and probes it; None = it is only trained.
        keep_at: where to keep the state it ends in, so that it can be probed again; None = nowhere.
        until_sure: probe no further than the product would; otherwise every probe is run.
    """
    parts = experiment.parts()
    probing, vitals, clock = make_probing(experiment) if make_probing else None, Vitals(parts), _Clock()
    story = Story([], _facts(facts_of), [], [], [], [], 0.0, "", clock.seconds)
    if probing:
        probing.before()
    with tempfile.TemporaryDirectory() as folder:
        files = (Path(folder) / "first.pth", Path(folder) / "last.pth")
        try:
            _train(experiment, story, probing, vitals, clock, first_checkpoint=files[0])
        except (Diverged, UnplateauError, RuntimeError, IndexError) as problem:
            story.problem = f"{type(problem).__name__}: {problem}".splitlines()[0][:300]
        if files[0].exists():
            torch.save({"model": experiment.model.state_dict()}, files[1])
            story.checkpoints = [to_plain(m) for m in compare_checkpoints(files)]
    if probing:
        watched = probing.watched()
        story.watched = [to_plain(m) for m in watched]
        if keep_at is not None:
            probing.keep_state(keep_at)
        known = known_before_probing(asdict(story))
        story.probes = [to_plain(round_) for round_ in probing.rounds(known, until_sure=until_sure, watched=watched)]
    story.final_map = next((line["mAP"] for line in reversed(story.log) if "mAP" in line), 0.0)
    return story


def _train(
    experiment: Experiment, story: Story, probing: Probing | None, vitals: Vitals, clock: _Clock, *, first_checkpoint: Path
) -> None:
    parts, batches, step = experiment.parts(), Batches(experiment), 0
    for epoch in range(1, experiment.config.SOLVER.MAX_EPOCH + 1):
        with clock.measuring("training"):
            torch.manual_seed(stream_seed(experiment.config.SEED, "epoch", epoch, 0))
            experiment.model.train()
            log = StepLog(epoch, step)
            for number, batch in enumerate(batches.epoch(epoch), 1):
                rate = experiment.schedule.apply(experiment.optimizers, step)
                if number == batches.steps_per_epoch:
                    vitals.before_step()
                terms = experiment.step(parts, batch)
                step += 1
                if probing:
                    with clock.measuring("watching"):
                        probing.step(terms)
                log.add(terms, rate)
            log.flush()
        line = _line(experiment, epoch, step, log)
        story.log.append(line)
        if log.damage is not None:
            raise log.damage
        story.vitals.append(vitals.after_step(batch))
        line |= _scores(experiment)
        if epoch == FIRST_CHECKPOINT:
            torch.save({"model": experiment.model.state_dict()}, first_checkpoint)


def _line(experiment: Experiment, epoch: int, step: int, log: StepLog) -> dict[str, Any]:
    means = log.means()
    if log.damage is not None:
        means["total_loss"] = math.nan
    names = {
        "total_loss": "loss",
        "cross_entropy": "cross_entropy",
        "triplet": "triplet",
        "accuracy": "accuracy",
        "circle": "circle",
    }
    values = {theirs: means[ours] for ours, theirs in names.items() if ours in means}
    return {"epoch": epoch, "iteration": step, "lr": float(experiment.optimizers[0].param_groups[0]["lr"]), **values}


def _scores(experiment: Experiment) -> dict[str, float]:
    try:
        metrics = experiment.evaluator.score(experiment).metrics
    except DataError:
        return {"mAP": 0.0}
    return {"mAP": metrics.mAP, "rank1": metrics.cmc["1"]}


def _facts(experiment: Experiment) -> dict[str, Any]:
    """What a person would tell with the log: their configuration, the head, the length of an epoch."""
    classifier = experiment.model.head.classifier
    facts = to_plain(facts_of_config(flatten(experiment.config), iterations_per_epoch=Batches(experiment).steps_per_epoch))
    return {
        **facts,
        "num_identities": experiment.num_identities,
        "feature_dim": experiment.model.embedding_dim,
        "initial_std": classifier.initial_std if isinstance(classifier, LinearClassifier) else None,
        "iterations_per_epoch": Batches(experiment).steps_per_epoch,
    }


def log_facts(plain: dict[str, Any]) -> LogFacts:
    """Return facts from their plain form."""
    return LogFacts(**{name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()})


def case_of(log: list[dict[str, Any]], facts: dict[str, Any]) -> Case:
    """Return what is known from the log alone: written as JSON lines, as a foreign trainer would, and read by the product."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in log), encoding="utf-8")
        return gather(Sources(log_file=path if log else None, facts=log_facts(facts)))


def known_before_probing(story: dict[str, Any]) -> Case:
    """Return what log, checkpoints and watching tell of a story in plain form."""
    case = case_of(story["log"], story["facts"])
    return replace(case, measurements=(*measurements(story["checkpoints"]), *measurements(story["watched"])))


def measurements(plain: list[dict[str, Any]]) -> tuple[Measurement, ...]:
    """Return measurements from their plain form."""
    return tuple(Measurement(**line) for line in plain)


class _Clock:
    """Processor seconds by what they were spent on; a busy machine does not lengthen them."""

    def __init__(self) -> None:
        self.seconds = {"training": 0.0, "watching": 0.0}

    def measuring(self, what: str) -> _Span:
        return _Span(self.seconds, what)


class _Span:
    def __init__(self, seconds: dict[str, float], what: str) -> None:
        self._seconds, self._what = seconds, what

    def __enter__(self) -> None:
        self._started = time.process_time()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._what] += time.process_time() - self._started
