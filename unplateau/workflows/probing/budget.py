"""What probing may cost: a share of the run it probes, counted in training steps, so that it is known before a probe is begun.

B is one training step: forward, backward, update. A forward pass is a third of one.
"""

from __future__ import annotations

from unplateau.workflows.probing.bench import Bench
from unplateau.workflows.probing.planned import Planned

SHARE = 0.05  # of the run's steps
_PASSES_IN_STEP = 3.0  # a backward pass costs two forward passes


def allowance(bench: Bench, share: float = SHARE) -> float:
    """Return the training steps that probing may cost: a share of those done or, where it is more, of those planned."""
    planned = bench.parts.config.SOLVER.MAX_EPOCH * bench.parts.train_loader.steps_per_epoch
    return share * max(bench.step, planned)


def steps_of(planned: Planned, bench: Bench) -> float:
    """Return what a probe costs on this training, in training steps."""
    return planned.steps + planned.evaluations * _evaluation(bench)


def _evaluation(bench: Bench) -> float:
    if bench.validation is None:
        return 0.0
    images = len(bench.validation.query) + len(bench.validation.gallery)
    return images / (_PASSES_IN_STEP * max(bench.parts.config.SOLVER.IMS_PER_BATCH, 1))
