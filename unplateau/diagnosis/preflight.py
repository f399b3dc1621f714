"""Judges what preflight measured: is there anything that makes this training pointless? Pure functions, no torch.

Measuring: `unplateau.engine.preflight`. Every check is a rule of its own below; each gives a finding or nothing.
"""

import math
from collections.abc import Mapping, Sequence

from unplateau.diagnosis.rules.motion_measured import hidden_layers
from unplateau.runs.record import Evidence, Finding, Measurement

_SOURCE = "preflight, one rehearsed step at the peak learning rate"
_INITIAL_LOSS_SPREADS = 6.0  # the batch's identities are few and their logits shared: Gaussian, so six is beyond chance
_INITIAL_LOSS_SLACK = 0.05  # nats; higher-order terms of E[log-sum-exp] and bf16 logits
_LARGEST_INPUT_MEAN = 4.0  # a white or black image under ImageNet's statistics has 2.6 and 2.1
_ROW_SUM_TOLERANCE = 0.02  # hundreds of probabilities in bf16; raw logits of a row sum to 1 by chance once in many batches
_INPUT_STD_RANGE = (0.02, 8.0)  # real crops have .5 to 1.5; wrong scales miss by factors of 50 to 255


def judge_preflight(measurements: Sequence[Measurement], *, needs_positives: bool) -> tuple[Finding, ...]:
    """Return what is wrong, the most telling first; empty where the training can begin.

    Args:
        measurements: what `engine.preflight.preflight` gave.
        needs_positives: a triplet or circle loss is part of the total.
    """
    values = {
        measurement.name: measurement.value
        for measurement in measurements
        if not measurement.group and measurement.value is not None
    }
    candidates = [
        _inputs(values),
        _labels(values),
        _learning_rate(values),
        _everything_frozen(values),
        _weights(measurements, values),
        hidden_layers(values.get("hidden_leaves", 0.0), confidence=0.95, source="preflight, the graph of the first loss"),
        _positives(values) if needs_positives else None,
        _logits(values),
        _initial_loss(values),
    ]
    return tuple(finding for finding in candidates if finding is not None)


def _everything_frozen(values: Mapping[str, float]) -> Finding | None:
    if values.get("trainable_tensors", 1.0) > 0:
        return None
    return Finding(
        code="weights-not-updated",
        title="Every layer is frozen",
        severity="pipeline",
        confidence=1.0,
        evidence=(Evidence("no parameter of the model asks for a gradient", 0.0, None, _SOURCE),),
        causes=("everything-frozen",),
        refuted_by="a parameter with requires_grad",
        next_test="look for requires_grad_(False) in the model, and at MODEL.FREEZE_LAYERS",
        remedies=("unfreeze",),
    )


def _weights(measurements: Sequence[Measurement], values: Mapping[str, float]) -> Finding | None:
    if values.get("peak_rate") == 0:
        return None
    motion = {m.group: m.value or 0.0 for m in measurements if m.name == "weight_motion"}
    gradient = {m.group: m.value or 0.0 for m in measurements if m.name == "gradient_norm"}
    still = [group for group, value in motion.items() if value == 0.0]
    if not still:
        return None
    evidence = [Evidence(f"weights of {group} moved by exactly 0", 0.0, 1e-3, _SOURCE) for group in still]
    with_gradient = [group for group in still if gradient.get(group, 0.0) > 0]
    if with_gradient:
        total = math.fsum(gradient[group] ** 2 for group in with_gradient) ** 0.5
        evidence.append(Evidence(f"they have gradients: norm {total:.4g}", total, None, _SOURCE))
    state = values.get("optimizer_state_tensors", 0.0)
    if values.get("optimizer_keeps_state") and state == 0:
        evidence.append(Evidence("the optimiser's state is empty after its step", 0.0, None, _SOURCE))
    everything = len(still) == len(motion)
    return Finding(
        code="weights-not-updated",
        title="The optimiser does not touch the weights" if everything else f"Not trained: {', '.join(still)}",
        severity="pipeline",
        confidence=0.99 if with_gradient else 0.9,
        evidence=tuple(evidence),
        causes=("stale-optimizer",) if with_gradient else ("no-gradient", "detached-branch", "everything-frozen"),
        refuted_by="any weight of these layers differing after a step without weight decay",
        next_test="check that the optimiser holds the model's own parameters: "
        "compare id(p) of optimizer.param_groups and model.parameters()",
        remedies=("fix_optimizer",),
    )


def _learning_rate(values: Mapping[str, float]) -> Finding | None:
    if values.get("peak_rate", 1.0) > 0:
        return None
    return Finding(
        code="learning-rate-zero",
        title="The learning rate is 0",
        severity="pipeline",
        confidence=1.0,
        evidence=(Evidence("SOLVER.BASE_LR is 0, so no step changes anything", 0.0, None, "configuration"),),
        refuted_by="a learning rate above 0",
        next_test="set SOLVER.BASE_LR, for Adam usually 0.00035",
        remedies=("restore_learning_rate",),
    )


def _labels(values: Mapping[str, float]) -> Finding | None:
    lowest, highest, identities = (values.get(name) for name in ("label_lowest", "label_highest", "num_identities"))
    if lowest is None or highest is None or identities is None or (lowest >= 0 and highest < identities):
        return None
    return Finding(
        code="labels-out-of-range",
        title="Labels do not run from 0 to the number of identities minus 1",
        severity="pipeline",
        confidence=1.0,
        evidence=(
            Evidence(f"labels {lowest:.0f} to {highest:.0f} for {identities:.0f} identities", highest, identities - 1, _SOURCE),
        ),
        refuted_by="labels within 0..I-1",
        next_test="relabel the training identities 0..I-1",
        remedies=("relabel",),
    )


def _inputs(values: Mapping[str, float]) -> Finding | None:
    mean, std = values.get("input_mean"), values.get("input_std")
    if mean is None or std is None:
        return None
    low, high = _INPUT_STD_RANGE
    if values.get("inputs_finite", 1.0) and mean <= _LARGEST_INPUT_MEAN and low <= std <= high:
        return None
    return Finding(
        code="blank-inputs" if std < low else "inputs-not-normalised",
        title="The images are blank" if std < low else "The images are not normalised as the network expects",
        severity="pipeline",
        confidence=0.97,
        evidence=(
            Evidence(f"largest channel mean {mean:.3g} (about 0 expected)", mean, 0.0, _SOURCE),
            Evidence(f"channel standard deviation {std:.3g} (about 1 expected)", std, 1.0, _SOURCE),
        ),
        refuted_by="channel means near 0 and standard deviations near 1 after the transforms",
        next_test="check MODEL.PIXEL_MEAN and MODEL.PIXEL_STD: they are on the 0-255 scale here",
        remedies=("repair_normalisation",),
    )


def _positives(values: Mapping[str, float]) -> Finding | None:
    share = values.get("anchors_with_positive", 1.0)
    if share > 0 and values.get("identities_in_batch", 2.0) > 1:
        return None
    missing = "positive" if share == 0 else "negative"
    return Finding(
        code="no-positives" if share == 0 else "no-negatives",
        title=f"No image of the batch has a {missing} for the metric loss",
        severity="pipeline",
        confidence=0.95,
        evidence=(
            Evidence(f"{share:.0%} of the anchors have a second image of their identity in the batch", share, 1.0, _SOURCE),
        ),
        refuted_by="a batch with several identities and several images of each",
        next_test="use DATALOADER.SAMPLER_TRAIN NaiveIdentitySampler with NUM_INSTANCE 4",
        remedies=("use_pk_sampling",),
    )


def _logits(values: Mapping[str, float]) -> Finding | None:
    lowest, difference = values.get("logits_lowest"), values.get("logits_row_sum_from_1")
    if lowest is None or difference is None or lowest < 0 or difference > _ROW_SUM_TOLERANCE:
        return None
    return Finding(
        code="softmax-before-ce",
        title="The cross-entropy is given probabilities: softmax is applied twice",
        severity="pipeline",
        confidence=0.97,
        evidence=(
            Evidence(
                f"each row of what reaches the loss sums to 1 (within {difference:.1g}) and none is negative", 1.0, 1.0, _SOURCE
            ),
        ),
        causes=("softmax-before-ce",),
        refuted_by="a negative logit, or a row that does not sum to 1",
        next_test="look for a softmax between the classifier and the loss; cross-entropy applies its own",
        remedies=("restore_logits",),
    )


def _initial_loss(values: Mapping[str, float]) -> Finding | None:
    seen, expected = values.get("initial_cross_entropy"), values.get("initial_cross_entropy_expected")
    if seen is None or expected is None:
        return None
    tolerance = _INITIAL_LOSS_SPREADS * values.get("initial_cross_entropy_spread", 0.0) + _INITIAL_LOSS_SLACK
    if abs(seen - expected) <= tolerance:
        return None
    return Finding(
        code="initial-loss-off",
        title="The first loss is not where theory puts it",
        severity="pipeline",
        confidence=0.9,
        evidence=(
            Evidence(
                f"cross-entropy {seen:.3f} on the first batch, {expected:.3f} ± {tolerance:.3f} expected", seen, expected, _SOURCE
            ),
        ),
        causes=("softmax-before-ce", "wrong-head", "labels-out-of-range"),
        refuted_by="a first cross-entropy near ln I + |f|²·std²/2",
        next_test="check the classifier's initial weights and that raw logits, not probabilities, reach the loss",
        remedies=("restore_logits",),
    )
