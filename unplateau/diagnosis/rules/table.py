"""All rules in one table that can be read: code, judge, and the module that is its page."""

from __future__ import annotations

from unplateau.diagnosis.rules import (
    checkpoints_equal,
    classifier_not_trained,
    collapsed_embeddings,
    diverged,
    evaluation_broken,
    learning_rate_too_high,
    learning_rate_too_low,
    not_a_plateau,
    only_head_trained,
    overfitting,
    schedule_faults,
    softmax_before_ce,
    spoken_symptoms,
    total_only,
    triplet_zero,
    uniform_logits,
    weights_not_updated,
)
from unplateau.diagnosis.verdict import Rule

RULES: tuple[Rule, ...] = (
    Rule("weights-not-updated", weights_not_updated.judge, weights_not_updated),
    Rule("weights-not-updated", checkpoints_equal.judge_nothing_moved, checkpoints_equal),
    Rule("only-head-trained", checkpoints_equal.judge_only_head_moved, checkpoints_equal),
    Rule("layers-not-trained", checkpoints_equal.judge_layers_still, checkpoints_equal),
    Rule("weights-barely-move", checkpoints_equal.judge_barely_moved, checkpoints_equal),
    Rule("diverged", checkpoints_equal.judge_non_finite, checkpoints_equal),
    Rule("diverged", diverged.judge, diverged),
    Rule("only-head-trained", only_head_trained.judge, only_head_trained),
    Rule("classifier-not-trained", classifier_not_trained.judge, classifier_not_trained),
    Rule("nothing-learned", total_only.judge, total_only),
    Rule("no-positives", triplet_zero.judge, triplet_zero),
    Rule("labels-out-of-range", spoken_symptoms.judge_labels, spoken_symptoms),
    Rule("softmax-before-ce", softmax_before_ce.judge, softmax_before_ce),
    Rule("missing-cosine-scale", softmax_before_ce.judge_cosine, softmax_before_ce),
    Rule("evaluation-broken", evaluation_broken.judge, evaluation_broken),
    Rule("collapsed-embeddings", collapsed_embeddings.judge, collapsed_embeddings),
    Rule("uniform-logits", uniform_logits.judge, uniform_logits),
    Rule("learning-rate-too-high", learning_rate_too_high.judge, learning_rate_too_high),
    Rule("fitting-noise", learning_rate_too_high.judge_fitting_noise, learning_rate_too_high),
    Rule("learning-rate-too-low", learning_rate_too_low.judge, learning_rate_too_low),
    Rule("learning-rate-exhausted", schedule_faults.judge_exhausted, schedule_faults),
    Rule("schedule-never-steps", schedule_faults.judge_never_steps, schedule_faults),
    Rule("pretrained-not-loaded", spoken_symptoms.judge_weights, spoken_symptoms),
    Rule("overfitting", overfitting.judge, overfitting),
    Rule("triplet-solved", triplet_zero.judge_solved, triplet_zero),
    Rule("plateau", not_a_plateau.judge, not_a_plateau),
)
