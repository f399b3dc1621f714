"""Mistakes in the configuration by somebody who knew no rule, no remedy and no result; the form is that of `faults_of_config`.

Each is what people report or publish: a value kept when the optimiser, the data set or the trainer changed, a wrong unit, a slip
by a factor, two settings that do not go together. The commoner come first.
"""

from __future__ import annotations

from typing import Any

_LOSSES, _HEADS, _JITTER = "MODEL.LOSSES", "MODEL.HEADS", "INPUT.CJ"
_CLASSIFIED_AND_TRIPLETS = ("CrossEntropyLoss", "TripletLoss")

MISTAKES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    # Adam was replaced, its rate was kept
    ("configured_sgd_at_rate_of_adam", "learning-rate-too-low", {"SOLVER.OPT": "SGD"}),
    # a larger batch for a larger GPU, everything else as it was: a quarter of the steps
    ("configured_batch_grown_alone", "learning-rate-too-low", {"SOLVER.IMS_PER_BATCH": 128}),
    # iterations of a recipe for a large data set: this run is shorter than its warm-up
    ("configured_warm_up_of_large_data", "learning-rate-too-low", {"SOLVER.WARMUP_ITERS": 2000}),
    # milestones of a run of 120 epochs
    ("configured_drops_after_the_end", "schedule-never-steps", {"SOLVER.STEPS": (40, 90)}),
    # 16 is K of that recipe, whose batches are larger; or taken for P
    ("configured_sixteen_instances", "batch-too-small", {"DATALOADER.NUM_INSTANCE": 16}),
    # a rate of SGD, with an optimiser of Adam's family
    ("configured_adamw_at_rate_of_sgd", "learning-rate-too-high", {"SOLVER.OPT": "AdamW", "SOLVER.BASE_LR": 0.05}),
    # the metric loss was to be added, and replaced the list
    ("configured_triplet_in_place_of_list", "cross-entropy-missing", {f"{_LOSSES}.NAME": ("TripletLoss",)}),
    # padding for images of 256 x 128
    ("configured_padding_of_large_images", "augmentation-too-strong", {"INPUT.PADDING.SIZE": 10}),
    # the weight of a loss that is a hundred times larger, left at its default beside the others'
    ("configured_circle_at_full_weight", "loss-weights-unbalanced",
     {f"{_LOSSES}.NAME": (*_CLASSIFIED_AND_TRIPLETS, "CircleLoss")}),
    # 1 as for the other losses, where 0.0005 is usual
    ("configured_centres_at_full_weight", "loss-weights-unbalanced",
     {f"{_LOSSES}.NAME": (*_CLASSIFIED_AND_TRIPLETS, "CenterLoss"), f"{_LOSSES}.CENTER.SCALE": 1.0}),
    # the margin was copied, the scale was not
    ("configured_margin_without_scale", "missing-cosine-scale", {f"{_HEADS}.CLS_LAYER": "CosSoftmax", f"{_HEADS}.MARGIN": 0.35}),
    # every image, where half of them is meant
    ("configured_always_erased", "augmentation-too-strong", {"INPUT.REA.ENABLED": True, "INPUT.REA.PROB": 1.0}),
    # a factor for pretrained layers, given to the new ones
    ("configured_slow_head", "learning-rate-too-low", {"SOLVER.HEADS_LR_FACTOR": 0.1}),
    # strengths of self-supervised learning (Chen et al. 2020), which shall make colour useless
    ("configured_jitter_of_self_supervision", "augmentation-too-strong",
     {f"{_JITTER}.ENABLED": True, f"{_JITTER}.PROB": 0.8, f"{_JITTER}.BRIGHTNESS": 0.8, f"{_JITTER}.CONTRAST": 0.8,
      f"{_JITTER}.SATURATION": 0.8, f"{_JITTER}.HUE": 0.2}),
    # a probability written as a range: half a turn either way is any colour
    ("configured_hue_as_probability", "augmentation-too-strong", {f"{_JITTER}.ENABLED": True, f"{_JITTER}.HUE": 0.5}),
    # first factor and length of a linear warm-up, in a constant one: the whole run at a hundredth
    ("configured_constant_warm_up", "learning-rate-too-low",
     {"SOLVER.WARMUP_METHOD": "constant", "SOLVER.WARMUP_FACTOR": 0.01, "SOLVER.WARMUP_ITERS": 500}),
)  # fmt: skip
"""(name, right answers, what is changed in the recipe)."""
