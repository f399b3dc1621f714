"""Faults to judge a diagnoser with, twelfth file, part b: sampler and losses, model and evaluation.

A sample of bugs that people reported: threads in which a cause was found, in the order in which searches gave them, written by
an author who had read neither rules nor probes, nor older files but one. Left out: what the published vocabulary has no word
for, what the bench has no place for, and what did not lower the score. Nothing was diagnosed before the file was closed.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/twelfth_b.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import twelfth_b_losses as losses
from benchmarks.plateaubench.unseen import twelfth_b_model as model

# the vocabulary has no word for a wrong measure; wrong measurements share one cure: to look at how the network is scored
_MEASURED = "evaluated-in-train-mode evaluation-preprocessing same-camera-not-filtered stale-weights-evaluated"

FAULTS: tuple[Fault, ...] = (
    # the smoothing lifts every chance to 0.2 or more, and takes most of what there was to learn; the loss has other targets
    fault(
        "targets_clamped_at_the_smoothing",
        "label-smoothing-too-strong wrong-loss",
        losses.targets_clamped_at_the_smoothing,
        severity="mild",
    ),
    # the optimiser has no centres; their loss has 9 to 480 times the gradient of cross-entropy
    fault("centres_in_no_optimiser", "stale-optimizer loss-weights-unbalanced", losses.centres_in_no_optimiser),
    # shuffled, once: what was drawn for the first epoch is repeated, and what was not is left out for good
    fault("one_plan_for_all_epochs", "wrong-sampler", losses.one_plan_for_all_epochs, severity="mild"),
    # the loss divides 0 by 0
    fault(
        "mean_over_positives_of_anchors_with_none",
        "no-positives no-pk-sampling wrong-loss",
        losses.mean_over_positives_of_anchors_with_none,
    ),
    # the classifier's logits are what the loss expects; it asks each identity apart
    fault("focal_loss_of_each_identity_apart", "wrong-loss", losses.focal_loss_of_each_identity_apart),
    # a layer too many
    fault("model_ends_with_softmax", "softmax-before-ce wrong-model", losses.model_ends_with_softmax),
    # thirteen times as long as they should be, the entries give the contrastive loss 12 to 300 times the other's gradient;
    # its products are no cosines
    fault("memory_keeps_its_random_lengths", "loss-weights-unbalanced wrong-loss", losses.memory_keeps_its_random_lengths),
    # the positive is a cosine without its scale; what is left pushes 4 to 20 times as hard as cross-entropy
    fault(
        "temperature_for_negatives_only",
        "missing-cosine-scale loss-weights-unbalanced wrong-loss",
        losses.temperature_for_negatives_only,
    ),
    # the step switches the norms to evaluation
    fault("in_eval_until_the_epoch_ends", "batch-norm-in-eval wrong-step", model.in_eval_until_the_epoch_ends, severity="mild"),
    fault("frozen_and_trained_swapped", "layers-frozen", model.frozen_and_trained_swapped),
    # two things are true: it is scored with dropout, and eight layers of it leave a training accuracy of 0.4 instead of 0.8;
    # the layers are the network's
    fault("dropout_in_every_mode", "evaluated-in-train-mode dropout-too-strong wrong-model", model.dropout_in_every_mode),
    fault("precision_averaged_over_the_whole_list", _MEASURED, model.precision_averaged_over_the_whole_list),
    fault("distances_sorted_as_similarities", _MEASURED, model.distances_sorted_as_similarities),
    fault("parameters_in_a_dictionary", "stale-optimizer layers-frozen", model.parameters_in_a_dictionary),
    # scores of older weights are in the mean
    fault("metric_never_reset", "stale-weights-evaluated", model.metric_never_reset, severity="mild"),
    # 3 to 10 000 times the gradient of cross-entropy, from products where cosines belong
    fault("contrast_of_raw_embeddings", "loss-weights-unbalanced wrong-loss", losses.contrast_of_raw_embeddings),
    # the length of the batch makes the cosines tiny; triplet has 10 to 560 times the gradient of what is left;
    # the classifier computes something else, and no logits
    fault(
        "one_length_for_the_whole_batch",
        "missing-cosine-scale loss-weights-unbalanced wrong-head wrong-model",
        losses.one_length_for_the_whole_batch,
    ),
    # a layer with the wrong share
    fault("dropout_of_what_is_to_be_kept", "dropout-too-strong wrong-model", model.dropout_of_what_is_to_be_kept),
    # the step follows the gradient of one loss of two
    fault("second_loss_as_a_plain_number", "detached-branch wrong-step", losses.second_loss_as_a_plain_number, severity="mild"),
    # the optimiser never has the layers that are used, and they are never trained; the network is another at every call
    fault("layers_made_in_the_forward_pass", "stale-optimizer layers-frozen wrong-model", model.layers_made_in_the_forward_pass),
    fault("bias_far_below_zero", "dead-units", model.bias_far_below_zero),
    fault("backbone_never_thawed", "backbone-frozen layers-frozen", model.backbone_never_thawed),
)
