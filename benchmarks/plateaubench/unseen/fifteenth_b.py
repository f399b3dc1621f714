"""Faults to judge a diagnoser with, fifteenth file, part b: samplers, losses, the network and its evaluation.

A fresh sample of bugs that people reported, in the order in which the threads were found, known kinds or not; planted by
somebody who knew neither the older plants nor how the diagnoser decides. What did not lower the score was left out before
anything was diagnosed. Use: `measure.py --faults-from benchmarks/plateaubench/unseen/fifteenth_b.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import fifteenth_b_losses as losses
from benchmarks.plateaubench.unseen import fifteenth_b_model as model

FAULTS: tuple[Fault, ...] = (
    fault("distances_over_the_last_axis", "wrong-loss", losses.distances_over_the_last_axis),
    # what is added is a decay of the classifier's weights
    fault("whole_table_regularised", "wrong-loss weight-decay-too-strong", losses.whole_table_regularised, severity="mild"),
    fault("one_logarithm_of_all_sums", "wrong-loss", losses.one_logarithm_of_all_sums),
    fault("centres_pulled_together", "wrong-loss", losses.centres_pulled_together, severity="mild"),
    # the losses are cut off from the weights, all gradients are 0, and the step is where it is done
    fault("scores_taken_before_the_loss", "detached-branch no-gradient wrong-step", losses.scores_taken_before_the_loss),
    fault("violations_counted", "detached-branch wrong-loss", losses.violations_counted, severity="mild"),
    # the term that lacks its factor drowns the other one
    fault("off_diagonal_without_its_factor", "loss-weights-unbalanced wrong-loss", losses.off_diagonal_without_its_factor),
    fault("features_in_another_order_than_labels", "wrong-loss", losses.features_in_another_order_than_labels, severity="mild"),
    fault("one_image_of_a_person", "no-pk-sampling no-positives", losses.one_image_of_a_person, severity="mild"),
    fault("logarithm_of_class_weights", "wrong-sampler", losses.logarithm_of_class_weights, severity="mild"),
    fault("sigmoid_of_the_distance", "wrong-loss", losses.sigmoid_of_the_distance, severity="mild"),
    fault("both_kinds_of_pairs_in_one_mean", "wrong-loss", losses.both_kinds_of_pairs_in_one_mean),
    fault("one_place_for_the_whole", "wrong-model", model.one_place_for_the_whole),
    fault("only_branch_dropped", "wrong-model dropout-too-strong", model.only_branch_dropped),
    fault("channels_dropped_for_paths", "wrong-model dropout-too-strong", model.channels_dropped_for_paths),
    # no gradient comes through the layers, so those below are not trained
    fault("checkpointed_with_a_list", "detached-branch no-gradient layers-frozen", model.checkpointed_with_a_list),
    # a layer's setting is wrong, and what is scored goes by statistics of the start
    fault("statistics_never_move", "wrong-model stale-weights-evaluated", model.statistics_never_move),
    fault("standardised_the_wrong_way", "wrong-model", model.standardised_the_wrong_way, severity="mild"),
    # the layer's gradient is not that of what it computes
    fault("leak_with_the_gradient_of_its_output", "wrong-model wrong-step", model.leak_with_the_gradient_of_its_output),
    fault("embeddings_of_any_length_for_cosines", "wrong-head wrong-model", model.embeddings_of_any_length_for_cosines),
    fault("brackets_missing_in_xavier", "wrong-start", model.brackets_missing_in_xavier),
    fault("xavier_of_summed_sides", "wrong-start", model.xavier_of_summed_sides),
    # the normalisation between network and loss is left out, and the loss becomes so steep that it drowns the other
    fault("contrast_without_normalising", "wrong-loss wrong-model loss-weights-unbalanced", model.contrast_without_normalising),
    fault("transformer_begins_sheared", "wrong-start wrong-model", model.transformer_begins_sheared, severity="mild"),
)
