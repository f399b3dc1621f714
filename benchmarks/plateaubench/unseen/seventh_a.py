"""Faults to judge a diagnoser with, seventh file, first half: optimisation, data. Its author had read neither rules nor probes.

Bugs that people write in training code; no kind is a severity of an older one. A cause is accepted when its
published meaning is true of the run and its cure is where the bug is; where a measurement is wrong, any word whose cure is to
repair the evaluation. Nothing was diagnosed before it was complete.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/seventh_a.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import seventh_a_data as data
from benchmarks.plateaubench.unseen import seventh_a_optimisation as optimisation

_EVALUATION = "evaluation-preprocessing evaluated-in-train-mode stale-weights-evaluated same-camera-not-filtered"
_LABELS = "labels-shuffled labels-noisy"

_OPTIMISATION = (
    fault(
        "divided_for_an_accumulation_that_is_off", "learning-rate-too-low", optimisation.divided_for_an_accumulation_that_is_off
    ),
    fault(
        "adapters_on_random_weights",
        "layers-frozen backbone-frozen pretrained-not-loaded",
        optimisation.adapters_on_random_weights,
    ),
    fault(
        "lowest_rate_given_as_a_share",
        "learning-rate-too-high schedule-never-steps",
        optimisation.lowest_rate_given_as_a_share,
    ),
    fault("mean_of_no_image_under_the_scaler", "scaler-always-skips no-gradient", optimisation.mean_of_no_image_under_the_scaler),
    fault(
        "multiplier_applied_again_each_epoch",
        "learning-rate-too-low backbone-frozen layers-frozen",
        optimisation.multiplier_applied_again_each_epoch,
    ),
    fault("step_inside_the_loop_over_groups", "learning-rate-too-high", optimisation.step_inside_the_loop_over_groups),
    fault(
        "graph_replays_its_first_labels",
        f"labels-off-by-one identities-merged {_LABELS}",
        optimisation.graph_replays_its_first_labels,
    ),
    fault("average_begins_at_zero", _EVALUATION, optimisation.average_begins_at_zero),
    fault("first_update_before_the_schedule", "learning-rate-too-high no-warm-up", optimisation.first_update_before_the_schedule),
    fault("updated_at_a_new_low_only", "no-gradient", optimisation.updated_at_a_new_low_only),
    fault("adam_without_its_correction", "learning-rate-too-high no-warm-up", optimisation.adam_without_its_correction),
    fault("statistics_summed_over_the_ranks", _EVALUATION, optimisation.statistics_summed_over_the_ranks),
)
_DATA = (
    fault("floats_not_divided_by_255", "inputs-not-normalised evaluation-preprocessing", data.floats_not_divided_by_255),
    fault("labels_kept_by_base_name", _LABELS, data.labels_kept_by_base_name),
    fault(
        "unreadable_images_left_out_of_the_batch",
        "blank-images batch-too-small no-positives no-pk-sampling",
        data.unreadable_images_left_out_of_the_batch,
    ),
    fault("solarised_from_a_half_on", "augmentation-too-strong", data.solarised_from_a_half_on),
    fault(
        "normalised_in_place_each_epoch", "inputs-not-normalised evaluation-preprocessing", data.normalised_in_place_each_epoch
    ),
    fault("centre_taken_for_the_corner", "blank-images evaluation-preprocessing", data.centre_taken_for_the_corner),
    fault("copies_in_folders_of_their_own", "identities-split duplicates", data.copies_in_folders_of_their_own),
    fault("small_until_an_epoch_that_never_comes", "evaluation-preprocessing", data.small_until_an_epoch_that_never_comes),
    fault("masks_listed_as_images", "blank-images duplicates", data.masks_listed_as_images),
    fault("false_links_chain_people", f"identities-merged {_LABELS}", data.false_links_chain_people),
    fault("crop_scale_given_to_a_zoom", "augmentation-too-strong", data.crop_scale_given_to_a_zoom),
    fault("palette_numbers_for_colours", "evaluation-preprocessing", data.palette_numbers_for_colours),
)
FAULTS: tuple[Fault, ...] = tuple(
    planted
    for first in range(max(len(_OPTIMISATION), len(_DATA)))
    for part in (_OPTIMISATION, _DATA)
    for planted in part[first : first + 1]
)
"""One of each half in turn, so that a part of a run is a fair sample."""
