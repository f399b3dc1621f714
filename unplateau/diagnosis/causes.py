"""The vocabulary of causes: every root cause a finding may name, with its cure. Causes of one cure form one class.

`unplateau explain --list` prints it; benchmarks score against sets of these words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Cause:
    """A root cause in one sentence."""

    code: str
    cure: str
    """Name of the remedy (`solutions.catalogue`); causes with the same cure form one class."""
    meaning: str


CAUSES: tuple[Cause, ...] = (
    Cause("stale-optimizer", "fix_optimizer", "the optimiser holds other tensors than the model's, or never sees gradients"),
    Cause("learning-rate-zero", "restore_learning_rate", "the learning rate that reaches the optimiser is 0"),
    Cause("everything-frozen", "unfreeze", "no parameter asks for a gradient"),
    Cause("backbone-frozen", "unfreeze", "only the head is trained"),
    Cause("layers-frozen", "unfreeze", "some layers are not trained"),
    Cause("scaler-always-skips", "fix_mixed_precision", "the gradient scaler finds infinities in every step and skips it"),
    Cause("no-gradient", "restore_gradient", "backward is not called, or its result is thrown away"),
    Cause("detached-branch", "restore_gradient", "a detach or no_grad cuts a loss off from the weights"),
    Cause("gradients-accumulate", "fix_optimizer", "zero_grad is missing, so old gradients add up"),
    Cause("wrong-step", "repair_step", "the training step does something else than follow the gradient of its batch's losses"),
    Cause("gradient-clipped-away", "loosen_clipping", "clipping makes every step tiny"),
    Cause("learning-rate-too-low", "higher_learning_rate", "the learning rate is far too low for the steps that are left"),
    Cause("epsilon-too-large", "higher_learning_rate", "Adam's epsilon swallows the gradients, so steps are tiny"),
    Cause("wrong-update", "repair_settings", "the optimiser's update is not that of its formula and settings"),
    Cause("learning-rate-too-high", "lower_learning_rate", "the learning rate is too high for this network and batch"),
    Cause("no-warm-up", "warm_up", "full learning rate on fresh or pretrained layers from the first step"),
    Cause("schedule-too-fast", "repair_schedule", "the schedule is stepped once a batch instead of once an epoch"),
    Cause("schedule-never-steps", "repair_schedule", "the scheduled drops are not carried out"),
    Cause("wrong-schedule", "repair_schedule", "the rate drops at other times, or by another factor, than was meant"),
    Cause("weight-decay-too-strong", "lower_weight_decay", "weight decay shrinks the weights faster than the loss can hold them"),
    Cause("batch-too-small", "larger_batch", "too few identities in a batch for batch normalisation and mining"),
    Cause("not-shuffled", "restore_shuffling", "batches come in the order of the data set"),
    Cause("labels-shuffled", "relabel", "labels do not belong to their images"),
    Cause("labels-noisy", "relabel", "a part of the labels is wrong"),
    Cause("identities-merged", "relabel", "several people share one label"),
    Cause("identities-split", "relabel", "one person has several labels"),
    Cause("labels-out-of-range", "relabel", "labels do not run from 0 to I-1"),
    Cause("labels-off-by-one", "relabel", "labels are shifted against the images or the classifier"),
    Cause("duplicates", "clean_images", "many images are copies of each other"),
    Cause("blank-images", "clean_images", "images are blank or cannot be decoded"),
    Cause("images-corrupted", "clean_images", "images arrive damaged: scrambled, torn, or with other colours than the file's"),
    Cause("too-few-identities", "more_identities", "too few people to learn what tells people apart"),
    Cause("inputs-not-normalised", "repair_normalisation", "mean and standard deviation do not fit the pretrained weights"),
    Cause("channels-swapped", "repair_normalisation", "images arrive as BGR where RGB is expected"),
    Cause("augmentation-too-strong", "weaker_augmentation", "augmentation destroys what identifies a person"),
    Cause("no-pk-sampling", "use_pk_sampling", "batches hold no second image of a person"),
    Cause("no-positives", "use_pk_sampling", "the metric loss finds no positive pairs"),
    Cause("wrong-sampler", "repair_sampling", "the sampler leaves out, repeats or prefers people or images that it should not"),
    Cause("triplet-collapse", "smaller_pk_and_grow", "hardest-triplet mining drove all embeddings to one point"),
    Cause("margin-wrong", "restore_margin", "the triplet margin does not fit the distances"),
    Cause("loss-weights-unbalanced", "rebalance_losses", "one loss drowns the other's gradient"),
    Cause("cross-entropy-missing", "add_cross_entropy", "only the triplet loss is trained"),
    Cause("wrong-loss", "repair_losses", "a loss computes something else than its formula: other pairs, targets or sign"),
    Cause("softmax-before-ce", "restore_logits", "softmax is applied before a loss that applies it again"),
    Cause("wrong-head", "restore_logits", "the classifier is not the one the loss expects"),
    Cause("label-smoothing-too-strong", "less_label_smoothing", "label smoothing leaves little to learn"),
    Cause("missing-cosine-scale", "restore_cosine_scale", "cosine logits go into the loss without a scale"),
    Cause("pretrained-not-loaded", "load_pretrained", "the pretrained weights were not, or only partly, loaded"),
    Cause("batch-norm-in-eval", "restore_batch_norm", "batch normalisation runs on old statistics while training"),
    Cause("dead-units", "reinitialise", "units that are zero for every image"),
    Cause("wrong-start", "reinitialise", "the training begins with other weights than was meant"),
    Cause("wrong-model", "repair_model", "the network computes something else than its design: a layer is left out or wrong"),
    Cause("embedding-too-small", "larger_embedding", "the embedding has too few dimensions"),
    Cause("dropout-too-strong", "less_dropout", "dropout leaves too little signal"),
    Cause("evaluated-in-train-mode", "repair_evaluation", "batch normalisation and dropout are active while evaluating"),
    Cause("evaluation-preprocessing", "repair_evaluation", "evaluation images are prepared differently from training images"),
    Cause("camera-ids-wrong", "repair_camera_ids", "camera ids are wrong or all one, so the camera rule removes the matches"),
    Cause("same-camera-not-filtered", "repair_evaluation", "matches of the same camera count, which makes the task trivial"),
    Cause("stale-weights-evaluated", "repair_evaluation", "an old copy of the weights is evaluated"),
    Cause("overfitting", "regularise", "the training identities are learned by heart"),
    Cause("finished", "nothing", "nothing is left to gain with this recipe"),
)  # fmt: skip

BY_CODE = {cause.code: cause for cause in CAUSES}
PLACES = (
    "wrong-model", "wrong-loss", "wrong-step", "wrong-update", "wrong-sampler", "wrong-schedule", "wrong-start",
    "images-corrupted",
)  # fmt: skip
"""Causes that say in which part of the training a fault lies, and not what it is: others may stand beside them."""


def cures_of(causes: Iterable[str]) -> tuple[str, ...]:
    """Return the cures of causes, in their order and without repeats.

    >>> cures_of(("no-gradient", "detached-branch", "dead-units"))
    ('restore_gradient', 'reinitialise')
    """
    return tuple(dict.fromkeys(BY_CODE[cause].cure for cause in causes))
