"""A third list of mistakes in the configuration by somebody who knew no rule, no remedy and no result; form: `faults_of_config`.

Many are numbers in a wrong unit, under another name than their own, or a zero away; seven stand on keys that neither list before
touches. The commoner come first. Which of several keys is the mistake stands beside it.
"""

from __future__ import annotations

from typing import Any

_LOSSES, _HEADS, _JITTER = "MODEL.LOSSES", "MODEL.HEADS", "INPUT.CJ"
_CLASSIFIED_AND_TRIPLETS = ("CrossEntropyLoss", "TripletLoss")
_SGD: dict[str, Any] = {"SOLVER.OPT": "SGD", "SOLVER.BASE_LR": 0.05}  # healthy by itself

MISTAKES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    # a zero was lost
    ("configured_rate_a_zero_short", "learning-rate-too-high", {"SOLVER.BASE_LR": 0.02}),
    # 0.1 for batches of 256, multiplied by 256 / 32 where it is to be divided; SGD is meant
    ("configured_rate_scaled_upside_down", "learning-rate-too-high", {"SOLVER.OPT": "SGD", "SOLVER.BASE_LR": 0.8}),
    # milestones of a re-ID recipe of ten epochs (MMTracking), whose network is pretrained and needs the full rate for three
    ("configured_drops_of_a_short_recipe", "wrong-schedule learning-rate-too-low", {"SOLVER.STEPS": (3, 6, 9)}),
    # ten epochs of warm-up from a hundredth (Luo et al. 2019), turned into steps rightly: there the run has 120 epochs, here 12
    ("configured_ten_epochs_of_warm_up", "learning-rate-too-low",
     {"SOLVER.WARMUP_ITERS": 150, "SOLVER.WARMUP_FACTOR": 0.01}),
    # batches halved for a small GPU, with many images a person as vehicle recipes have them: two persons are left
    ("configured_two_persons_left", "batch-too-small", {"SOLVER.IMS_PER_BATCH": 16, "DATALOADER.NUM_INSTANCE": 8}),
    # ten times the rate for the new layers of a pretrained network; here all layers are new. The factor is the mistake
    ("configured_fast_head", "learning-rate-too-high", {**_SGD, "SOLVER.HEADS_LR_FACTOR": 10.0}),
    # the probability of the right class, where what is taken from it is asked for
    ("configured_confidence_as_smoothing", "label-smoothing-too-strong", {f"{_LOSSES}.CE.EPSILON": 0.9}),
    # every image, where half of them is meant: evaluation sees a side that training never saw. SGD is meant
    ("configured_every_image_mirrored", "evaluation-preprocessing augmentation-too-strong", {**_SGD, "INPUT.FLIP.PROB": 1.0}),
    # both rates of the cosine alike: it is a straight line. The final one is the mistake
    ("configured_final_rate_of_base", "schedule-never-steps wrong-schedule",
     {"SOLVER.SCHED": "CosineAnnealingLR", "SOLVER.ETA_MIN_LR": 2e-3}),
    # epochs of warm-up, written where the cosine's delay is asked for; the cosine is meant
    ("configured_delay_as_warm_up", "wrong-schedule schedule-never-steps",
     {"SOLVER.SCHED": "CosineAnnealingLR", "SOLVER.DELAY_EPOCHS": 10}),
    # a shift on the scale of 0 to 255 (detectors' photometric distortion), where a relative change is asked for
    ("configured_brightness_of_bytes", "augmentation-too-strong", {f"{_JITTER}.ENABLED": True, f"{_JITTER}.BRIGHTNESS": 32.0}),
    # a temperature, which divides, as the scale, which multiplies
    ("configured_temperature_as_scale", "missing-cosine-scale", {f"{_HEADS}.CLS_LAYER": "CosineLinear", f"{_HEADS}.SCALE": 0.07}),
    # 2 is the usual factor of the biases' rate; it stands a line too low. SGD is meant
    ("configured_factor_of_biases_as_decay", "weight-decay-too-strong", {**_SGD, "SOLVER.WEIGHT_DECAY_BIAS": 2.0}),
    # 0.5 / 0.0005, as trainers need it that do not free the centres' gradient of the loss's weight (PaddleClas); here it is freed
    ("configured_rate_of_weighted_centres", "learning-rate-too-high loss-weights-unbalanced",
     {f"{_LOSSES}.NAME": (*_CLASSIFIED_AND_TRIPLETS, "CenterLoss"), f"{_LOSSES}.CENTER.LR": 1000.0}),
    # weight and rate of the centres exchanged
    ("configured_weight_and_rate_exchanged", "loss-weights-unbalanced",
     {f"{_LOSSES}.NAME": (*_CLASSIFIED_AND_TRIPLETS, "CenterLoss"), f"{_LOSSES}.CENTER.SCALE": 0.5,
      f"{_LOSSES}.CENTER.LR": 5e-4}),
    # 1280 for 128: the loss, and its gradient, ten times as large at the same weight. The weight is right
    ("configured_gamma_a_zero_too_many", "loss-weights-unbalanced",
     {f"{_LOSSES}.NAME": ("CrossEntropyLoss", "CircleLoss"), f"{_LOSSES}.CIRCLE.SCALE": 0.05, f"{_LOSSES}.CIRCLE.GAMMA": 1280.0}),
)  # fmt: skip
"""(name, right answers, what is changed in the recipe)."""
