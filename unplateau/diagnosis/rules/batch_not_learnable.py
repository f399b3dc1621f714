"""One batch cannot be learned by heart.

What it is
    Fifty to a hundred steps on always the same batch, without augmentation and weight decay, leave the loss near where it was.
    Any network of re-ID size learns 64 images by heart, whatever their labels.

Why it happens
    Gradients do not reach the weights or are clipped away, the rate is off by orders of magnitude, the images are blank, the
    loss cannot fall (softmax twice, cosine without scale), dropout leaves nothing.

How it was seen
    Of 55 healthy runs of our benchmark the worst went 83 % of the way to its floor, the middle one 98 %
    (benchmarks/results/probe_readings.md).

What to do
    Repeat at the rate of the range test: where that works, the rate was the fault; where not, the pipeline.

Source
    Karpathy, A Recipe for Training Neural Networks: "overfit one batch". The threshold, half of the way to the floor, is ours.
"""

from __future__ import annotations

from unplateau.diagnosis.case import Case
from unplateau.diagnosis.schedule_view import is_rate_off
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "batch-not-learnable"
_SOURCE = "probe overfit_batch"
_LEAST_SHARE = 0.5  # of the way from the first loss to the floor
_NEAR_FLOOR = 0.5  # nats: a batch that begins here is known by heart already


def judge(case: Case) -> Verdict:
    """Fire where the loss of one batch stays away from its floor."""
    share = _share(case, "")
    if share is None or share >= _LEAST_SHARE or is_rate_off(case):
        return None  # at a rate far below the configured one nothing is learned, whatever the pipeline
    other = _share(case, "best rate")
    first, last = case.measured("overfit_first_loss")[""], case.measured("overfit_last_loss")[""]
    evidence = [Evidence(f"the loss of one batch went from {first:.3f} to {last:.3f}", last, _floor(case), _SOURCE)]
    if other is not None:
        evidence.append(Evidence(f"at the range test's rate it goes {other:.0%} of the way to its floor", other, 1.0, _SOURCE))
    if other is not None and other >= _LEAST_SHARE:
        return _by_rate(case, tuple(evidence))
    return Finding(
        code=CODE,
        title="One batch cannot be learned by heart: the pipeline is broken",
        severity="pipeline",
        confidence=0.7 if other is not None else 0.6,  # a symptom of many causes
        evidence=tuple(evidence),
        causes=("no-gradient", "detached-branch", "softmax-before-ce", "missing-cosine-scale", "gradient-clipped-away",
                "dropout-too-strong", "stale-optimizer"),
        refuted_by="the same batch learned in more steps at a rate ten times higher or lower",
        next_test="the same on a network of one linear layer: if that learns, look for what stands between loss and backbone",
        remedies=("restore_gradient", "restore_logits", "loosen_clipping", "fix_optimizer"),
    )  # fmt: skip


def _by_rate(case: Case, evidence: tuple[Evidence, ...]) -> Finding:
    rate, best = case.measured("probed_rate").get("", 0.0), case.measured("rate_of_steepest_descent").get("", 0.0)
    low = rate < best
    text = f"the run's rate is {rate:.2g}, the loss falls fastest at {best:.2g}"
    return Finding(
        code="learning-rate-too-low" if low else "learning-rate-too-high",
        title=f"The learning rate is too {'low' if low else 'high'}: one batch is learned at {best:.2g}, not at {rate:.2g}",
        severity="optimisation",
        confidence=0.7,
        evidence=(*evidence, Evidence(text, rate, best, "probe lr_range")),
        causes=("learning-rate-too-low", "epsilon-too-large", "gradient-clipped-away") if low else ("learning-rate-too-high",),
        refuted_by="a burst of training at the other rate that brings nothing",
        next_test="a few hundred steps at both rates on the same batches (--bursts)",
        remedies=("higher_learning_rate", "loosen_clipping") if low else ("lower_learning_rate", "warm_up"),
    )


def _share(case: Case, group: str) -> float | None:
    first, last = case.measured("overfit_first_loss").get(group), case.measured("overfit_last_loss").get(group)
    if first is None or last is None or first - _floor(case) < _NEAR_FLOOR:
        return None
    return (first - last) / (first - _floor(case))


def _floor(case: Case) -> float:
    return case.measured("overfit_floor").get("", 0.0)
