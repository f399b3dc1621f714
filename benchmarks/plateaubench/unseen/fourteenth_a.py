"""Faults to judge a diagnoser with, fourteenth file, first half: bugs that people reported in optimisation and in data.

A sample: queries were written before any search, and the threads in which a root cause was found were planted in the order
found, known kinds too, by an author who had read neither rules nor probes nor older plants. What did not lower the score was
left out. A cause stands here when its meaning is true of the run and leads to the bug; the reason stands beside longer sets.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/fourteenth_a.py`. The other half is `fourteenth_b`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import fourteenth_a_data as data
from benchmarks.plateaubench.unseen import fourteenth_a_optimisation as optimisation

_FLIPPED = "channels-swapped images-corrupted augmentation-too-strong"
"""Half of the images are BGR, so their colours are not the file's, and it is an augmentation that makes them so."""
_SHRUNK = "learning-rate-zero learning-rate-too-low wrong-schedule"
"""The rate falls by another factor than was meant, is far too low within ten steps, and underflows to 0 later."""
_CUT_OFF = "detached-branch cross-entropy-missing wrong-loss"
"""The loss's own code cuts it off, so that only the triplet loss trains."""

FAULTS: tuple[Fault, ...] = (
    fault("shares_cast_back_to_bytes", "blank-images inputs-not-normalised", data.shares_cast_back_to_bytes),
    fault("schedule_does_not_step_the_optimiser", "no-gradient wrong-step", optimisation.schedule_does_not_step_the_optimiser),
    fault("stepped_after_each_piece", "wrong-schedule learning-rate-too-low", optimisation.stepped_after_each_piece),
    fault("bands_masked_while_evaluating", "evaluation-preprocessing", data.bands_masked_while_evaluating, severity="mild"),
    fault("jitter_of_the_larger_set", "augmentation-too-strong images-corrupted", data.jitter_of_the_larger_set, severity="mild"),
    fault("zipped_with_all_variables", "wrong-step", optimisation.zipped_with_all_variables),
    fault("shards_stay_with_their_worker", "wrong-sampler not-shuffled", data.shards_stay_with_their_worker, severity="mild"),
    fault("workers_draw_the_same", "wrong-sampler batch-too-small", data.workers_draw_the_same),
    fault("shards_dealt_by_each_node", "wrong-sampler", data.shards_dealt_by_each_node, severity="mild"),
    fault("sparse_ids_as_classes", "labels-out-of-range", data.sparse_ids_as_classes),
    fault("trainable_after_compile", "backbone-frozen stale-optimizer", optimisation.trainable_after_compile),
    fault("mirrored_along_the_channels", _FLIPPED, data.mirrored_along_the_channels, severity="mild"),
    fault("brightness_gives_0_to_255", "evaluation-preprocessing inputs-not-normalised", data.brightness_gives_0_to_255),
    fault("factor_taken_for_a_shift", "blank-images augmentation-too-strong", data.factor_taken_for_a_shift),
    fault("next_column_as_label", "identities-merged", data.next_column_as_label),
    fault("buffer_made_anew_each_step", "wrong-update learning-rate-too-low", optimisation.buffer_made_anew_each_step),
    fault("momentum_with_the_wrong_sign", "wrong-update", optimisation.momentum_with_the_wrong_sign),
    fault("clipped_at_mid_grey", "images-corrupted evaluation-preprocessing", data.clipped_at_mid_grey),
    fault("decay_lets_weights_grow", "wrong-update", optimisation.decay_lets_weights_grow),
    fault("decay_outlives_the_rate", "weight-decay-too-strong wrong-update", optimisation.decay_outlives_the_rate),
    fault("gradients_never_cleared", "gradients-accumulate wrong-step", optimisation.gradients_never_cleared),
    fault("loss_of_plain_numbers", _CUT_OFF, optimisation.loss_of_plain_numbers),
    fault("rate_of_the_other_file", "learning-rate-too-low wrong-update", optimisation.rate_of_the_other_file),
    fault("rate_shrinks_in_each_update", _SHRUNK, optimisation.rate_shrinks_in_each_update),
)
