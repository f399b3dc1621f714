"""Faults to judge a diagnoser with, fourteenth file, b (samplers, losses, models, measurements): a sample of bugs people report.

Written by somebody who had read neither rules nor probes nor the older plants, in the order in which searches found the threads;
each kind's thread is in its docstring. What did not lower the score below 0.53 was left out before anything was diagnosed.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/fourteenth_b.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import fourteenth_b_losses as losses
from benchmarks.plateaubench.unseen import fourteenth_b_model as model

_MEASURED_WRONGLY = "evaluated-in-train-mode evaluation-preprocessing same-camera-not-filtered stale-weights-evaluated"

FAULTS: tuple[Fault, ...] = (
    # 1/32 of the cross-entropy is left, so that the triplet loss drowns it
    fault("averaged_twice", "wrong-loss loss-weights-unbalanced", losses.averaged_twice),
    fault("entropy_with_the_other_sign", "wrong-loss", losses.entropy_with_the_other_sign, severity="mild"),
    fault("centre_loss_not_averaged", "wrong-loss loss-weights-unbalanced", losses.centre_loss_not_averaged),
    fault("part_drawn_once_for_all_epochs", "wrong-sampler", losses.part_drawn_once_for_all_epochs),
    fault("begins_again_at_each_resume", "wrong-sampler", losses.begins_again_at_each_resume),
    # the margin was meant for distances
    fault("squares_for_distances", "wrong-loss margin-wrong", losses.squares_for_distances),
    fault("least_weight_made_zero", "wrong-sampler", losses.least_weight_made_zero),
    # the total is the cross-entropy alone; weighing the losses anew brings the other back
    fault("auxiliary_loss_not_added", "wrong-loss loss-weights-unbalanced", losses.auxiliary_loss_not_added),
    # the loss expects logarithms of probabilities
    fault("likelihood_without_logarithm", "wrong-loss wrong-head", losses.likelihood_without_logarithm),
    # the three say what is gone (the cross-entropy), how (its weight), and where (the sum of the losses)
    fault(
        "weight_of_zero_left_behind",
        "cross-entropy-missing loss-weights-unbalanced wrong-loss",
        losses.weight_of_zero_left_behind,
    ),
    fault("prepared_otherwise_for_features", _MEASURED_WRONGLY, model.prepared_otherwise_for_features),
    fault("patches_across_channels", "wrong-model", model.patches_across_channels),
    # nothing is asked not to train, but only the head is trained
    fault("extractor_detaches", "detached-branch backbone-frozen", model.extractor_detaches),
    fault("network_copied_behind_its_optimiser", "stale-optimizer", model.network_copied_behind_its_optimiser),
    fault("dropout_told_to_train", _MEASURED_WRONGLY, model.dropout_told_to_train),
    fault("averages_never_applied", "wrong-model", model.averages_never_applied),
    fault("normalisation_not_told_to_train", "batch-norm-in-eval wrong-model", model.normalisation_not_told_to_train),
    fault("batches_of_one_image", "batch-too-small", model.batches_of_one_image),
    fault("tested_without_the_division", _MEASURED_WRONGLY, model.tested_without_the_division),
    fault("parameters_made_in_forward", "wrong-model", model.parameters_made_in_forward),
    # the optimiser does not hold the last layer, so that it is not trained
    fault("last_layer_not_registered", "layers-frozen stale-optimizer", model.last_layer_not_registered),
    fault("normalised_along_the_wrong_axis", "wrong-model", model.normalised_along_the_wrong_axis, severity="mild"),
)
