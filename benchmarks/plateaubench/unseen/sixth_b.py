"""Faults to judge a diagnoser with, sixth file, second half: samplers and losses, network and evaluation.

Its author had read neither rules nor probes nor what any run was found to be. Bugs as people write them; no kind is a severity of
an older one. A cause is accepted when its published meaning is true of the run and its cure is where the bug is; where a
measurement is wrong, any word whose cure is to repair the evaluation. Nothing was diagnosed before it was complete.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/sixth_b.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import sixth_b_losses as losses
from benchmarks.plateaubench.unseen import sixth_b_model as model

_EVALUATION = "evaluation-preprocessing evaluated-in-train-mode stale-weights-evaluated same-camera-not-filtered"
_LABELS = "labels-shuffled labels-noisy"

_LOSSES = (
    fault("groups_dealt_across_batches", "no-pk-sampling no-positives", losses.groups_dealt_across_batches),
    fault("rest_of_the_batch_is_image_zero", "no-pk-sampling no-positives", losses.rest_of_the_batch_is_image_zero),
    fault("places_in_a_part_taken_for_places_in_all", "too-few-identities", losses.places_in_a_part_taken_for_places_in_all),
    fault("shuffled_in_a_small_buffer", "not-shuffled", losses.shuffled_in_a_small_buffer, severity="mild"),
    fault("epoch_never_told_to_the_sampler", "not-shuffled", losses.epoch_never_told_to_the_sampler, severity="mild"),
    fault("weights_of_losses_learned_freely", "loss-weights-unbalanced", losses.weights_of_losses_learned_freely),
    fault("cameras_unlearned_too_strongly", "loss-weights-unbalanced", losses.cameras_unlearned_too_strongly),
    fault("root_of_the_distances_forgotten", "margin-wrong loss-weights-unbalanced", losses.root_of_the_distances_forgotten),
    fault("softmax_of_the_targets_too", "label-smoothing-too-strong", losses.softmax_of_the_targets_too),
    fault(
        "squared_errors_of_one_hot_labels",
        "cross-entropy-missing loss-weights-unbalanced",
        losses.squared_errors_of_one_hot_labels,
    ),
    fault(
        "loss_clamped_against_jumps",
        "detached-branch no-gradient cross-entropy-missing",
        losses.loss_clamped_against_jumps,
    ),
    fault("first_of_the_batch_is_the_positive", f"identities-merged {_LABELS}", losses.first_of_the_batch_is_the_positive),
    fault(
        "memory_of_labels_a_batch_behind", f"labels-off-by-one {_LABELS}", losses.memory_of_labels_a_batch_behind, severity="mild"
    ),
)
_MODEL = (
    fault("rounded_without_a_way_back", "detached-branch no-gradient", model.rounded_without_a_way_back),
    fault("layer_made_in_the_forward_pass", "stale-optimizer layers-frozen", model.layer_made_in_the_forward_pass),
    fault("folded_before_training", "batch-norm-in-eval", model.folded_before_training),
    fault("dropout_rises_with_the_batches", "dropout-too-strong", model.dropout_rises_with_the_batches),
    fault(
        "cosines_clamped_after_their_scale",
        "missing-cosine-scale wrong-head",
        model.cosines_clamped_after_their_scale,
    ),
    fault("neck_behind_the_classifier", "wrong-head", model.neck_behind_the_classifier, severity="mild"),
    fault(
        "only_the_early_head_has_a_loss",
        "layers-frozen detached-branch no-gradient",
        model.only_the_early_head_has_a_loss,
    ),
    fault("normalised_in_the_model_too", "inputs-not-normalised", model.normalised_in_the_model_too, severity="mild"),
    fault("styles_exchanged_in_every_layer", "augmentation-too-strong", model.styles_exchanged_in_every_layer),
    fault("reduction_read_as_a_width", "embedding-too-small", model.reduction_read_as_a_width),
    fault("first_answers_only", _EVALUATION, model.first_answers_only, severity="mild"),
    fault("answers_left_out_are_missed", _EVALUATION, model.answers_left_out_are_missed, severity="mild"),
    fault("last_figure_of_the_number_cut_off", _EVALUATION, model.last_figure_of_the_number_cut_off),
)
FAULTS: tuple[Fault, ...] = tuple(
    planted
    for first in range(max(map(len, (_LOSSES, _MODEL))))
    for part in (_LOSSES, _MODEL)
    for planted in part[first : first + 1]
)
"""One of each half in turn, so that a part of a run is a fair sample."""
