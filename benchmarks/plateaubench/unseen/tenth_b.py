"""Faults to judge a diagnoser with, tenth file, second half: samplers and losses, network and evaluation.

Its author had read neither rules nor probes nor what any run was found to be. The kinds were drawn and not picked: public threads
in which a bug was found in the end were collected with questions written down before, and planted in the order found where the
bench can hold them, no older file has them, a word of the vocabulary is true of them and the score falls. Those "from experience"
fill up. Each says where it was seen. A cause is accepted when its published meaning is true of the run and its cure is where the
bug is; where a measurement is wrong, any word whose cure is to repair the evaluation. Nothing was diagnosed before that.
Use: `measure.py --faults-from benchmarks/plateaubench/unseen/tenth_b.py`.
"""

from __future__ import annotations

from benchmarks.plateaubench.fault import Fault, fault
from benchmarks.plateaubench.unseen import tenth_b_losses as losses
from benchmarks.plateaubench.unseen import tenth_b_model as model

_EVALUATION = "evaluation-preprocessing evaluated-in-train-mode stale-weights-evaluated same-camera-not-filtered"
# An anchor's own person is now and then its negative, so for the metric loss some labels are wrong: a person is two.
_OWN_PERSON_AS_NEGATIVE = "identities-split labels-noisy labels-shuffled"

_LOSSES = (
    fault("mask_taken_for_rows", _OWN_PERSON_AS_NEGATIVE, losses.mask_taken_for_rows, severity="mild"),
    # The centres are weights that nothing trains, and at random points they pull harder than all else.
    fault("centres_never_move", "stale-optimizer layers-frozen loss-weights-unbalanced", losses.centres_never_move),
    fault("no_candidate_is_row_zero", _OWN_PERSON_AS_NEGATIVE, losses.no_candidate_is_row_zero),
    # Each pair is told the answers of all pairs, and most of them say "two people".
    fault(
        "every_score_meets_every_label",
        "labels-shuffled labels-noisy identities-split",
        losses.every_score_meets_every_label,
    ),
    fault("farthest_negative", "margin-wrong", losses.farthest_negative),
    fault("focal_of_the_logarithm", "loss-weights-unbalanced wrong-head", losses.focal_of_the_logarithm, severity="mild"),
    fault("itself_is_the_farthest", "margin-wrong loss-weights-unbalanced", losses.itself_is_the_farthest, severity="mild"),
    fault(
        "margin_compared_with_the_distance",
        "margin-wrong",
        losses.margin_compared_with_the_distance,
        severity="mild",
    ),
    # The mining draws all to one point, as if all people were one.
    fault("likeness_for_distance", "triplet-collapse identities-merged", losses.likeness_for_distance, severity="mild"),
    fault("least_of_what_is_masked", "triplet-collapse", losses.least_of_what_is_masked, severity="mild"),
    # A track has one to three images: none, or few, second images of a person, and copies in their place.
    fault("images_of_one_track", "duplicates no-pk-sampling no-positives", losses.images_of_one_track),
)
_MODEL = (
    fault("filters_never_filled", "dead-units", model.filters_never_filled),
    fault("input_goes_on_for_output", "layers-frozen", model.input_goes_on_for_output, severity="mild"),
    fault("softmax_in_the_layer_before", "softmax-before-ce wrong-head", model.softmax_in_the_layer_before),
    # Training is right and only what is measured suffers, by statistics that are of another layer.
    fault("one_norm_for_several_layers", f"batch-norm-in-eval {_EVALUATION}", model.one_norm_for_several_layers, severity="mild"),
    fault("instance_norm_of_one_place", "dead-units", model.instance_norm_of_one_place),
    fault("first_of_the_means", "embedding-too-small", model.first_of_the_means),
    fault("gallery_made_of_the_queries", _EVALUATION, model.gallery_made_of_the_queries),
    fault("blocks_counted_as_places", "dropout-too-strong", model.blocks_counted_as_places),
    # Places have no gradient: the backbone is cut off, and only the head is trained.
    fault(
        "places_for_values",
        "detached-branch no-gradient backbone-frozen layers-frozen",
        model.places_for_values,
    ),
    fault("cosines_without_unit_lengths", "wrong-head", model.cosines_without_unit_lengths),
    fault("order_taken_for_ranks", _EVALUATION, model.order_taken_for_ranks),
)
FAULTS: tuple[Fault, ...] = tuple(
    planted
    for first in range(max(map(len, (_LOSSES, _MODEL))))
    for part in (_LOSSES, _MODEL)
    for planted in part[first : first + 1]
)
"""One of each half in turn, so that a part of a run is a fair sample."""
