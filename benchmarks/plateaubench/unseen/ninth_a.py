"""Faults to judge a diagnoser with, ninth file, first half: optimisation, data. Its author had read neither rules nor probes.

Bugs that people write in training code; no kind is a severity of an older one. A cause is accepted when its
published meaning is true of the run and its cure is where the bug is; where a measurement is wrong, any word whose cure is to
repair the evaluation. Nothing was diagnosed before it was complete.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/ninth_a.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import ninth_a_data as data
from benchmarks.plateaubench.unseen import ninth_a_optimisation as optimisation

_EVALUATION = "evaluation-preprocessing evaluated-in-train-mode stale-weights-evaluated same-camera-not-filtered"
_LABELS = "labels-shuffled labels-noisy"

_OPTIMISATION = (
    fault(
        "hook_added_in_each_epoch",
        "no-gradient backbone-frozen layers-frozen",
        optimisation.hook_added_in_each_epoch,
    ),
    fault(
        "scales_made_sparse_too_strongly",
        "weight-decay-too-strong loss-weights-unbalanced",
        optimisation.scales_made_sparse_too_strongly,
    ),
    fault("gradients_never_shared", "batch-too-small too-few-identities overfitting", optimisation.gradients_never_shared),
    fault("scale_of_zero_was_saved", "scaler-always-skips no-gradient", optimisation.scale_of_zero_was_saved),
    fault("lars_at_sgds_rate", "learning-rate-too-low", optimisation.lars_at_sgds_rate),
    fault("rows_of_all_epochs_ranked", _EVALUATION, optimisation.rows_of_all_epochs_ranked),
    fault("rate_and_decay_exchanged", "learning-rate-too-low", optimisation.rate_and_decay_exchanged),
    fault(
        "second_stage_where_the_first_ended",
        "schedule-too-fast learning-rate-zero learning-rate-too-low",
        optimisation.second_stage_where_the_first_ended,
    ),
    fault(
        "base_rate_read_in_the_warm_up",
        "learning-rate-too-low schedule-too-fast",
        optimisation.base_rate_read_in_the_warm_up,
    ),
    fault(
        "updates_lost_out_of_order_in_memory",
        "layers-frozen backbone-frozen no-gradient stale-optimizer",
        optimisation.updates_lost_out_of_order_in_memory,
    ),
    fault("weights_of_the_rate_finder_kept", "dead-units", optimisation.weights_of_the_rate_finder_kept),
    fault("warm_up_of_a_transformer", "learning-rate-too-low schedule-never-steps", optimisation.warm_up_of_a_transformer),
)
_DATA = (
    fault("axes_exchanged", "evaluation-preprocessing", data.axes_exchanged),
    fault("joined_on_a_key_that_repeats", _LABELS, data.joined_on_a_key_that_repeats),
    fault("resized_by_numpy", "evaluation-preprocessing", data.resized_by_numpy),
    fault("elastic_as_for_large_images", "augmentation-too-strong evaluation-preprocessing", data.elastic_as_for_large_images),
    fault("frames_before_a_whole_picture", "blank-images evaluation-preprocessing", data.frames_before_a_whole_picture),
    fault("sent_as_bytes", "inputs-not-normalised evaluation-preprocessing", data.sent_as_bytes),
    fault("headers_read_as_pixels", f"labels-off-by-one evaluation-preprocessing {_LABELS}", data.headers_read_as_pixels),
    fault("opacity_read_as_red", "channels-swapped inputs-not-normalised evaluation-preprocessing", data.opacity_read_as_red),
    fault("gallery_of_the_training_folder", _EVALUATION, data.gallery_of_the_training_folder),
    fault("fog_on_every_image", "augmentation-too-strong evaluation-preprocessing", data.fog_on_every_image),
    fault("made_into_pictures_twice", "evaluation-preprocessing", data.made_into_pictures_twice),
    fault("hash_for_a_label", "identities-merged", data.hash_for_a_label, severity="mild"),
)
FAULTS: tuple[Fault, ...] = tuple(
    planted
    for first in range(max(len(_OPTIMISATION), len(_DATA)))
    for part in (_OPTIMISATION, _DATA)
    for planted in part[first : first + 1]
)
"""One of each half in turn, so that a part of a run is a fair sample."""
