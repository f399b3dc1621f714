"""Faults to judge a diagnoser with, twelfth file, first half: optimisation, schedules, processes, resuming; data, labels, images.

A sample of bugs that people reported, in the order in which a search found them, twelve of each part. Its author had read neither
rules nor probes nor any other plant but `third`; what did not lower the score was left out before anything was diagnosed.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/twelfth_a.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import twelfth_a_data as data
from benchmarks.plateaubench.unseen import twelfth_a_steps as steps

# names and labels drift apart along two sorted lists, so that a label gets images of neighbours, and a person two labels:
# one class, "relabel"
_DRIFTED = "labels-shuffled labels-noisy labels-off-by-one identities-merged identities-split"
# in training, and only there, images are all but one colour; a weaker jitter, a fitting range or a look at both ways mends it
_CUT_AT_ONE = "blank-images inputs-not-normalised evaluation-preprocessing augmentation-too-strong"
# in training, and only there, images are all but black, by an augmentation
_DARKENED = "augmentation-too-strong blank-images evaluation-preprocessing"

FAULTS: tuple[Fault, ...] = (
    fault("rate_too_big_after_the_restore", "learning-rate-too-high", steps.rate_too_big_after_the_restore, severity="mild"),
    # people of the later shards are never drawn
    fault("shards_begun_anew_at_each_restart", "too-few-identities wrong-sampler", steps.shards_begun_anew_at_each_restart),
    fault(
        "schedule_starts_from_scratch_at_resume",
        "schedule-never-steps",
        steps.schedule_starts_from_scratch_at_resume,
        severity="mild",
    ),
    # batches are shuffled, once: what was drawn for the first epoch is repeated, and what was not is left out for good
    fault("epoch_not_told_to_the_sampler", "wrong-sampler", steps.epoch_not_told_to_the_sampler, severity="mild"),
    fault("two_thousand_steps_of_warm_up", "learning-rate-too-low", steps.two_thousand_steps_of_warm_up),
    # the drop comes after two epochs instead of eight; steps are counted right, if four times
    fault("schedule_stepped_by_every_process", "wrong-schedule learning-rate-too-low", steps.schedule_stepped_by_every_process),
    fault("optimiser_made_before_the_layers", "stale-optimizer", steps.optimiser_made_before_the_layers),
    fault("group_of_the_classifier_not_appended", "layers-frozen stale-optimizer", steps.group_of_the_classifier_not_appended),
    # the network has other norms than the configured one, and those are not trained
    fault(
        "norms_exchanged_after_the_optimiser",
        "layers-frozen stale-optimizer wrong-model",
        steps.norms_exchanged_after_the_optimiser,
        severity="mild",
    ),
    # of each step's people three quarters are left to processes that take no part
    fault("gradients_of_the_own_process_only", "batch-too-small wrong-sampler", steps.gradients_of_the_own_process_only(4)),
    fault("average_that_lags_behind", "stale-weights-evaluated", data.average_that_lags_behind),
    # an update writes old weights back; the bench's network has no pretrained ones
    fault(
        "random_copy_behind_the_loaded_weights",
        "stale-optimizer wrong-update",
        steps.random_copy_behind_the_loaded_weights,
    ),
    fault("flip_without_its_result", "overfitting", data.flip_without_its_result),
    fault("flipped_upside_down_when_tested", "evaluation-preprocessing", data.flipped_upside_down_when_tested),
    fault("augmented_once_for_every_box", "augmentation-too-strong", data.augmented_once_for_every_box),
    # colours arrive 255 times darker than the file's, in training only
    fault(
        "divided_by_255_once_more",
        "inputs-not-normalised evaluation-preprocessing images-corrupted",
        data.divided_by_255_once_more,
    ),
    fault("whole_numbers_divided_by_255", "blank-images inputs-not-normalised", data.whole_numbers_divided_by_255),
    fault("labels_of_the_split_names_of_all", _DRIFTED, data.labels_of_the_split_names_of_all, severity="mild"),
    fault("files_as_the_folder_gives_them", "labels-shuffled labels-noisy", data.files_as_the_folder_gives_them),
    fault("width_given_for_height", "evaluation-preprocessing", data.width_given_for_height),
    # blue first is what was done, and to the images of the evaluation only
    fault("inference_on_blue_first", "evaluation-preprocessing channels-swapped", data.inference_on_blue_first),
    fault("jitter_of_zeros_cuts_at_one", _CUT_AT_ONE, data.jitter_of_zeros_cuts_at_one),
    # every colour below the mean, and far above it, becomes one
    fault(
        "jitter_after_normalisation",
        "augmentation-too-strong evaluation-preprocessing images-corrupted",
        data.jitter_after_normalisation,
    ),
    fault("brightness_of_a_twentieth", _DARKENED, data.brightness_of_a_twentieth),
)
