"""Faults to judge a diagnoser with, ninth file, second half: samplers and losses, network and evaluation.

Its author had read neither rules nor probes nor what any run was found to be. Bugs as people write them; no kind is a severity of
an older one. A cause is accepted when its published meaning is true of the run and its cure is where the bug is; where a
measurement is wrong, any word whose cure is to repair the evaluation. Nothing was diagnosed before it was complete.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/ninth_b.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import ninth_b_losses as losses
from benchmarks.plateaubench.unseen import ninth_b_model as model

_EVALUATION = "evaluation-preprocessing evaluated-in-train-mode stale-weights-evaluated same-camera-not-filtered"
_LABELS = "labels-shuffled labels-noisy"

_LOSSES = (
    fault(
        "batched_by_the_size_of_their_files",
        "not-shuffled no-pk-sampling no-positives",
        losses.batched_by_the_size_of_their_files,
        severity="mild",
    ),
    fault(
        "people_filled_up_with_their_first_image",
        "duplicates no-pk-sampling no-positives",
        losses.people_filled_up_with_their_first_image,
    ),
    fault("batch_collected_in_a_dict", "no-pk-sampling no-positives batch-too-small", losses.batch_collected_in_a_dict),
    fault("targets_reshaped_not_turned", f"labels-off-by-one {_LABELS}", losses.targets_reshaped_not_turned),
    fault("labels_mixed_as_numbers", _LABELS, losses.labels_mixed_as_numbers),
    fault("metric_loss_told_tracks", f"identities-split {_LABELS}", losses.metric_loss_told_tracks),
    fault("nobody_counts_as_labelled", "cross-entropy-missing loss-weights-unbalanced", losses.nobody_counts_as_labelled),
    fault("losses_multiplied", "loss-weights-unbalanced", losses.losses_multiplied, severity="mild"),
    fault("labels_spread_to_neighbouring_numbers", "label-smoothing-too-strong", losses.labels_spread_to_neighbouring_numbers),
    fault("loss_divided_by_the_number_of_pixels", "weight-decay-too-strong", losses.loss_divided_by_the_number_of_pixels),
    fault("total_rounded_for_the_log", "no-gradient detached-branch", losses.total_rounded_for_the_log),
)
_MODEL = (
    fault("attention_weights_for_values", "embedding-too-small", model.attention_weights_for_values),
    fault("filters_drawn_with_a_deviation_of_one", "learning-rate-too-low", model.filters_drawn_with_a_deviation_of_one),
    fault("masked_as_for_an_autoencoder", "dropout-too-strong augmentation-too-strong", model.masked_as_for_an_autoencoder),
    fault("distances_for_logits", "wrong-head", model.distances_for_logits, severity="mild"),
    fault(
        "scale_and_margin_exchanged",
        "missing-cosine-scale margin-wrong wrong-head",
        model.scale_and_margin_exchanged,
        severity="mild",
    ),
    fault("a_classifier_for_each_camera", "identities-split wrong-head", model.a_classifier_for_each_camera, severity="mild"),
    fault("segmenter_without_its_weights", "pretrained-not-loaded", model.segmenter_without_its_weights),
    fault("prior_given_to_every_layer", "dead-units", model.prior_given_to_every_layer),
    fault(
        "root_of_an_empty_channel_under_the_scaler",
        "scaler-always-skips no-gradient",
        model.root_of_an_empty_channel_under_the_scaler,
    ),
    fault("sorted_along_the_wrong_axis", _EVALUATION, model.sorted_along_the_wrong_axis),
    fault("last_batch_left_out_of_the_features", _EVALUATION, model.last_batch_left_out_of_the_features),
    fault("reranked_by_similarities", _EVALUATION, model.reranked_by_similarities),
)
FAULTS: tuple[Fault, ...] = tuple(
    planted
    for first in range(max(map(len, (_LOSSES, _MODEL))))
    for part in (_LOSSES, _MODEL)
    for planted in part[first : first + 1]
)
"""One of each half in turn, so that a part of a run is a fair sample."""
