"""Faults to judge a diagnoser with, fifth file, second half: samplers and losses, network and evaluation.

Its author had read neither rules nor probes nor what any run was found to be. Bugs as people write them; no kind is a severity of
an older one. A cause is accepted when its published meaning is true of the run and its cure is where the bug is; where a
measurement is wrong, any word whose cure is to repair the evaluation. Nothing was diagnosed before it was complete.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/fifth_b.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import fifth_b_losses as losses
from benchmarks.plateaubench.unseen import fifth_b_model as model

_EVALUATION = "evaluation-preprocessing evaluated-in-train-mode stale-weights-evaluated same-camera-not-filtered"
_LABELS = "labels-shuffled labels-noisy"

_LOSSES = (
    fault("weights_of_classes_for_images", "too-few-identities overfitting", losses.weights_of_classes_for_images),
    fault("index_built_before_shuffling", "no-pk-sampling no-positives", losses.index_built_before_shuffling),
    fault("first_people_until_used_up", "not-shuffled", losses.first_people_until_used_up, severity="mild"),
    fault("labels_repeated_the_other_way", f"labels-off-by-one {_LABELS}", losses.labels_repeated_the_other_way),
    fault("labels_predicted_by_itself", f"identities-merged {_LABELS}", losses.labels_predicted_by_itself),
    fault("memory_written_by_row", f"labels-off-by-one {_LABELS}", losses.memory_written_by_row),
    fault("focal_turned_round", "cross-entropy-missing loss-weights-unbalanced", losses.focal_turned_round),
    fault("cross_entropy_replaced", "cross-entropy-missing loss-weights-unbalanced", losses.cross_entropy_replaced),
    fault("triplets_summed", "loss-weights-unbalanced", losses.triplets_summed),
    fault("pixels_rebuilt_in_a_sum", "loss-weights-unbalanced", losses.pixels_rebuilt_in_a_sum),
    fault("filters_held_apart_too_strongly", "loss-weights-unbalanced", losses.filters_held_apart_too_strongly),
    fault("margin_subtracted", "margin-wrong", losses.margin_subtracted, severity="mild"),
)
_MODEL = (
    fault("dropout_after_the_classifier", "dropout-too-strong", model.dropout_after_the_classifier(0.5)),
    fault("paths_dropped_without_a_shortcut", "dropout-too-strong", model.paths_dropped_without_a_shortcut(0.2)),
    fault("rectified_logits", "wrong-head softmax-before-ce", model.rectified_logits),
    fault("one_class_too_few", "labels-out-of-range labels-off-by-one wrong-head", model.one_class_too_few),
    fault("layers_in_a_plain_list", "stale-optimizer layers-frozen", model.layers_in_a_plain_list),
    fault("mirrored_upside_down", _EVALUATION, model.mirrored_upside_down, severity="mild"),
    fault("crops_averaged_across_images", _EVALUATION, model.crops_averaged_across_images),
    fault("factors_of_the_product_exchanged", _EVALUATION, model.factors_of_the_product_exchanged),
    fault("probabilities_for_embeddings", _EVALUATION, model.probabilities_for_embeddings),
    fault("features_of_an_early_layer", _EVALUATION, model.features_of_an_early_layer),
    fault("features_written_by_batch_number", _EVALUATION, model.features_written_by_batch_number),
    fault("reduced_by_two_bases", _EVALUATION, model.reduced_by_two_bases),
    fault("queries_lie_on_their_side", _EVALUATION, model.queries_lie_on_their_side),
)
FAULTS: tuple[Fault, ...] = tuple(
    planted
    for first in range(max(map(len, (_LOSSES, _MODEL))))
    for part in (_LOSSES, _MODEL)
    for planted in part[first : first + 1]
)
"""One of each half in turn, so that a part of a run is a fair sample."""
