"""Faults to judge a diagnoser with, sixth file, first half: optimisation, data. Its author had read neither rules nor probes.

Bugs that people write in training code; no kind is a severity of an older one. A cause is accepted when its
published meaning is true of the run and its cure is where the bug is; where a measurement is wrong, any word whose cure is to
repair the evaluation. Nothing was diagnosed before it was complete.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/sixth_a.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import sixth_a_data as data
from benchmarks.plateaubench.unseen import sixth_a_optimisation as optimisation

_EVALUATION = "evaluation-preprocessing evaluated-in-train-mode stale-weights-evaluated same-camera-not-filtered"
_LABELS = "labels-shuffled labels-noisy"

_OPTIMISATION = (
    fault("frozen_by_a_digit_in_the_name", "layers-frozen backbone-frozen", optimisation.frozen_by_a_digit_in_the_name),
    fault(
        "drop_repeated_in_every_batch",
        "schedule-too-fast learning-rate-zero learning-rate-too-low",
        optimisation.drop_repeated_in_every_batch,
        severity="mild",
    ),
    fault("losses_summed_over_the_batch", "learning-rate-too-high", optimisation.losses_summed_over_the_batch),
    fault(
        "second_optimizer_never_stepped",
        "backbone-frozen layers-frozen stale-optimizer",
        optimisation.second_optimizer_never_stepped,
    ),
    fault("momentum_and_decay_exchanged", "weight-decay-too-strong", optimisation.momentum_and_decay_exchanged),
    fault("root_of_zero_under_the_scaler", "scaler-always-skips no-gradient", optimisation.root_of_zero_under_the_scaler),
    fault("warm_up_multiplies_itself", "learning-rate-zero learning-rate-too-low", optimisation.warm_up_multiplies_itself),
    fault("sum_of_the_ranks_never_cleared", "gradients-accumulate", optimisation.sum_of_the_ranks_never_cleared),
    fault(
        "plateau_counted_in_batches",
        "schedule-too-fast learning-rate-too-low",
        optimisation.plateau_counted_in_batches,
    ),
    fault("only_its_own_shard_updated", "layers-frozen stale-optimizer", optimisation.only_its_own_shard_updated),
    fault("counter_of_the_run_before", "schedule-too-fast learning-rate-too-low", optimisation.counter_of_the_run_before),
    fault(
        "loss_kept_below_one",
        "no-gradient detached-branch gradient-clipped-away",
        optimisation.loss_kept_below_one,
    ),
    fault(
        "reparametrised_after_the_optimizer",
        "stale-optimizer layers-frozen",
        optimisation.reparametrised_after_the_optimizer,
    ),
)
_DATA = (
    fault("normalised_twice", "inputs-not-normalised evaluation-preprocessing", data.normalised_twice),
    fault("only_the_files_are_shuffled", f"labels-off-by-one {_LABELS}", data.only_the_files_are_shuffled),
    fault("augmented_at_full_strength", "augmentation-too-strong", data.augmented_at_full_strength),
    fault("one_file_handle_for_all_workers", _LABELS, data.one_file_handle_for_all_workers),
    fault(
        "blank_image_divided_by_its_deviation", "blank-images inputs-not-normalised", data.blank_image_divided_by_its_deviation
    ),
    fault("label_of_the_first_image", f"identities-merged {_LABELS}", data.label_of_the_first_image),
    fault("gallery_files_missing", f"blank-images {_EVALUATION}", data.gallery_files_missing),
    fault("mosaic_of_four", f"augmentation-too-strong evaluation-preprocessing {_LABELS}", data.mosaic_of_four),
    fault(
        "label_from_the_place_in_the_list",
        f"labels-off-by-one identities-merged identities-split {_LABELS}",
        data.label_from_the_place_in_the_list,
        severity="mild",
    ),
    fault(
        "flip_turns_the_colours_round",
        "channels-swapped augmentation-too-strong",
        data.flip_turns_the_colours_round,
        severity="mild",
    ),
    fault("boxes_of_another_moment", "blank-images evaluation-preprocessing", data.boxes_of_another_moment),
    fault("equalised_in_evaluation", _EVALUATION, data.equalised_in_evaluation),
    fault("pieces_shuffled", "augmentation-too-strong evaluation-preprocessing", data.pieces_shuffled),
)
FAULTS: tuple[Fault, ...] = tuple(
    planted
    for first in range(max(len(_OPTIMISATION), len(_DATA)))
    for part in (_OPTIMISATION, _DATA)
    for planted in part[first : first + 1]
)
"""One of each half in turn, so that a part of a run is a fair sample."""
