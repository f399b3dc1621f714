"""Faults to judge a diagnoser with, twelfth file, first half: optimisation, schedules, processes, resuming; data, labels, images.

A sample of bugs that people reported, in the order in which a search found them, twelve of each part. Its author had read neither
rules nor probes nor any other plant but `third`; what did not lower the score was left out before anything was diagnosed.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/twelfth_a.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import twelfth_a_data as data
from benchmarks.plateaubench.unseen import twelfth_a_steps as steps

# labels do not belong to their images, are shifted against them, and a part is wrong: one class, "relabel"
_LABELS = "labels-shuffled labels-noisy labels-off-by-one"
# names and labels drift apart along two sorted lists, so that a label gets images of neighbours, and a person two labels
_DRIFTED = f"{_LABELS} identities-merged identities-split"
# one class, "repair the evaluation"
_MEASURED = "evaluation-preprocessing evaluated-in-train-mode stale-weights-evaluated same-camera-not-filtered"
# in training, and only there, images are all but one colour; a weaker jitter, a fitting range or a look at both ways mends it
_CUT_AT_ONE = "blank-images inputs-not-normalised evaluation-preprocessing augmentation-too-strong"
# in training, and only there, images are all but black, by an augmentation
_DARKENED = "augmentation-too-strong blank-images evaluation-preprocessing"

FAULTS: tuple[Fault, ...] = (
    fault("rate_too_big_after_the_restore", "learning-rate-too-high", steps.rate_too_big_after_the_restore, severity="mild"),
    fault("shards_begun_anew_at_each_restart", "too-few-identities", steps.shards_begun_anew_at_each_restart),
    fault(
        "schedule_starts_from_scratch_at_resume",
        "schedule-never-steps",
        steps.schedule_starts_from_scratch_at_resume,
        severity="mild",
    ),
    fault("epoch_not_told_to_the_sampler", "not-shuffled", steps.epoch_not_told_to_the_sampler, severity="mild"),
    fault("two_thousand_steps_of_warm_up", "learning-rate-too-low", steps.two_thousand_steps_of_warm_up),
    fault(
        "schedule_stepped_by_every_process", "schedule-too-fast learning-rate-too-low", steps.schedule_stepped_by_every_process
    ),
    fault("optimiser_made_before_the_layers", "stale-optimizer", steps.optimiser_made_before_the_layers),
    fault("group_of_the_classifier_not_appended", "layers-frozen stale-optimizer", steps.group_of_the_classifier_not_appended),
    fault(
        "norms_exchanged_after_the_optimiser",
        "layers-frozen stale-optimizer",
        steps.norms_exchanged_after_the_optimiser,
        severity="mild",
    ),
    fault("gradients_of_the_own_process_only", "batch-too-small", steps.gradients_of_the_own_process_only(4)),
    fault("average_that_lags_behind", _MEASURED, data.average_that_lags_behind),
    fault(
        "random_copy_behind_the_loaded_weights",
        "stale-optimizer pretrained-not-loaded",
        steps.random_copy_behind_the_loaded_weights,
    ),
    fault("flip_without_its_result", "overfitting", data.flip_without_its_result),
    fault("flipped_upside_down_when_tested", _MEASURED, data.flipped_upside_down_when_tested),
    fault("augmented_once_for_every_box", "augmentation-too-strong", data.augmented_once_for_every_box),
    fault("divided_by_255_once_more", "inputs-not-normalised evaluation-preprocessing", data.divided_by_255_once_more),
    fault("whole_numbers_divided_by_255", "blank-images inputs-not-normalised", data.whole_numbers_divided_by_255),
    fault("labels_of_the_split_names_of_all", _DRIFTED, data.labels_of_the_split_names_of_all, severity="mild"),
    fault("files_as_the_folder_gives_them", _LABELS, data.files_as_the_folder_gives_them),
    fault("width_given_for_height", _MEASURED, data.width_given_for_height),
    # blue first is what was done, and to the images of the evaluation only
    fault("inference_on_blue_first", f"{_MEASURED} channels-swapped", data.inference_on_blue_first),
    fault("jitter_of_zeros_cuts_at_one", _CUT_AT_ONE, data.jitter_of_zeros_cuts_at_one),
    fault("jitter_after_normalisation", "augmentation-too-strong evaluation-preprocessing", data.jitter_after_normalisation),
    fault("brightness_of_a_twentieth", _DARKENED, data.brightness_of_a_twentieth),
)
