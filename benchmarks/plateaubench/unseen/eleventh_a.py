"""Faults to judge a diagnoser with, eleventh file, first half: optimisation, data. Its author had read neither rules nor probes.

Bugs that public threads report, whether or not an older file has their like: the threads in which a cause was found, by fixed
searches, in the order found, each that can be planted here, that a word of the vocabulary is true of, and that hurts. Each says
where it was seen. A cause is accepted when its published meaning is true of the run and it leads to where the bug is; where a
measurement is wrong, any word whose cure is to repair the evaluation. Nothing was diagnosed before it was complete.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/eleventh_a.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import eleventh_a_data as data
from benchmarks.plateaubench.unseen import eleventh_a_optimisation as optimisation

# A measurement that is wrong has one cure in the vocabulary, whatever word of it is said.
_EVALUATION = "evaluation-preprocessing evaluated-in-train-mode stale-weights-evaluated same-camera-not-filtered"

FAULTS: tuple[Fault, ...] = (
    fault("improvement_over_a_negative_value", "learning-rate-too-low", optimisation.improvement_over_a_negative_value),
    fault(
        "default_rate_with_a_schedule",
        "learning-rate-too-low",
        optimisation.default_rate_with_a_schedule,
        severity="mild",
    ),
    fault("highest_loss_wanted", "learning-rate-too-low", optimisation.highest_loss_wanted),
    # The schedule is stepped in the innermost loop; the rate that is left, 1e-35, moves no weight.
    fault(
        "dropped_for_every_image_of_a_batch",
        "schedule-too-fast learning-rate-zero learning-rate-too-low",
        optimisation.dropped_for_every_image_of_a_batch,
        severity="mild",
    ),
    fault(
        "decayed_in_each_update",
        "schedule-too-fast learning-rate-too-low",
        optimisation.decayed_in_each_update,
    ),
    fault(
        "horizon_in_epochs_stepped_in_updates",
        "schedule-too-fast schedule-never-steps",
        optimisation.horizon_in_epochs_stepped_in_updates,
        severity="mild",
    ),
    fault("schedule_trusted_to_step_the_optimizer", "no-gradient", optimisation.schedule_trusted_to_step_the_optimizer),
    fault("clipped_while_still_scaled", "gradient-clipped-away", optimisation.clipped_while_still_scaled),
    fault(
        "workers_draw_the_same_batches",
        "duplicates too-few-identities",
        data.workers_draw_the_same_batches,
    ),
    fault("ranks_see_the_same_images", "duplicates batch-too-small", data.ranks_see_the_same_images),
    fault("gradients_of_one_rank", "batch-too-small", data.gradients_of_one_rank),
    fault("people_numbered_by_each_listing", _EVALUATION, data.people_numbered_by_each_listing),
    fault("numbers_of_the_larger_set", "labels-out-of-range", data.numbers_of_the_larger_set),
    fault("dropped_after_the_first_epoch", "learning-rate-too-low", optimisation.dropped_after_the_first_epoch),
    # The images that are measured come as BGR to a network that knows RGB.
    fault(
        "reversed_once_more_for_the_estimator",
        f"channels-swapped {_EVALUATION}",
        data.reversed_once_more_for_the_estimator,
    ),
    fault(
        "warm_up_counted_within_the_epoch",
        "learning-rate-too-low",
        optimisation.warm_up_counted_within_the_epoch,
        severity="mild",
    ),
    fault(
        "warm_up_divides_what_the_schedule_begins_with",
        "learning-rate-too-low",
        optimisation.warm_up_divides_what_the_schedule_begins_with,
    ),
    fault("shuffled_images_beside_the_list", _EVALUATION, data.shuffled_images_beside_the_list),
    fault(
        "mixed_without_their_labels",
        "augmentation-too-strong labels-noisy",
        data.mixed_without_their_labels,
        severity="mild",
    ),
    fault("gradients_never_set_to_zero", "gradients-accumulate", optimisation.gradients_never_set_to_zero),
    fault(
        "found_where_the_loss_rises_fastest",
        "learning-rate-too-high",
        optimisation.found_where_the_loss_rises_fastest,
    ),
    # In a third of the files the labels of most people are one too low: each of these has two labels, each label two people.
    fault(
        "columns_in_another_order_in_some_files",
        "labels-off-by-one labels-noisy labels-shuffled identities-merged identities-split",
        data.columns_in_another_order_in_some_files,
    ),
)
"""In the order found, which is of both parts of the field by turns."""
