"""Faults to judge a diagnoser with, tenth file, first half: optimisation, data. Its author had read neither rules nor probes.

Drawn from threads in which people found the cause in the end: by fixed searches, in the order found, each that can be planted
here and is in no older file. What a function's text gives no address for is from experience. A cause is accepted when its
published meaning is true of the run and it leads to where the bug is; where a measurement is wrong, any word whose cure is to
repair the evaluation. Nothing was diagnosed before it was complete.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/tenth_a.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import tenth_a_data as data
from benchmarks.plateaubench.unseen import tenth_a_optimisation as optimisation

# A measurement that is wrong has one cure in the vocabulary, whatever word of it is said.
_EVALUATION = "evaluation-preprocessing evaluated-in-train-mode stale-weights-evaluated same-camera-not-filtered"
_LABELS = "labels-shuffled labels-noisy"

_OPTIMISATION = (
    fault(
        "factor_of_zero_where_it_should_be_one",
        "learning-rate-zero learning-rate-too-low",
        optimisation.factor_of_zero_where_it_should_be_one,
    ),
    fault(
        "accumulated_and_not_divided",
        "learning-rate-too-high gradients-accumulate",
        optimisation.accumulated_and_not_divided,
    ),
    fault("momentum_dampened_twice", "learning-rate-too-low", optimisation.momentum_dampened_twice),
    fault(
        "biases_given_for_their_gradients",
        "layers-frozen no-gradient",
        optimisation.biases_given_for_their_gradients,
        severity="mild",
    ),
    fault(
        "weights_kept_in_half_precision",
        "learning-rate-too-low",
        optimisation.weights_kept_in_half_precision,
        severity="mild",
    ),
    fault("initialised_again_in_each_epoch", "no-gradient", optimisation.initialised_again_in_each_epoch),
    # Neither warm-up nor drops reach it, and without averages each weight goes the full rate in every step.
    fault(
        "optimizer_made_in_each_step",
        "schedule-never-steps no-warm-up learning-rate-too-high",
        optimisation.optimizer_made_in_each_step,
    ),
    fault(
        "velocity_begins_without_the_rate",
        "learning-rate-too-high no-warm-up",
        optimisation.velocity_begins_without_the_rate,
    ),
    fault(
        "loop_left_after_two_batches",
        "learning-rate-too-low schedule-never-steps",
        optimisation.loop_left_after_two_batches,
    ),
    # The copies are other tensors than the model's, what the checkpoint had does not stay, and with it all results until then.
    fault(
        "checkpoint_overwritten_by_copies",
        "stale-optimizer pretrained-not-loaded no-gradient",
        optimisation.checkpoint_overwritten_by_copies,
    ),
)
_DATA = (
    fault(
        "batches_shuffled_and_not_images",
        "not-shuffled batch-too-small",
        data.batches_shuffled_and_not_images,
        severity="mild",
    ),
    fault("labels_changed_where_they_lie", _LABELS, data.labels_changed_where_they_lie),
    # Labels of the second images are wrong; and where their share is large, little is seen of the person that is named.
    fault("mixed_in_two_orders", f"augmentation-too-strong {_LABELS}", data.mixed_in_two_orders),
    fault("ids_of_the_training_list", _EVALUATION, data.ids_of_the_training_list),
    fault("some_files_are_negatives", "evaluation-preprocessing", data.some_files_are_negatives),
    fault(
        "weights_of_labels_for_weights_of_counts",
        "too-few-identities batch-too-small",
        data.weights_of_labels_for_weights_of_counts,
    ),
    fault("drawn_by_too_unequal_weights", "too-few-identities", data.drawn_by_too_unequal_weights),
    fault("boxes_made_relative_again", "blank-images evaluation-preprocessing", data.boxes_made_relative_again),
    fault(
        "counter_taken_for_the_place_of_a_crop",
        "augmentation-too-strong evaluation-preprocessing",
        data.counter_taken_for_the_place_of_a_crop,
    ),
    fault("read_with_width_for_height", "evaluation-preprocessing", data.read_with_width_for_height),
    fault(
        "row_and_column_of_a_crop_exchanged",
        "evaluation-preprocessing augmentation-too-strong",
        data.row_and_column_of_a_crop_exchanged,
    ),
    # Every person has two labels, nearly every label two people, and half of the images the label of the next person.
    fault(
        "later_images_counted_from_one",
        f"labels-off-by-one identities-split identities-merged {_LABELS}",
        data.later_images_counted_from_one,
    ),
)
FAULTS: tuple[Fault, ...] = tuple(
    planted
    for first in range(max(len(_OPTIMISATION), len(_DATA)))
    for part in (_OPTIMISATION, _DATA)
    for planted in part[first : first + 1]
)
"""One of each half in turn, so that a part of a run is a fair sample."""
