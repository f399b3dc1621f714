"""Which fault kinds rules may be tuned on, and which only judge. Split by kind, never by seed."""

from __future__ import annotations

KNOWN_TO_THE_RULES = frozenset({
    "stale_optimizer", "optimizer_of_copies", "frozen_backbone", "backbone_detached", "blank_images", "not_normalised",
    "softmax_before_ce", "rate_zero", "no_gradient", "optimizer_never_steps", "labels_shuffled",
})  # fmt: skip
"""Kinds that were planted in the tests of the rules before this benchmark existed."""

DRAWN = frozenset({
    "rate_low", "schedule_too_fast", "gradients_accumulate", "adam_epsilon", "tiny_batch", "labels_shifted", "identities_split",
    "same_picture_for_all", "over_augmentation", "no_pk", "label_smoothing", "embedding",
})  # fmt: skip
"""Every third of the others, in the order of the tables, before anything was measured."""

TUNED_SINCE = frozenset({
    "clipped_away", "one_identity_a_batch", "batch_norm_in_eval", "dead_units", "dropout", "identities_merged",
    "cosine_without_scale", "rate_high", "channels_swapped", "evaluation_channels",
})  # fmt: skip
"""Held-out kinds after whose results a rule was changed."""

CALIBRATION = KNOWN_TO_THE_RULES | DRAWN | TUNED_SINCE


def half(kind: str) -> str:
    """Return "calibration" or "held out"; a kind from outside is held out."""
    return "calibration" if kind in CALIBRATION else "held out"
