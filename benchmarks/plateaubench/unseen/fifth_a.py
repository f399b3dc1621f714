"""Faults to judge a diagnoser with, fifth file, first half: optimisation, data. Its author had read neither rules nor probes.

Bugs that people write in training code; no kind is a severity of an older one. A cause is accepted when its
published meaning is true of the run and its cure is where the bug is; where a measurement is wrong, any word whose cure is to
repair the evaluation. Nothing was diagnosed before it was complete.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/fifth_a.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import fifth_a_data as data
from benchmarks.plateaubench.unseen import fifth_a_optimisation as optimisation

_EVALUATION = "evaluation-preprocessing evaluated-in-train-mode stale-weights-evaluated same-camera-not-filtered"
_LABELS = "labels-shuffled labels-noisy"

_OPTIMISATION = (
    fault("one_cycle_counted_in_images", "learning-rate-too-low schedule-never-steps", optimisation.one_cycle_counted_in_images),
    fault("cleared_once_an_epoch", "gradients-accumulate", optimisation.cleared_once_an_epoch),
    fault(
        "schedule_of_the_optimizer_before",
        "schedule-never-steps learning-rate-too-low",
        optimisation.schedule_of_the_optimizer_before,
    ),
    fault(
        "gradients_stay_off_after_validation",
        "no-gradient detached-branch",
        optimisation.gradients_stay_off_after_validation,
    ),
    fault("momentum_with_a_nine_too_many", "learning-rate-too-high", optimisation.momentum_with_a_nine_too_many),
    fault("every_rank_draws_the_same", "batch-too-small", optimisation.every_rank_draws_the_same),
    fault(
        "frozen_for_the_steps_of_a_longer_run",
        "backbone-frozen layers-frozen",
        optimisation.frozen_for_the_steps_of_a_longer_run,
    ),
    fault("sgd_clipped_to_a_hundredth", "gradient-clipped-away", optimisation.sgd_clipped_to_a_hundredth),
    fault("warm_up_in_whole_numbers", "learning-rate-zero", optimisation.warm_up_in_whole_numbers),
    fault("cosine_swings_with_the_batches", "schedule-too-fast", optimisation.cosine_swings_with_the_batches, severity="mild"),
    fault(
        "steps_with_long_gradients_left_out",
        "no-gradient gradient-clipped-away",
        optimisation.steps_with_long_gradients_left_out,
    ),
    fault("adadelta_at_adams_rate", "learning-rate-too-low", optimisation.adadelta_at_adams_rate),
)
_DATA = (
    fault(
        "numbered_anew_in_each_camera",
        f"identities-merged identities-split {_LABELS}",
        data.numbered_anew_in_each_camera,
    ),
    fault(
        "evaluated_with_the_training_transform",
        _EVALUATION,
        data.evaluated_with_the_training_transform,
        severity="mild",
    ),
    fault("erased_in_raw_pixel_values", "augmentation-too-strong inputs-not-normalised", data.erased_in_raw_pixel_values),
    fault(
        "clamped_after_normalising",
        "augmentation-too-strong inputs-not-normalised evaluation-preprocessing",
        data.clamped_after_normalising,
    ),
    fault("labels_sorted_in_the_batch", f"labels-off-by-one {_LABELS}", data.labels_sorted_in_the_batch),
    fault("turn_of_the_camera_ignored", _EVALUATION, data.turn_of_the_camera_ignored),
    fault("flipped_the_other_way", "augmentation-too-strong", data.flipped_the_other_way, severity="mild"),
    fault("number_of_the_file_for_label", "identities-split", data.number_of_the_file_for_label),
    fault("letterboxed_in_evaluation", _EVALUATION, data.letterboxed_in_evaluation),
    fault("divided_in_whole_numbers", "blank-images inputs-not-normalised", data.divided_in_whole_numbers),
    fault("pasted_without_its_label", f"augmentation-too-strong {_LABELS}", data.pasted_without_its_label, severity="mild"),
    fault(
        "each_rank_numbers_people_itself",
        f"identities-merged identities-split {_LABELS}",
        data.each_rank_numbers_people_itself,
    ),
    fault("boxes_read_as_corners", "evaluation-preprocessing", data.boxes_read_as_corners),
)
FAULTS: tuple[Fault, ...] = tuple(
    planted
    for first in range(max(len(_OPTIMISATION), len(_DATA)))
    for part in (_OPTIMISATION, _DATA)
    for planted in part[first : first + 1]
)
"""One of each half in turn, so that a part of a run is a fair sample."""
