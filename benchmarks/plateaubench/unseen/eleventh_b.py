"""Faults to judge a diagnoser with, eleventh file, second half: samplers and losses, network and evaluation.

Its author had read neither rules nor probes nor how any older fault was planted. Bugs that people reported in public threads and
that an older file was said to hold already, planted anew, as the thread describes them, in the order in which the threads were
found; `tenth_b` holds those of the same threads that were new, so both together show how often what a user reports is named. Two
threads with one mistake are two faults only where what comes of it differs. A cause is accepted when its published meaning is
true of the run and it leads to where the bug is, or mends it; where a measurement is wrong, any word whose cure is to repair the
evaluation. Nothing was diagnosed before that.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/eleventh_b.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import eleventh_b_losses as losses
from benchmarks.plateaubench.unseen import eleventh_b_model as model

_EVALUATION = "evaluation-preprocessing evaluated-in-train-mode stale-weights-evaluated same-camera-not-filtered"
_LOST_CROSS_ENTROPY = "detached-branch cross-entropy-missing"  # it has no gradient, so only the triplet loss trains anything

_LOSSES = (
    # Its weight of 0 is the bug, and a loss of weight 0 is measured here without a gradient.
    fault(
        "weight_of_the_cross_entropy_left_at_zero",
        "cross-entropy-missing loss-weights-unbalanced detached-branch",
        losses.weight_of_the_cross_entropy_left_at_zero,
    ),
    fault("margin_written_into_the_loss", "margin-wrong", losses.margin_written_into_the_loss, severity="mild"),
    fault("triplets_picked_from_an_array", "detached-branch", losses.triplets_picked_from_an_array, severity="mild"),
    fault("network_ends_in_a_softmax", "softmax-before-ce wrong-head", losses.network_ends_in_a_softmax),
    fault(
        "centre_loss_not_divided_by_the_batch",
        "loss-weights-unbalanced",
        losses.centre_loss_not_divided_by_the_batch,
    ),
    fault(
        "smoothing_adds_a_whole_share",
        "label-smoothing-too-strong",
        losses.smoothing_adds_a_whole_share,
        severity="mild",
    ),
    fault("teacher_compared_with_itself", _LOST_CROSS_ENTROPY, losses.teacher_compared_with_itself),
    fault(
        "temperature_without_its_square",
        "loss-weights-unbalanced",
        losses.temperature_without_its_square,
        severity="mild",
    ),
    fault("divergence_of_probabilities", "wrong-head loss-weights-unbalanced", losses.divergence_of_probabilities),
    # Each batch is one image over and over, so also one person, and there is no other to be told from.
    fault(
        "index_that_is_never_read",
        "duplicates too-few-identities batch-too-small",
        losses.index_that_is_never_read,
    ),
    fault(
        "sampler_counts_tracks_and_the_loader_images",
        "too-few-identities",
        losses.sampler_counts_tracks_and_the_loader_images,
    ),
    fault("logits_taken_for_labels", "wrong-head loss-weights-unbalanced", losses.logits_taken_for_labels),
    fault(
        "probabilities_taken_for_labels",
        "wrong-head",
        losses.probabilities_taken_for_labels,
        severity="mild",
    ),
    fault("numbers_of_people_with_gaps", "labels-out-of-range", losses.numbers_of_people_with_gaps),
    fault("loss_of_the_most_likely_person", _LOST_CROSS_ENTROPY, losses.loss_of_the_most_likely_person),
)
_MODEL = (
    fault("share_of_an_integer_division", _EVALUATION, model.share_of_an_integer_division),
    fault("scored_image_by_image_in_training_mode", _EVALUATION, model.scored_image_by_image_in_training_mode),
    fault("last_layer_made_like_the_others", "wrong-head", model.last_layer_made_like_the_others),
    fault("last_layer_counted_one_too_far", "wrong-head", model.last_layer_counted_one_too_far),
    fault("functional_dropout_without_its_flag", _EVALUATION, model.functional_dropout_without_its_flag),
    fault(
        "cosines_where_scaled_ones_are_computed",
        "missing-cosine-scale",
        model.cosines_where_scaled_ones_are_computed,
    ),
    fault(
        "share_dropped_given_for_the_share_kept",
        "dropout-too-strong",
        model.share_dropped_given_for_the_share_kept,
    ),
    fault("zero_meant_for_the_biases", "dead-units", model.zero_meant_for_the_biases),
)
FAULTS: tuple[Fault, ...] = tuple(
    planted
    for first in range(max(map(len, (_LOSSES, _MODEL))))
    for part in (_LOSSES, _MODEL)
    for planted in part[first : first + 1]
)
"""One of each half in turn, so that a part of a run is a fair sample."""
