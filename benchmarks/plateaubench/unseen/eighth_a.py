"""Faults to judge a diagnoser with, eighth file, first half: optimisation, data. Its author had read neither rules nor probes.

Bugs that people write in training code; no kind is a severity of an older one. A cause is accepted when its
published meaning is true of the run and its cure is where the bug is; where a measurement is wrong, any word whose cure is to
repair the evaluation. Nothing was diagnosed before it was complete.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/eighth_a.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import eighth_a_data as data
from benchmarks.plateaubench.unseen import eighth_a_optimisation as optimisation

_EVALUATION = "evaluation-preprocessing evaluated-in-train-mode stale-weights-evaluated same-camera-not-filtered"
_LABELS = "labels-shuffled labels-noisy"

_OPTIMISATION = (
    fault("lambda_gives_the_rate", "learning-rate-too-low", optimisation.lambda_gives_the_rate),
    fault(
        "only_linear_layers_on_the_list",
        "layers-frozen backbone-frozen stale-optimizer",
        optimisation.only_linear_layers_on_the_list,
    ),
    fault(
        "one_cycle_with_the_peak_of_an_example",
        "learning-rate-too-high",
        optimisation.one_cycle_with_the_peak_of_an_example,
    ),
    fault(
        "weights_in_single_precision_not_copied_back",
        "stale-optimizer",
        optimisation.weights_in_single_precision_not_copied_back,
    ),
    fault("limit_and_order_of_the_norm_exchanged", "gradient-clipped-away", optimisation.limit_and_order_of_the_norm_exchanged),
    fault(
        "polynomial_of_the_rate_before",
        "schedule-too-fast learning-rate-zero learning-rate-too-low",
        optimisation.polynomial_of_the_rate_before,
    ),
    fault("scale_raised_where_it_overflows", "scaler-always-skips no-gradient", optimisation.scale_raised_where_it_overflows),
    fault("batch_halved_at_each_shortage", "batch-too-small", optimisation.batch_halved_at_each_shortage),
    fault("rmsprop_at_sgds_rate", "learning-rate-too-high", optimisation.rmsprop_at_sgds_rate),
    fault("scored_rank_by_rank", _EVALUATION, optimisation.scored_rank_by_rank),
    fault("error_of_the_backward_pass_swallowed", "no-gradient", optimisation.error_of_the_backward_pass_swallowed),
    fault(
        "clipped_to_a_thousandth_of_the_weights",
        "gradient-clipped-away",
        optimisation.clipped_to_a_thousandth_of_the_weights,
    ),
)
_DATA = (
    fault("tracks_linked_to_others", f"identities-merged {_LABELS}", data.tracks_linked_to_others),
    fault("mean_and_deviation_exchanged", "inputs-not-normalised evaluation-preprocessing", data.mean_and_deviation_exchanged),
    fault("gamma_of_whole_numbers", "augmentation-too-strong", data.gamma_of_whole_numbers),
    fault("data_sets_share_numbers", "identities-merged", data.data_sets_share_numbers),
    fault("neighbouring_frames", "duplicates", data.neighbouring_frames),
    fault("saved_with_a_quality_of_one", "augmentation-too-strong evaluation-preprocessing", data.saved_with_a_quality_of_one),
    fault("background_removed_in_training", "evaluation-preprocessing", data.background_removed_in_training),
    fault("people_and_cameras_exchanged", f"camera-ids-wrong {_EVALUATION}", data.people_and_cameras_exchanged),
    fault(
        "divided_again_where_augmented",
        "inputs-not-normalised blank-images augmentation-too-strong",
        data.divided_again_where_augmented,
    ),
    fault("labels_clamped_to_the_classifier", "labels-out-of-range identities-merged", data.labels_clamped_to_the_classifier),
    fault("blurred_as_large_images", "augmentation-too-strong evaluation-preprocessing", data.blurred_as_large_images),
    fault("posterised_to_no_bit", "augmentation-too-strong blank-images", data.posterised_to_no_bit),
)
FAULTS: tuple[Fault, ...] = tuple(
    planted
    for first in range(max(len(_OPTIMISATION), len(_DATA)))
    for part in (_OPTIMISATION, _DATA)
    for planted in part[first : first + 1]
)
"""One of each half in turn, so that a part of a run is a fair sample."""
