"""Remedies in one table: what to change, why it should help, and who says so. Without keys: something to do, not to set.

From findings to files: `generate`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from unplateau.config.schema import Config
from unplateau.diagnosis.schedule_view import USUAL_RATES
from unplateau.diagnosis.usual_settings import EARLIEST_DROP, FEWEST_PEOPLE, IMAGES_EACH

_FAR_ABOVE = 10.0  # times the usual rate; a third of that would be too high as well
_SMALL_BATCH = FEWEST_PEOPLE * IMAGES_EACH
_USUAL_WARM_UP = 2000  # steps, fast-reid's Base-bagtricks


@dataclass(frozen=True)
class Remedy:
    """One cure."""

    name: str
    hypothesis: str
    source: str
    change: Callable[[Config], dict[str, Any]] | None = None
    """Dotted keys for our configuration; None where the cure lies outside of it."""
    expected: str = ""
    elsewhere: str = ""
    """What to do in a trainer of one's own, where no configuration of ours reaches."""
    sets_all: bool = False
    """Whether it sets whatever a finding's settings hold; others only take values for their own keys from there."""


def _usual_rate(config: Config) -> float:
    return USUAL_RATES.get(config.SOLVER.OPT, USUAL_RATES["Adam"])


def _lower_rate(config: Config) -> dict[str, Any]:
    rate, usual = config.SOLVER.BASE_LR, _usual_rate(config)
    return {"SOLVER.BASE_LR": usual if rate > _FAR_ABOVE * usual else _round(rate / 3)}


def _raise_rate(config: Config) -> dict[str, Any]:
    return {"SOLVER.BASE_LR": max(_usual_rate(config), _round(config.SOLVER.BASE_LR * 3))}


def _restore_rate(config: Config) -> dict[str, Any]:
    return {"SOLVER.BASE_LR": USUAL_RATES["Adam"]}


def _warm_up(config: Config) -> dict[str, Any]:
    return {"SOLVER.WARMUP_ITERS": max(_USUAL_WARM_UP, config.SOLVER.WARMUP_ITERS), "SOLVER.WARMUP_FACTOR": 0.01}


def _unfreeze(config: Config) -> dict[str, Any]:
    return {"MODEL.FREEZE_LAYERS": [], "SOLVER.FREEZE_ITERS": 0}


def _normalisation(config: Config) -> dict[str, Any]:
    from unplateau.config.schema_model import IMAGENET_MEAN, IMAGENET_STD

    return {"MODEL.PIXEL_MEAN": list(IMAGENET_MEAN), "MODEL.PIXEL_STD": list(IMAGENET_STD)}


def _cross_entropy(config: Config) -> dict[str, Any]:
    names = list(dict.fromkeys(["CrossEntropyLoss", *config.MODEL.LOSSES.NAME]))
    return {"MODEL.LOSSES.NAME": names, "MODEL.LOSSES.CE.SCALE": 1.0, "MODEL.HEADS.WITH_BNNECK": True}


def _small_pk(config: Config) -> dict[str, Any]:
    return {
        "DATALOADER.SAMPLER_TRAIN": "NaiveIdentitySampler", "DATALOADER.NUM_INSTANCE": 2, "SOLVER.IMS_PER_BATCH": 8,
        "SOLVER.WARMUP_ITERS": max(_USUAL_WARM_UP, config.SOLVER.WARMUP_ITERS),
    }  # fmt: skip


def _pk(config: Config) -> dict[str, Any]:
    batch = max(8, config.SOLVER.IMS_PER_BATCH // 4 * 4)
    return {"DATALOADER.SAMPLER_TRAIN": "NaiveIdentitySampler", "DATALOADER.NUM_INSTANCE": 4, "SOLVER.IMS_PER_BATCH": batch}


def _cosine_scale(config: Config) -> dict[str, Any]:
    return {"MODEL.HEADS.SCALE": 30.0}


def _linear_head(config: Config) -> dict[str, Any]:
    return {"MODEL.HEADS.CLS_LAYER": "Linear"}


def _clip(config: Config) -> dict[str, Any]:
    return {"SOLVER.CLIP_GRADIENTS.ENABLED": True, "SOLVER.CLIP_GRADIENTS.CLIP_VALUE": 5.0}


def _no_clip(config: Config) -> dict[str, Any]:
    return {"SOLVER.CLIP_GRADIENTS.ENABLED": False}


def _bf16(config: Config) -> dict[str, Any]:
    return {"SOLVER.AMP.ENABLED": False}


def _regularise(config: Config) -> dict[str, Any]:
    return {"INPUT.REA.ENABLED": True, "INPUT.CJ.ENABLED": True, "MODEL.LOSSES.CE.EPSILON": 0.1}


def _drop_now(config: Config) -> dict[str, Any]:
    return {"SOLVER.ON_PLATEAU": "drop"}


def _larger_batch(config: Config) -> dict[str, Any]:
    each = config.DATALOADER.NUM_INSTANCE
    several = {"DATALOADER.NUM_INSTANCE": IMAGES_EACH} if each > 1 else {}
    batch = config.SOLVER.IMS_PER_BATCH
    if each <= IMAGES_EACH or batch < _SMALL_BATCH:  # else more people, and not more images
        batch = max(2 * batch, _SMALL_BATCH)
    return {"SOLVER.IMS_PER_BATCH": -(-batch // IMAGES_EACH) * IMAGES_EACH, **several}


def _descend(config: Config) -> dict[str, Any]:
    """A rate that descends over all epochs for milestones that come at once or never; others are right, their code is not."""
    epochs, steps = config.SOLVER.MAX_EPOCH, config.SOLVER.STEPS
    if config.SOLVER.SCHED != "MultiStepLR" or not steps or EARLIEST_DROP * epochs <= min(steps) < epochs:
        return {}
    return {"SOLVER.SCHED": "CosineAnnealingLR"}


def _less_decay(config: Config) -> dict[str, Any]:
    return {"SOLVER.WEIGHT_DECAY": 5e-4, "SOLVER.WEIGHT_DECAY_NORM": 5e-4, "SOLVER.WEIGHT_DECAY_BIAS": 5e-4}


def _weaker_augmentation(config: Config) -> dict[str, Any]:
    return {"INPUT.REA.ENABLED": False, "INPUT.CJ.ENABLED": False, "INPUT.AFFINE.ENABLED": False, "INPUT.AUTOAUG.ENABLED": False}


def _no_change(config: Config) -> dict[str, Any]:
    return {}


REMEDIES: tuple[Remedy, ...] = (
    Remedy("fix_optimizer", "The same recipe learns once the optimiser really holds the weights: here preflight sees them move "
           "before the first epoch is spent.", "fast-reid#750", _no_change, "CE leaves its initial value within the first epoch",
           "fast-reid with torch >= 2.0: build the optimiser with contiguous=False, or call zero_grad(set_to_none=False). Any "
           "trainer: the optimiser must hold the model's own parameters (compare id(p)), and be built after .to(device)."),
    Remedy("restore_learning_rate", "A rate above 0 reaches the optimiser.", "Luo et al. 2019: 3.5e-4 with Adam", _restore_rate),
    Remedy("unfreeze", "The backbone must be trained for its features to change.", "Luo et al. 2019", _unfreeze),
    Remedy("fix_mixed_precision", "Without a gradient scaler no step can be skipped.", "PyTorch AMP notes", _bf16),
    Remedy("restore_gradient", "Backward must reach every layer.", "PyTorch autograd notes",
           elsewhere="Remove detach() and no_grad() from the training step."),
    Remedy("lower_learning_rate", "Smaller steps stop overshooting.", "Smith 2017, arXiv 1506.01186", _lower_rate),
    Remedy("higher_learning_rate", "Larger steps reach the floor within the epochs planned.", "Smith 2017", _raise_rate),
    Remedy("usual_settings", "With what recipes use in place of values that none has, the rest of the recipe can be judged.",
           "Luo et al. 2019; fast-reid's Base-bagtricks", _no_change, sets_all=True),
    Remedy("warm_up", "A gentle start keeps fresh layers from wrecking pretrained ones.", "Fan et al. 2019; Luo et al. 2019",
           _warm_up),
    Remedy("rebalance_losses", "With equal weights no loss drowns the other's gradient.", "Luo et al. 2019: both weights 1",
           lambda config: {"MODEL.LOSSES.CE.SCALE": 1.0, "MODEL.LOSSES.TRI.SCALE": 1.0}),
    Remedy("clip_gradients", "Clipping bounds the step after an outlier batch.", "Pascanu et al. 2013", _clip),
    Remedy("loosen_clipping", "Without clipping steps have their full length.", "Tuning Playbook", _no_clip),
    Remedy("repair_schedule", "Milestones in epochs, the rate set by one owner.", "open-reid#15", _descend),
    Remedy("lower_weight_decay", "The usual decay leaves the features their length.", "Luo et al. 2019: 5e-4", _less_decay),
    Remedy("repair_normalisation", "Inputs as the pretrained weights expect them, on the 0-255 scale here.", "torchvision",
           _normalisation),
    Remedy("relabel", "Labels 0..I-1 that belong to their images.", "Northcutt et al. 2021, arXiv 1911.00068",
           elsewhere="Relabel 0..I-1 in the order of the sorted person ids, and look at ten images with their labels."),
    Remedy("clean_images", "Remove blank, broken and repeated images.", "field casebook",
           elsewhere="Remove images that are blank, broken or copies of each other."),
    Remedy("more_identities", "More people teach what tells people apart.", "Market-1501: 751",
           elsewhere="Add a second data set to DATASETS.NAMES."),
    Remedy("add_cross_entropy", "Cross-entropy holds the features open while the triplet loss shapes them; BNNeck keeps the two "
           "from pulling one feature apart.", "deep-person-reid#357: 5.7 to 40.9 % mAP; Luo 2019", _cross_entropy),
    Remedy("smaller_pk_and_grow", "A small P x K has easier negatives, so hardest mining does not collapse; grow it once it "
           "learns.", "triplet-reid#54, open-metric-learning#446", _small_pk),
    Remedy("use_pk_sampling", "Every anchor needs a second image of its person.", "Hermans 2017", _pk),
    Remedy("restore_cosine_scale", "With scale 30 the loss can reach its floor.", "Wang 2017 (NormFace), proposition 2",
           _cosine_scale),
    Remedy("restore_logits", "Raw logits into the loss, which applies softmax itself.", "PyTorch CrossEntropyLoss", _linear_head),
    Remedy("load_pretrained", "Pretrained features are worth tens of points.", "reid-strong-baseline#46, ELECTRICITY-MTMC#7",
           lambda config: {"MODEL.BACKBONE.PRETRAIN": True}),
    Remedy("repair_evaluation", "Evaluate the trained weights, in eval mode, with the training's preprocessing.", "SOLIDER#16",
           elsewhere="Score the untrained backbone (1-3 % on Market-1501), and the training images against "
           "themselves (near 100 %)."),
    Remedy("repair_camera_ids", "Camera ids from the file names, so that the camera rule keeps the matches.",
           "deep-person-reid#348, TransReID#62",
           elsewhere="Check that query and gallery hold each person under at least two camera ids."),
    Remedy("regularise", "Stronger augmentation and label smoothing leave less to learn by heart.",
           "Zhong et al. 2017; Szegedy 2016", _regularise),
    Remedy("larger_batch", "More identities in a batch give harder negatives.", "TransReID#25: batch 12 costs 10 points",
           _larger_batch),
    Remedy("drop_now", "Taking the next drop of the rate at once ends a plateau that waits for it.", "He et al. 2016", _drop_now),
    Remedy("cosine_annealing", "A rate that descends smoothly does not wait for a milestone.", "Loshchilov 2017",
           lambda config: {"SOLVER.SCHED": "CosineAnnealingLR"}),
    Remedy("restore_margin", "With the usual margin the loss follows distances.", "Luo et al. 2019: 0.3",
           lambda config: {"MODEL.LOSSES.TRI.MARGIN": 0.3}),
    Remedy("less_label_smoothing", "A target that is mostly the identity gives a gradient to follow.", "Szegedy 2016: 0.1",
           lambda config: {"MODEL.LOSSES.CE.EPSILON": 0.1}),
    Remedy("larger_embedding", "The backbone's own features, without a layer that makes them fewer.", "Luo et al. 2019: 2048",
           lambda config: {"MODEL.HEADS.EMBEDDING_DIM": 0}),
    Remedy("weaker_augmentation", "People must still be known after augmentation.", "Luo et al. 2019: flip, padding, erasing",
           _weaker_augmentation),
    Remedy("restore_batch_norm", "Statistics that follow the training fit its features.", "Ioffe and Szegedy 2015",
           elsewhere="Call model.train() at the start of every epoch, and leave the momentum of batch normalisation at 0.1."),
    Remedy("restore_shuffling", "Batches drawn anew in every epoch.", "Hermans 2017",
           elsewhere="Hand the sampler to the loader, or set shuffle=True, and set its epoch where it has one."),
    Remedy("less_dropout", "Units that are kept carry the signal.", "Srivastava et al. 2014: 0.2 to 0.5",
           elsewhere="Set dropout to at most 0.5; in PyTorch p is the share that is dropped."),
    Remedy("repair_rate", "The configured rate must be the one that reaches the optimiser, before it is judged.", "open-reid#15",
           elsewhere="Print the rate of every parameter group just before optimizer.step(), beside the configuration, and "
           "repair the code that sets it."),
    Remedy("repair_settings", "An optimiser that is set as configured is the one whose configuration can be judged.",
           "PyTorch, per-parameter options", elsewhere="Print optimizer.param_groups without their tensors, and repair the "
           "code that sets momentum, epsilon, decay or the groups' rates. Adam's epsilon is 1e-8, its betas 0.9 and 0.999."),
    Remedy("repair_losses", "The configured losses must be the ones that are trained.", "Szegedy 2016; Hermans 2017",
           elsewhere="Print margin, smoothing and weight of the loss objects that the training step calls, and repair the "
           "code that builds them."),
    Remedy("repair_head", "The configured head must be the one that runs.", "Luo et al. 2019",
           elsewhere="Print the head of the model that is trained: embedding dimension, kind of classifier, its scale (16 to 64 "
           "for cosines), and repair the code that builds it."),
    Remedy("repair_model", "The configured network must be the one that runs.", "differential testing",
           elsewhere="Build the model anew from its configuration, give it the same weights and one batch, and repair the first "
           "layer whose output differs."),
    Remedy("repair_sampling", "The configured batches must be the ones that are drawn.", "Hermans 2017",
           elsewhere="Print the labels of two batches of two epochs: P people with K images each, others every time. Hand the "
           "sampler to the loader."),
    Remedy("repair_step", "The training step must train on the batch it is given.", "field notes",
           elsewhere="Call model and losses by hand on one batch, and compare loss and gradient with those inside the step."),
    Remedy("reinitialise", "Dead units need a new start.", "Stanford CS231n",
           elsewhere="Begin anew with warm-up, or from the last checkpoint before units died."),
)  # fmt: skip

BY_NAME = {remedy.name: remedy for remedy in REMEDIES}


def _round(rate: float) -> float:
    return float(f"{rate:.3g}")
