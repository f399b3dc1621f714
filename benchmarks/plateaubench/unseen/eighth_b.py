"""Faults to judge a diagnoser with, eighth file, second half: samplers and losses, network and evaluation.

Its author had read neither rules nor probes nor what any run was found to be. Bugs as people write them; no kind is a severity of
an older one. A cause is accepted when its published meaning is true of the run and its cure is where the bug is; where a
measurement is wrong, any word whose cure is to repair the evaluation. Nothing was diagnosed before it was complete.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/eighth_b.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import eighth_b_losses as losses
from benchmarks.plateaubench.unseen import eighth_b_model as model

_EVALUATION = "evaluation-preprocessing evaluated-in-train-mode stale-weights-evaluated same-camera-not-filtered"
_LABELS = "labels-shuffled labels-noisy"

_LOSSES = (
    fault("all_batches_are_one_list", "too-few-identities not-shuffled", losses.all_batches_are_one_list),
    fault("people_with_few_images_left_out", "too-few-identities", losses.people_with_few_images_left_out),
    fault("averaged_as_frames_of_a_clip", "no-positives no-pk-sampling", losses.averaged_as_frames_of_a_clip),
    fault(
        "labels_mixed_and_images_not",
        f"label-smoothing-too-strong {_LABELS}",
        losses.labels_mixed_and_images_not,
        severity="mild",
    ),
    fault(
        "pairs_told_the_other_way_round",
        f"identities-merged identities-split {_LABELS}",
        losses.pairs_told_the_other_way_round,
    ),
    fault(
        "places_among_the_pairs_taken_for_rows",
        f"identities-merged {_LABELS}",
        losses.places_among_the_pairs_taken_for_rows,
        severity="mild",
    ),
    fault(
        "positives_of_a_loader_of_its_own",
        f"identities-merged {_LABELS}",
        losses.positives_of_a_loader_of_its_own,
        severity="mild",
    ),
    fault("people_join_one_an_epoch", "too-few-identities", losses.people_join_one_an_epoch),
    fault("correlations_penalised_in_a_sum", "loss-weights-unbalanced", losses.correlations_penalised_in_a_sum, severity="mild"),
    fault("bootstrapped_with_exchanged_shares", "loss-weights-unbalanced", losses.bootstrapped_with_exchanged_shares),
    fault("attacked_in_units_of_pixels", "augmentation-too-strong", losses.attacked_in_units_of_pixels),
)
_MODEL = (
    fault("attention_on_detached_maps", "detached-branch no-gradient", model.attention_on_detached_maps),
    fault(
        "filters_standardised_from_their_data",
        "layers-frozen backbone-frozen detached-branch no-gradient",
        model.filters_standardised_from_their_data,
    ),
    fault("shuffled_twice_and_not_back", f"labels-off-by-one {_LABELS}", model.shuffled_twice_and_not_back),
    fault("threshold_for_a_ceiling", "dead-units", model.threshold_for_a_ceiling),
    fault(
        "labels_folded_into_ten_outputs",
        "identities-merged labels-out-of-range wrong-head",
        model.labels_folded_into_ten_outputs,
    ),
    fault("first_channel_for_the_class_token", "embedding-too-small", model.first_channel_for_the_class_token),
    fault("returned_inside_the_loop", "layers-frozen embedding-too-small", model.returned_inside_the_loop),
    fault("weights_dropped_in_every_layer", "dropout-too-strong", model.weights_dropped_in_every_layer),
    fault(
        "filters_normalised_into_new_parameters",
        "stale-optimizer layers-frozen backbone-frozen",
        model.filters_normalised_into_new_parameters,
    ),
    fault(
        "probabilities_of_classifiers_averaged",
        "softmax-before-ce wrong-head",
        model.probabilities_of_classifiers_averaged,
    ),
    fault(
        "evaluated_with_the_norms_of_another_domain",
        f"batch-norm-in-eval {_EVALUATION}",
        model.evaluated_with_the_norms_of_another_domain,
    ),
    fault("features_reshaped_not_turned", _EVALUATION, model.features_reshaped_not_turned),
)
FAULTS: tuple[Fault, ...] = tuple(
    planted
    for first in range(max(map(len, (_LOSSES, _MODEL))))
    for part in (_LOSSES, _MODEL)
    for planted in part[first : first + 1]
)
"""One of each half in turn, so that a part of a run is a fair sample."""
