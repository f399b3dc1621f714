"""Measured in training mode: batch normalisation uses, or keeps, statistics that are not its batches'.

What it is
    Two readings of every batch-norm layer during training steps: whether it normalises by its running statistics, as in
    evaluation, and how far these statistics are from those of the batches.

Why it happens
    model.eval() that is never undone; batch normalisation frozen in a network that is trained from other statistics; a momentum
    of 0, or a forward pass on a copy whose statistics are never handed back. At a rate that is far too high statistics lag behind
    features that jump.

How it was seen
    Planted as batch_norm_in_eval and batch_norm_statistics in PlateauBench.

What to do
    Call model.train() at the start of every epoch, and leave the momentum at 0.1.

Source
    Ioffe and Szegedy 2015, section 3.1. Thresholds ours: running means of healthy runs of our benchmark lie within a few tenths
    of a standard deviation (benchmarks/results/probe_readings.md).
"""

from __future__ import annotations

from dataclasses import replace

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.causes import cures_of
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

_SOURCE = "probe batch_norms"
_MOST_LAYERS = 0.5
_SOMETIMES, _ALWAYS = 0.15, 0.95  # of the steps; from the first to the last it may be a freeze that is meant
_FAR, _OTHER_SCALE = 1.5, 3.0  # standard deviations; times
_ONE_FACTOR = 0.4  # spread of a logarithm: healthy 0.02 to 0.04, frozen or overshot statistics 0.7 and more
_ANOTHER_SCALE = 1.5  # times
_FEWEST_STEPS = 60  # by then a momentum of 0.1 has forgotten the start


def judge_mode(case: Case) -> Verdict:
    """Fire where layers normalise by running statistics in a training step, and no freeze is configured."""
    share = case.measured("batch_norm_in_evaluation").get("")
    if share is None or share < _MOST_LAYERS or case.facts.frozen_layers:
        return None
    text = f"in a training step {share:.0%} of the batch-norm layers normalise by their running statistics"
    return _finding("Batch normalisation is in evaluation mode while training", 0.95, text, share, ("batch-norm-in-eval",))


def judge_watched(case: Case) -> Verdict:
    """Fire where layers were in evaluation mode in a part of the watched steps: a mode that somebody left behind."""
    share = case.measured("steps_in_evaluation_mode").get("")
    if share is None or not _SOMETIMES < share < _ALWAYS or case.facts.frozen_layers:
        return None
    text = f"batch normalisation was in evaluation mode in {share:.0%} of the training steps"
    found = _finding(
        "Batch normalisation is in evaluation mode in a part of the training", 0.9, text, share, ("batch-norm-in-eval",)
    )
    return replace(found, evidence=(Evidence(text, share, 0.0, "watch"),))


def judge_statistics(case: Case) -> Verdict:
    """Fire where the running statistics do not fit the batches; sure only where they never moved."""
    apart, ratio = case.measured("running_mean_apart").get(""), case.measured("running_std_ratio").get("")
    steps = case.measured("steps_trained").get("", 0.0)
    if apart is None or ratio is None or steps < _FEWEST_STEPS or case.facts.frozen_layers or judge_mode(case) is not None:
        return None
    if apart < _FAR and 1 / _OTHER_SCALE < ratio < _OTHER_SCALE:
        return None
    multiplied = _multiplied(case)
    if multiplied is not None:
        return multiplied
    still = case.measured("tensors_unchanged").get("buffers") == 1.0
    text = (
        f"running means lie {apart:.2g} standard deviations from the batches', standard deviations are {ratio:.2g} times theirs"
    )
    causes = ("batch-norm-in-eval",) if still else ("batch-norm-in-eval", "learning-rate-too-high", "weight-decay-too-strong")
    return _finding("Running statistics do not fit the batches", 0.9 if still else 0.6, text, apart, causes)


def _multiplied(case: Case) -> Finding | None:
    """One factor on all running statistics: training never uses them, so what is spoilt is the evaluation alone."""
    factor, spread = case.measured("running_std_factor").get(""), case.measured("running_std_spread").get("")
    if factor is None or spread is None or spread > _ONE_FACTOR or 1 / _ANOTHER_SCALE < factor < _ANOTHER_SCALE:
        return None
    text = f"running standard deviations are {factor:.2f} times those of the batches, in all channels alike"
    title = "Running statistics were multiplied, so evaluation normalises by another scale than training"
    found = _finding(title, 0.85, text, factor, ("stale-weights-evaluated",))
    return replace(found, remedies=("repair_evaluation", "restore_batch_norm"))


def _finding(title: str, confidence: float, text: str, value: float, causes: tuple[str, ...]) -> Finding:
    return Finding(
        code="batch-norm-not-updated",
        title=title,
        severity="pipeline",
        confidence=confidence,
        evidence=(Evidence(text, value, 0.0, _SOURCE),),
        causes=causes,
        refuted_by="batch normalisation of a pretrained network that is frozen on purpose",
        next_test="print module.training and module.momentum of one batch-norm layer inside a training step",
        remedies=cures_of(("batch-norm-in-eval", *causes)),
    )
