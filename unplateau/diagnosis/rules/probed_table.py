"""Rules that judge what probes and a watched training measured; part of `table.RULES`."""

from __future__ import annotations

from unplateau.diagnosis.rules import (
    batch_not_learnable,
    collapse_measured,
    evaluation_measured,
    generalisation_gap,
    images_ignored,
    labels_not_of_images,
    losses_unbalanced,
    motion_measured,
    preflight_measured,
    rate_measured,
)
from unplateau.diagnosis.verdict import Rule

PROBE_RULES: tuple[Rule, ...] = (
    Rule("weights-not-updated", motion_measured.judge_nothing_moves, motion_measured),
    Rule("learning-rate-zero", motion_measured.judge_rate_zero, motion_measured),
    Rule("only-head-trained", motion_measured.judge_only_head, motion_measured),
    Rule("layers-not-trained", motion_measured.judge_some_layers, motion_measured),
    Rule("labels-out-of-range", preflight_measured.judge_labels, preflight_measured),
    Rule("blank-inputs", preflight_measured.judge_blank, preflight_measured),
    Rule("inputs-not-normalised", preflight_measured.judge_normalisation, preflight_measured),
    Rule("no-positives", preflight_measured.judge_positives, preflight_measured),
    Rule("softmax-before-ce", preflight_measured.judge_logits, preflight_measured),
    Rule("initial-loss-off", preflight_measured.judge_first_loss, preflight_measured),
    Rule("evaluation-broken", evaluation_measured.judge, evaluation_measured),
    Rule("images-ignored", images_ignored.judge, images_ignored),
    Rule("batch-not-learnable", batch_not_learnable.judge, batch_not_learnable),
    Rule("labels-not-of-images", labels_not_of_images.judge, labels_not_of_images),
    Rule("collapsed-embeddings", collapse_measured.judge, collapse_measured),
    Rule("learning-rate-too-low", rate_measured.judge_low, rate_measured),
    Rule("learning-rate-too-high", rate_measured.judge_high, rate_measured),
    Rule("losses-in-conflict", losses_unbalanced.judge_conflict, losses_unbalanced),
    Rule("losses-unbalanced", losses_unbalanced.judge_imbalance, losses_unbalanced),
    Rule("overfitting", generalisation_gap.judge, generalisation_gap),
)
