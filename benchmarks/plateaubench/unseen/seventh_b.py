"""Faults to judge a diagnoser with, seventh file, second half: samplers and losses, network and evaluation.

Its author had read neither rules nor probes nor what any run was found to be. Bugs as people write them; no kind is a severity of
an older one. A cause is accepted when its published meaning is true of the run and its cure is where the bug is; where a
measurement is wrong, any word whose cure is to repair the evaluation. Nothing was diagnosed before it was complete.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/seventh_b.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import seventh_b_losses as losses
from benchmarks.plateaubench.unseen import seventh_b_model as model

_EVALUATION = "evaluation-preprocessing evaluated-in-train-mode stale-weights-evaluated same-camera-not-filtered"
_LABELS = "labels-shuffled labels-noisy"

_LOSSES = (
    fault("lists_of_images_used_up", "no-positives no-pk-sampling", losses.lists_of_images_used_up),
    fault("windows_moved_by_one", "too-few-identities not-shuffled", losses.windows_moved_by_one),
    fault("triplet_subtracted", "loss-weights-unbalanced", losses.triplet_subtracted),
    fault("likelihood_of_probabilities", "softmax-before-ce wrong-head", losses.likelihood_of_probabilities, severity="mild"),
    fault("memory_times_its_temperature", "missing-cosine-scale", losses.memory_times_its_temperature),
    fault("groups_of_another_size", f"identities-merged {_LABELS}", losses.groups_of_another_size, severity="mild"),
    fault("contrast_without_labels", "identities-split", losses.contrast_without_labels),
    fault("everybody_is_a_positive", f"identities-merged {_LABELS}", losses.everybody_is_a_positive),
    fault("total_made_of_numbers", "no-gradient detached-branch", losses.total_made_of_numbers),
    fault("teacher_weighted_for_a_temperature", "loss-weights-unbalanced", losses.teacher_weighted_for_a_temperature),
    fault("losses_divided_by_themselves", "loss-weights-unbalanced", losses.losses_divided_by_themselves, severity="mild"),
    fault("features_for_logits", "wrong-head", losses.features_for_logits, severity="mild"),
)
_MODEL = (
    fault("whole_images_dropped", "dropout-too-strong", model.whole_images_dropped),
    fault("adapters_beside_random_weights", "backbone-frozen layers-frozen", model.adapters_beside_random_weights),
    fault("teacher_is_not_a_copy", "backbone-frozen layers-frozen batch-norm-in-eval", model.teacher_is_not_a_copy),
    fault("norms_of_a_detector", "batch-norm-in-eval layers-frozen", model.norms_of_a_detector),
    fault("logits_of_unit_length", "wrong-head missing-cosine-scale", model.logits_of_unit_length, severity="mild"),
    fault("gates_rectified", "dead-units", model.gates_rectified),
    fault("trained_names_have_a_prefix", "everything-frozen layers-frozen", model.trained_names_have_a_prefix),
    fault(
        "noise_for_features_of_variance_one",
        "augmentation-too-strong dropout-too-strong",
        model.noise_for_features_of_variance_one,
    ),
    fault("last_stripe_only", "layers-frozen detached-branch no-gradient", model.last_stripe_only),
    fault("precision_in_whole_numbers", _EVALUATION, model.precision_in_whole_numbers),
    fault("one_cell_of_the_index_searched", _EVALUATION, model.one_cell_of_the_index_searched, severity="mild"),
    fault("queries_before_the_neck", _EVALUATION, model.queries_before_the_neck),
)
FAULTS: tuple[Fault, ...] = tuple(
    planted
    for first in range(max(map(len, (_LOSSES, _MODEL))))
    for part in (_LOSSES, _MODEL)
    for planted in part[first : first + 1]
)
"""One of each half in turn, so that a part of a run is a fair sample."""
