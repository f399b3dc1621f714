"""Faults to judge a diagnoser with, fourth file: its author had read neither rules nor probes nor what any run was found to be.

Bugs as people report them, about a quarter each in the four files beside this one; no kind is a severity of an older one. A cause
is accepted when its published meaning is true of the run and its cure is where the bug is; where a measurement is wrong, any word
whose cure is to repair the evaluation. Nothing was diagnosed before it was complete.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/fourth.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import fourth_data as data
from benchmarks.plateaubench.unseen import fourth_losses as losses
from benchmarks.plateaubench.unseen import fourth_model as model
from benchmarks.plateaubench.unseen import fourth_optimisation as optimisation

_EVALUATION = "evaluation-preprocessing evaluated-in-train-mode stale-weights-evaluated same-camera-not-filtered"
_LABELS = "labels-shuffled labels-noisy"

_OPTIMISATION = (
    fault("clipped_before_unscaling", "gradient-clipped-away", optimisation.clipped_before_unscaling),
    fault("static_scale_overflows", "scaler-always-skips no-gradient", optimisation.static_scale_overflows),
    fault("unfrozen_but_not_held", "stale-optimizer backbone-frozen layers-frozen", optimisation.unfrozen_but_not_held),
    fault("cleared_between_two_losses", "no-gradient cross-entropy-missing", optimisation.cleared_between_two_losses),
    fault("last_piece_only", "batch-too-small no-gradient", optimisation.last_piece_only(4)),
    fault("absolute_weights_summed", "weight-decay-too-strong loss-weights-unbalanced", optimisation.absolute_weights_summed),
    fault("drawn_to_the_first_weights", "loss-weights-unbalanced", optimisation.drawn_to_the_first_weights),
    fault("descent_counted_in_batches", "schedule-too-fast learning-rate-zero", optimisation.descent_counted_in_batches),
    fault("milestones_as_shares", "schedule-too-fast learning-rate-too-low", optimisation.milestones_as_shares),
    fault("one_group_scheduled", "learning-rate-zero backbone-frozen layers-frozen", optimisation.one_group_scheduled),
    fault("decayed_layer_by_layer", "learning-rate-too-low layers-frozen", optimisation.decayed_layer_by_layer),
    fault("second_optimizer_holds_all", "learning-rate-too-high", optimisation.second_optimizer_holds_all),
    fault("lion_at_adams_rate", "learning-rate-too-high", optimisation.lion_at_adams_rate, severity="mild"),
)
_DATA = (
    fault("always_grey", "augmentation-too-strong evaluation-preprocessing", data.always_grey),
    fault("erased_nearly_whole", "augmentation-too-strong", data.erased_nearly_whole),
    fault("turned_all_round", "augmentation-too-strong", data.turned_all_round),
    fault("brightness_in_tenths", "augmentation-too-strong", data.brightness_in_tenths),
    fault("read_from_thumbnails", "evaluation-preprocessing", data.read_from_thumbnails, severity="mild"),
    fault("height_for_width", "evaluation-preprocessing", data.height_for_width),
    fault(
        "colours_not_converted",
        "evaluation-preprocessing channels-swapped inputs-not-normalised",
        data.colours_not_converted,
    ),
    fault("mean_taken_off_in_eight_bits", "inputs-not-normalised", data.mean_taken_off_in_eight_bits),
    fault("person_masked_out", "evaluation-preprocessing augmentation-too-strong blank-images", data.person_masked_out),
    fault("augmented_in_place", "blank-images augmentation-too-strong", data.augmented_in_place),
    fault("labels_not_filtered_along", f"labels-off-by-one {_LABELS}", data.labels_not_filtered_along),
    fault("outliers_share_the_last_label", f"identities-merged {_LABELS}", data.outliers_share_the_last_label),
    fault("data_set_listed_twice", "identities-split duplicates", data.data_set_listed_twice, severity="mild"),
    fault("boxes_of_passers_by", _LABELS, data.boxes_of_passers_by),
)
_LOSSES = (
    fault("first_images_in_order", "not-shuffled", losses.first_images_in_order),
    fault("grouped_by_camera", "no-pk-sampling no-positives", losses.grouped_by_camera, severity="mild"),
    fault("outputs_in_the_wrong_order", "wrong-head", losses.outputs_in_the_wrong_order, severity="mild"),
    fault("metric_loss_told_cameras", f"identities-merged {_LABELS}", losses.metric_loss_told_cameras),
    fault(
        "labels_gathered_in_another_order",
        f"labels-off-by-one {_LABELS}",
        losses.labels_gathered_in_another_order,
        severity="mild",
    ),
    fault("positives_of_other_cameras", "camera-ids-wrong no-positives", losses.positives_of_other_cameras, severity="mild"),
    fault("contrast_of_raw_features", "loss-weights-unbalanced", losses.contrast_of_raw_features),
    fault("confidence_punished", "loss-weights-unbalanced", losses.confidence_punished, severity="mild"),
    fault("taught_by_random_weights", "loss-weights-unbalanced pretrained-not-loaded", losses.taught_by_random_weights),
    fault("metric_ramp_without_end", "loss-weights-unbalanced", losses.metric_ramp_without_end, severity="mild"),
    fault("smoothing_not_shared_out", "label-smoothing-too-strong", losses.smoothing_not_shared_out, severity="mild"),
    fault("binary_losses_of_identities", "wrong-head loss-weights-unbalanced", losses.binary_losses_of_identities),
    fault("mixed_with_exchanged_shares", _LABELS, losses.mixed_with_exchanged_shares),
    fault("margin_added", "margin-wrong wrong-head", losses.margin_added),
)
_MODEL = (
    fault("classifier_renewed_each_epoch", "stale-optimizer layers-frozen", model.classifier_renewed_each_epoch),
    fault(
        "unit_length_before_a_linear_classifier",
        "missing-cosine-scale",
        model.unit_length_before_a_linear_classifier,
        severity="mild",
    ),
    fault("lower_layers_cut_off", "detached-branch no-gradient layers-frozen", model.lower_layers_cut_off),
    fault("block_dropped_too_large", "dropout-too-strong", model.block_dropped_too_large),
    fault("stripes_written_over_each_other", "embedding-too-small dead-units", model.stripes_written_over_each_other),
    fault("first_checkpoint_taken_for_the_best", "stale-weights-evaluated", model.first_checkpoint_taken_for_the_best),
    fault("query_numbers_and_gallery_numbers", _EVALUATION, model.query_numbers_and_gallery_numbers),
    fault("gallery_shuffled_by_its_loader", _EVALUATION, model.gallery_shuffled_by_its_loader),
    fault("kept_in_eight_bits", _EVALUATION, model.kept_in_eight_bits),
    fault("only_queries_of_unit_length", _EVALUATION, model.only_queries_of_unit_length),
    fault("expanded_by_the_farthest", _EVALUATION, model.expanded_by_the_farthest),
    fault("scored_with_one_scale_for_all_weights", _EVALUATION, model.scored_with_one_scale_for_all_weights),
    fault("evaluated_in_linear_light", "evaluation-preprocessing", model.evaluated_in_linear_light),
)
FAULTS: tuple[Fault, ...] = tuple(
    planted
    for first in range(max(map(len, (_OPTIMISATION, _DATA, _LOSSES, _MODEL))))
    for part in (_OPTIMISATION, _DATA, _LOSSES, _MODEL)
    for planted in part[first : first + 1]
)
"""One of each quarter in turn, so that a part of a run is a fair sample."""
