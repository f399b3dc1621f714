"""Faults to judge a diagnoser with, thirteenth file, part b: sampler and losses, model and evaluation; bugs that people reported.

A sample: each thread in the order a list of queries found it, known or easy kinds included; its author had read neither rules nor
probes nor other faults. What does not lower the score stands in the list too. Causes are those whose published meaning is
true of the run and that lead to the place of the bug. The bugs: `thirteenth_b_losses`, `thirteenth_b_models`.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/thirteenth_b.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import thirteenth_b_losses as losses
from benchmarks.plateaubench.unseen import thirteenth_b_models as models
from benchmarks.plateaubench.unseen.thirteenth_b_losses import loss_is

FAULTS: tuple[Fault, ...] = (
    fault("metric_loss_by_view", "wrong-loss", losses.metric_loss_by_view),
    # the loss overwrites its own parts; the step follows the gradient of a quarter of its batch
    fault("last_piece_for_all", "wrong-loss wrong-step", losses.last_piece_for_all(4)),
    fault("mined_rows_not_shifted", "wrong-loss", losses.mined_rows_not_shifted),
    fault("logits_a_place_ahead", "wrong-loss labels-off-by-one", losses.logits_a_place_ahead),
    # learned, but far too small: as good as none, and its start is the mistake
    fault("scale_begins_at_e", "missing-cosine-scale wrong-start", models.scale_begins_at_e),
    fault("masks_with_an_axis_more", "wrong-loss", loss_is("triplet", losses.masks_with_an_axis_more)),
    fault("opposite_pairs", "wrong-loss", loss_is("triplet", losses.opposite_pairs)),
    fault("proxy_distances_without_minus", "wrong-loss wrong-head", models.distances_for_logits),
    fault("logits_as_probabilities", "wrong-loss wrong-head", loss_is("cross_entropy", losses.logits_as_probabilities)),
    # a sigmoid in place of the softmax, the same mistake; it stands in the loss's own code
    fault("sigmoid_twice", "softmax-before-ce wrong-loss", loss_is("cross_entropy", losses.sigmoid_twice)),
    fault("metric_loss_not_divided", "loss-weights-unbalanced wrong-loss", losses.triplets_summed, severity="mild"),
    fault("one_weight_per_class", "wrong-sampler", losses.one_weight_per_class),
    fault("oversampled_not_shuffled", "not-shuffled", losses.oversampled_not_shuffled),
    fault(
        "averaged_over_classes_too",
        "loss-weights-unbalanced wrong-loss",
        loss_is("cross_entropy", losses.averaged_over_classes_too),
    ),
    fault("old_statistics_in_training", "batch-norm-in-eval", models.old_statistics_in_training),
    fault("scored_with_first_parameters", "stale-weights-evaluated", models.scored_with_first_parameters),
    fault("towers_of_their_own", "wrong-model", models.towers_of_their_own),
    fault("hidden_as_wide_as_output", "wrong-model", models.hidden_as_wide_as_output),
    fault("no_rectifiers", "wrong-model", models.no_rectifiers),
    fault("hidden_layer_skipped", "wrong-model", models.hidden_layer_skipped),
    fault("last_rectifier_missing", "wrong-model", models.last_rectifier_missing),
    fault("first_place_not_pooled", "wrong-model", models.first_place_not_pooled),
    fault("scored_uncropped", "evaluation-preprocessing", models.scored_uncropped),
    fault("strided_places_left_empty", "wrong-model", models.strided_places_left_empty),
    fault("momentum_the_other_way_round", "wrong-model", models.momentum_the_other_way_round),
    fault("last_softmax_over_dim_0", "wrong-loss wrong-head", loss_is("cross_entropy", losses.softmax_over_the_batch)),
    fault("third_norm_missing", "wrong-model", models.third_norm_missing),
    fault("instance_norms", "wrong-model", models.instance_norms),
    fault("negatives_of_anybody", "wrong-loss", loss_is("triplet", losses.negatives_of_anybody)),
    fault("scored_with_batch_statistics", "evaluated-in-train-mode", models.scored_with_batch_statistics),
    fault("converted_without_scales", "stale-weights-evaluated", models.converted_without_scales),
    fault("mined_once", "wrong-loss", losses.mined_once),
    fault("positives_among_negatives", "wrong-loss", loss_is("triplet", losses.positives_among_negatives)),
)
