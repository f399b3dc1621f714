"""Faults to judge a diagnoser with, thirteenth file, first half: optimisation, schedules, resuming; data, labels, augmentation.

A sample of bugs that people reported, in the order in which a search found them, by an author who had seen neither rules, probes
nor what any run was found to be. Those that do not lower the score were left in.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/thirteenth_a.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import thirteenth_a_data as data
from benchmarks.plateaubench.unseen import thirteenth_a_images as images
from benchmarks.plateaubench.unseen import thirteenth_a_schedules as schedules
from benchmarks.plateaubench.unseen import thirteenth_a_steps as steps

FAULTS: tuple[Fault, ...] = (
    fault("counter_never_counts", "schedule-never-steps learning-rate-too-low", schedules.counter_never_counts),
    fault(
        "decay_behind_the_optimiser", "wrong-update weight-decay-too-strong", steps.decay_behind_the_optimiser, severity="mild"
    ),
    fault("decay_divided_by_the_loss_scale", "wrong-update", steps.decay_divided_by_the_loss_scale, severity="mild"),
    fault("first_weights_scored", "stale-weights-evaluated", steps.first_weights_scored),
    fault(
        "convolutions_keep_their_last_piece", "wrong-step no-gradient", steps.convolutions_keep_their_last_piece, severity="mild"
    ),
    fault(
        "gradients_of_a_device_over_the_whole_batch",
        "wrong-step",
        steps.gradients_of_a_device_over_the_whole_batch,
        severity="mild",
    ),
    fault(
        "zero_weights_get_a_ratio_of_zero", "wrong-update layers-frozen", steps.zero_weights_get_a_ratio_of_zero, severity="mild"
    ),
    fault("bias_correction_kept_in_the_moments", "wrong-update", steps.bias_correction_kept_in_the_moments),
    fault("complement_taken_twice", "wrong-update learning-rate-too-high", steps.complement_taken_twice),
    fault(
        "step_counted_for_each_parameter",
        "wrong-update learning-rate-too-high",
        steps.step_counted_for_each_parameter,
        severity="mild",
    ),
    # of the scales alone: warm-up is a part of the schedule, the rate is too high, and there is no warm-up but the opposite
    fault(
        "warm_up_of_biases_for_scales",
        "wrong-schedule learning-rate-too-high no-warm-up",
        schedules.warm_up_of_biases_for_scales,
        severity="mild",
    ),
    fault(
        "biases_fall_to_a_rate_of_zero",
        "wrong-schedule learning-rate-zero",
        schedules.biases_fall_to_a_rate_of_zero,
        severity="mild",
    ),
    fault("end_rate_for_the_power", "schedule-never-steps", schedules.end_rate_for_the_power, severity="mild"),
    fault("statistics_with_a_momentum_of_zero", "stale-weights-evaluated", steps.statistics_with_a_momentum_of_zero),
    fault("steps_counted_at_epochs", "wrong-schedule learning-rate-too-low", schedules.steps_counted_at_epochs),
    fault(
        "warm_up_behind_the_first_update", "no-warm-up wrong-schedule", schedules.warm_up_behind_the_first_update, severity="mild"
    ),
    fault("steps_counted_from_examples", "wrong-schedule learning-rate-zero", schedules.steps_counted_from_examples),
    fault(
        "schedule_of_all_processes", "wrong-schedule learning-rate-too-low", schedules.schedule_of_all_processes, severity="mild"
    ),
    fault("epsilon_rounded_away", "wrong-update", steps.epsilon_rounded_away),
    fault("statistics_of_a_thousandth", "wrong-model", steps.statistics_of_a_thousandth),
    fault("epoch_not_in_the_checkpoint", "wrong-schedule", schedules.epoch_not_in_the_checkpoint, severity="mild"),
    fault("checkpointed_from_the_images_on", "detached-branch layers-frozen", steps.checkpointed_from_the_images_on),
    fault("buffer_of_a_fiftieth", "not-shuffled wrong-sampler", data.buffer_of_a_fiftieth, severity="mild"),
    fault("zipped_after_two_shuffles", "labels-shuffled", data.zipped_after_two_shuffles),
    fault("labels_in_the_order_of_the_disk", "labels-shuffled", data.labels_in_the_order_of_the_disk),
    fault("resized_before_the_crop", "evaluation-preprocessing", images.resized_before_the_crop, severity="mild"),
    fault("statistics_taken_before_the_rescale", "inputs-not-normalised", images.statistics_taken_before_the_rescale),
    fault("jitter_clips_floats_at_one", "augmentation-too-strong blank-images", images.jitter_clips_floats_at_one),
    fault(
        "zero_bits_after_posterising", "augmentation-too-strong blank-images", images.zero_bits_after_posterising, severity="mild"
    ),
    fault("mean_in_the_other_order", "inputs-not-normalised", images.mean_in_the_other_order, severity="mild"),
    fault("reshaped_to_channels_first", "images-corrupted", images.reshaped_to_channels_first),
    fault("noise_clamps_normalised_images", "augmentation-too-strong images-corrupted", images.noise_clamps_normalised_images),
    fault("background_in_front_of_the_labels", "labels-off-by-one", data.background_in_front_of_the_labels, severity="mild"),
    fault("labels_cut_by_the_number_of_the_batch", "labels-shuffled", data.labels_cut_by_the_number_of_the_batch),
    fault("read_in_the_order_of_keys", "not-shuffled", data.read_in_the_order_of_keys, severity="mild"),
    fault("drawn_again_while_others_wait", "wrong-sampler", data.drawn_again_while_others_wait, severity="mild"),
    fault("written_upside_down", "images-corrupted", images.written_upside_down, severity="mild"),
    fault("read_one_byte_early", "images-corrupted", images.read_one_byte_early, severity="mild"),
    fault(
        "noise_stays_in_the_image", "images-corrupted augmentation-too-strong", images.noise_stays_in_the_image, severity="mild"
    ),
    fault("scored_on_random_crops", "evaluation-preprocessing", images.scored_on_random_crops),
    fault("numbered_anew_at_a_resume", "labels-shuffled", data.numbered_anew_at_a_resume, severity="mild"),
    fault("cut_to_the_end_twice", "augmentation-too-strong", images.cut_to_the_end_twice),
    fault("one_weight_a_class_in_the_sampler", "wrong-sampler", data.one_weight_a_class_in_the_sampler),
)
