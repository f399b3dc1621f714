"""The learning rate is too high.

What it is
    The loss rises, jumps, or stays above where it began: steps overshoot. Adam hides it by keeping the loss finite.

Why it happens
    A rate from another optimiser or batch size, no warm-up on a fresh head, or a rate multiplied twice.

How it was seen
    deep-person-reid#357: LR .002 with Adam gave mAP .2 %, 2e-4 alone 5.7 %. open-reid#24: LR .01. #240: amsgrad 1.5e-3.
    fast-reid#211: loss 2 to 10 after resuming with a changed configuration.

What to do
    Divide by 3 to 10 and warm up; a learning-rate range test says where the steepest descent is.

Source
    Smith 2017, arXiv 1506.01186 (range test).
"""

from __future__ import annotations

import numpy as np

from unplateau.curves.noise import noise_of_differences
from unplateau.diagnosis.case import Case, Curve
from unplateau.diagnosis.landmarks_of import head_starts, uniform
from unplateau.diagnosis.rules.label_structure_measured import OTHER_COUNT, people_over_told
from unplateau.diagnosis.schedule_view import in_warm_up, peak_rate, rate_over_usual, usual_rate
from unplateau.diagnosis.verdict import Verdict
from unplateau.runs.record import Evidence, Finding

CODE = "learning-rate-too-high"
_FEWEST_POINTS = 5
_FAR_ABOVE = 3.0
_ABOVE_START = 0.05  # nats
_SPIKE_NOISES = 12.0
_SPIKES_THAT_MATTER = 0.05  # of the points


def judge(case: Case) -> Verdict:
    """Fire on a loss that stays above its start, rises, or jumps, unless something else explains it as well."""
    loss = case.curve("cross_entropy") or case.curve("total")
    if loss is None or len(loss.y) < _FEWEST_POINTS or in_warm_up(case):
        return None
    signs = [sign for sign in (above_start(case, loss), _rising(loss), _spikes(loss)) if sign is not None]
    ratio = rate_over_usual(case)
    if not signs or (ratio is not None and ratio < 1 and len(signs) < 2):
        return None
    high = ratio is not None and ratio >= _FAR_ABOVE
    if not high and above_start(case, loss) is not None and len(signs) == 1:
        return None  # `fitting_noise`: the rate is not the only explanation
    evidence = [*signs]
    rate = peak_rate(case)
    if rate is not None:
        usual = usual_rate(case)
        evidence.append(
            Evidence(
                f"learning rate {rate:.3g}; recipes with {case.facts.optimizer or 'Adam'} use {usual:.3g}", rate, usual, "log"
            )
        )
    return Finding(
        code=CODE,
        title="The learning rate is too high",
        severity="optimisation",
        confidence=round(0.4 + 0.15 * len(signs) + (0.1 if high else 0.0), 2),  # a single sign has many other causes
        evidence=tuple(evidence),
        causes=("learning-rate-too-high", "no-warm-up", "gradients-accumulate"),
        refuted_by="the same start with a tenth of the rate showing the same curve",
        next_test="one epoch from the start with a tenth of the rate",
        remedies=("lower_learning_rate", "warm_up", "clip_gradients"),
    )


def above_start(case: Case, loss: Curve) -> Evidence | None:
    """Return the evidence that the cross-entropy stays above every possible start, or None."""
    starts = head_starts(case)
    ln_i = uniform(case)
    if (people_over_told(case) or 1.0) > OTHER_COUNT:
        return None  # the start is that of more people: `label_structure_measured`
    if loss.name != "cross_entropy" or ln_i is None or not starts:
        return None
    highest = max(start.start.mean + start.tolerance for start in starts)
    late = loss.from_x(float(loss.x[len(loss.x) // 2]))
    if late.level <= highest + _ABOVE_START or late.is_falling(0.1 * (late.level - ln_i)):
        return None
    return Evidence(f"cross-entropy {late.level:.2f}, above ln I = {ln_i:.3f}, and not falling", late.level, ln_i, late.where())


def _rising(loss: Curve) -> Evidence | None:
    best = float(loss.y.min())
    noise = max(loss.slope.noise.std, noise_of_differences(loss.y))
    if loss.latest <= max(loss.first, best) + max(4 * noise, 0.1 * abs(best)):
        return None
    return Evidence(f"{loss.name} rose from {loss.first:.2f} to {loss.latest:.2f}", loss.latest, loss.first, loss.where())


def _spikes(loss: Curve) -> Evidence | None:
    noise = max(noise_of_differences(loss.y), 1e-9, 0.01 * abs(loss.level))
    jumps = np.diff(loss.y) > _SPIKE_NOISES * noise
    if len(loss.y) < 10 or jumps.mean() < _SPIKES_THAT_MATTER or jumps.sum() < 2:
        return None
    return Evidence(
        f"{int(jumps.sum())} upward jumps of more than {_SPIKE_NOISES:.0f} times the noise", float(jumps.sum()), 0.0, loss.where()
    )
