"""A second list of mistakes in the configuration by somebody who knew no rule, no remedy and no result; form: `faults_of_config`.

More of them than in the first list stand in what is seldom looked at (momentum, factors, norms) and in what SGD takes badly
where Adam does not. The commoner come first.
"""

from __future__ import annotations

from typing import Any

_LOSSES, _HEADS, _JITTER, _CLIPPING = "MODEL.LOSSES", "MODEL.HEADS", "INPUT.CJ", "SOLVER.CLIP_GRADIENTS"
_SGD: dict[str, Any] = {"SOLVER.OPT": "SGD", "SOLVER.BASE_LR": 0.05}  # healthy by itself

MISTAKES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    # the rate of published recipes, whose networks are pretrained
    ("configured_rate_of_pretrained", "learning-rate-too-low", {"SOLVER.BASE_LR": 3.5e-4}),
    # the number of persons, P, where images are asked for
    ("configured_persons_as_batch", "batch-too-small", {"SOLVER.IMS_PER_BATCH": 8}),
    # SGD from another file, with the decay that was AdamW's
    ("configured_decay_of_adamw_in_sgd", "weight-decay-too-strong", {**_SGD, "SOLVER.WEIGHT_DECAY": 0.05}),
    # a triplet loss a tenth as large as cross-entropy, made as large
    ("configured_losses_made_equal", "loss-weights-unbalanced", {f"{_LOSSES}.TRI.SCALE": 10.0}),
    # without the key it is False; Adam trains without a neck, SGD does not
    ("configured_sgd_without_neck", "loss-weights-unbalanced", {**_SGD, f"{_HEADS}.WITH_BNNECK": False}),
    # a circle classifier by its name alone: in other trainers 64 is the default
    ("configured_circle_by_name_alone", "missing-cosine-scale", {f"{_HEADS}.CLS_LAYER": "CircleSoftmax"}),
    # the usual limit of transformers, which are trained by AdamW
    ("configured_limit_of_transformers", "gradient-clipped-away",
     {**_SGD, f"{_CLIPPING}.ENABLED": True, f"{_CLIPPING}.CLIP_VALUE": 0.1}),
    # torch's own momentum of SGD, with a rate that goes with 0.9
    ("configured_momentum_of_torch", "learning-rate-too-low",
     {"SOLVER.OPT": "SGD", "SOLVER.BASE_LR": 0.01, "SOLVER.MOMENTUM": 0.0}),
    # 1 as the factor that changes nothing, where the change is asked for
    ("configured_jitter_as_factor", "augmentation-too-strong",
     {f"{_JITTER}.ENABLED": True, f"{_JITTER}.BRIGHTNESS": 1.0, f"{_JITTER}.CONTRAST": 1.0, f"{_JITTER}.SATURATION": 1.0}),
    # one nine too many: ten times the step
    ("configured_momentum_a_nine_too_many", "learning-rate-too-high", {**_SGD, "SOLVER.MOMENTUM": 0.99}),
    # the rate after the drop, where its factor is asked for
    ("configured_gamma_as_rate", "learning-rate-too-low", {"SOLVER.GAMMA": 2e-4}),
    # 0.999, which is the second of Adam's two, or the decay of averaged weights
    ("configured_momentum_of_second_moments", "learning-rate-too-high", {**_SGD, "SOLVER.MOMENTUM": 0.999}),
    # a tenth of full weight was meant, and a tenth of that is needed
    ("configured_circle_a_place_off", "loss-weights-unbalanced",
     {f"{_LOSSES}.NAME": ("CrossEntropyLoss", "TripletLoss", "CircleLoss"), f"{_LOSSES}.CIRCLE.SCALE": 0.5}),
    # a soft margin, which is for free distances, between unit-length features: it pulls at every triplet to the end
    ("configured_soft_margin_of_unit_length", "margin-wrong", {f"{_LOSSES}.TRI.MARGIN": 0.0, f"{_LOSSES}.TRI.NORM_FEAT": True}),
    # 20, as segmentation gives to the bias of one new classifier (Chen et al. 2015), here to every bias
    ("configured_bias_of_segmentation", "learning-rate-too-high", {**_SGD, "SOLVER.BIAS_LR_FACTOR": 20.0}),
    # a sum of half a million gradients, with the limit of a norm of order 2
    ("configured_limit_of_another_norm", "gradient-clipped-away",
     {**_SGD, f"{_CLIPPING}.ENABLED": True, f"{_CLIPPING}.NORM_TYPE": 1.0}),
)  # fmt: skip
"""(name, right answers, what is changed in the recipe)."""
