"""Batch normalisation does not follow the training.

What it is
    Weights have moved between two checkpoints, and every running mean and variance of batch normalisation is the same to the
    bit: no training step has updated them. Evaluation then normalises with the statistics of the start.

Why it happens
    Batch normalisation is in evaluation mode while training (a model.eval() that is never undone, a freeze for pretrained
    backbones applied to a fresh one), or its momentum is 0.

How it was seen
    Frozen batch normalisation is a habit of object detection, where batches are small and the network is pretrained; in a
    network that is trained from other statistics, features drift away from them.

What to do
    Call model.train() at the start of every epoch, after each evaluation; freeze batch normalisation only on purpose.

Source
    Ioffe and Szegedy 2015, section 3.1: statistics at inference are averages over training.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "batch-norm-not-updated"
_SOURCE = "checkpoints A and B"
_MOVED = 1e-3  # relative; a step or two of healthy size


def judge(case: Case) -> Verdict:
    """Fire where weights moved and batch statistics did not."""
    unchanged, motion = case.measured("tensors_unchanged").get("buffers"), case.measured("checkpoint_motion").get("")
    if unchanged is None or motion is None or unchanged < 1.0 or not motion > _MOVED or case.facts.frozen_layers:
        return None
    count = case.measured("elements").get("buffers", 0.0)
    return Finding(
        code=CODE,
        title="Batch normalisation keeps the statistics it began with",
        severity="pipeline",
        confidence=0.9,
        evidence=(
            Evidence(f"{count:.0f} running means and variances are equal to the bit", 0.0, 1.0, _SOURCE),
            Evidence(f"the weights moved by {motion:.2g} of their length", motion, 1e-3, _SOURCE),
        ),
        causes=("batch-norm-in-eval",),
        refuted_by="batch normalisation of a pretrained network that is frozen on purpose",
        next_test="print module.training and module.momentum of one batch-norm layer inside a training step",
        remedies=("restore_batch_norm",),
    )
