"""What keys say together: each check fires with a number that helps, and stays silent otherwise."""

import pytest

PK = ("DATALOADER.SAMPLER_TRAIN", "NaiveIdentitySampler")
TRIPLET = ("MODEL.LOSSES.NAME", "[CrossEntropyLoss,TripletLoss]")
COSINE = ("SOLVER.SCHED", "CosineAnnealingLR")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*PK, "SOLVER.IMS_PER_BATCH", "18"), "which is not a multiple of DATALOADER.NUM_INSTANCE 4. Use 16 or 20."),
        ((*PK, "SOLVER.IMS_PER_BATCH", "10"), "Use 8 or 12."),
        ((*PK, "SOLVER.IMS_PER_BATCH", "4"), "so there are no negatives. Use 8 or more."),
        ((*PK, *TRIPLET, "DATALOADER.NUM_INSTANCE", "1"), "so TripletLoss has no positives. Use 4."),
        (("MODEL.LOSSES.NAME", "tripletloss"), "Did you mean TripletLoss?"),
        (("MODEL.LOSSES.NAME", "Dice"), "Your own loss is named `package.module:function`."),
        (("MODEL.LOSSES.NAME", "[]"), "so nothing is minimised"),
        (("MODEL.LOSSES.NAME", "[TripletLoss,TripletLoss]"), "names a loss twice"),
        (("MODEL.LOSSES.NAME", "FocalLoss"), "is refused: the focal loss is not supported"),
        (("MODEL.LOSSES.CE.SCALE", "0"), "nothing is learned"),
        (("MODEL.LOSSES.CE.EPSILON", "-0.1"), "adaptive label smoothing, which is not supported"),
        (("SOLVER.STEPS", "[50,20]"), "Use [20, 50]."),
        (("SOLVER.STEPS", "[20,20]"), "Use [20]."),
        (("SOLVER.STEPS", "[0,20]"), "Use [20]."),
        ((*COSINE, "SOLVER.DELAY_EPOCHS", "120"), "expected less than SOLVER.MAX_EPOCH 120"),
        ((*COSINE, "SOLVER.ETA_MIN_LR", "0.1"), "expected at most SOLVER.BASE_LR 0.0003"),
        (("SOLVER.NESTEROV", "True", "SOLVER.OPT", "SGD", "SOLVER.MOMENTUM", "0"), "needs momentum"),
        (("MODEL.DEVICE", "gpu"), "expected auto, cpu, cuda"),
        (("MODEL.BACKBONE.DEPTH", "50"), "MODEL.BACKBONE.DEPTH is 50, expected one of 18x"),
        (("MODEL.BACKBONE.NAME", "build_osnet_backbone"), "expected one of x1_0"),
        (("MODEL.BACKBONE.NAME", "build_resnest_backbone"), "Did you mean build_resnet_backbone?"),
        (("MODEL.BACKBONE.NAME", "mobilenetv2_100", "MODEL.BACKBONE.WITH_IBN", "True"), "which only build_resnet_backbone has"),
        (("MODEL.BACKBONE.SIE_CAMERA", "True"), "which only a ViT has"),
        (("MODEL.PIXEL_MEAN", "[0.485,0.456,0.406]"), "expected the 0-255 scale. Use [123.675, 116.28, 103.53]."),
        (("MODEL.PIXEL_STD", "[0,1,1]"), "expected numbers above 0"),
        (("INPUT.REA.VALUE", "[300,0,0]"), "expected a colour on the 0-255 scale"),
        (("INPUT.SIZE_TRAIN", "[0,128]"), "expected sides of 16 to 2048 pixels"),
        (("INPUT.SIZE_TRAIN", "256"), "expected two whole numbers"),
        (("MODEL.FREEZE_LAYERS", "['']"), "Use [] to freeze nothing."),
        (("DATASETS.NAMES", "[]"), "nothing to train on"),
        (("TEST.RERANK.K2", "30"), "expected at most TEST.RERANK.K1 20"),
        (("TEST.METRIC", "jaccard"), "it is k-reciprocal re-ranking; use TEST.RERANK.ENABLED True"),
        (("MODEL.BACKBONE.NORM", "syncBN"), "synchronised batch normalisation is not supported"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(problems_of, words, message):
    assert any(message in problem for problem in problems_of("SEED: 1", *words))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (TRIPLET, "so TripletLoss will seldom see two images of one identity. Use NaiveIdentitySampler."),
        (("MODEL.HEADS.CLS_LAYER", "ArcSoftmax"), "above 5.6. Use 30 to 64."),
        (("MODEL.HEADS.CLS_LAYER", "CosSoftmax", "MODEL.HEADS.SCALE", "64"), "so CosSoftmax has no margin."),
        (("MODEL.HEADS.MARGIN", "0.3"), "which a Linear classifier does not use"),
        (("MODEL.HEADS.NECK_FEAT", "after"), "MODEL.HEADS.WITH_BNNECK is False, so before and after are the same."),
        (("SOLVER.STEPS", "[40,150]"), "of which 150 is never reached, since SOLVER.MAX_EPOCH is 120."),
        (("SOLVER.MAX_EPOCH", "40"), "of which 55 is never reached"),
        ((*COSINE, "SOLVER.ON_PLATEAU", "drop"), "a cosine has no drop to take"),
        (("VALIDATION.HELD_OUT", "0"), "no mAP to stop early on"),
        (("VALIDATION.ON_TEST", "True"), "its mAP is optimistic"),
        (("TEST.EVAL_PERIOD", "5"), "see only every such epoch"),
        (("MODEL.HEADS.NUM_CLASSES", "751"), "without those held out"),
        (("MODEL.BACKBONE.PRETRAIN_PATH", "a.pth"), "MODEL.BACKBONE.PRETRAIN is False"),
        (("SOLVER.BASE_LR", "0"), "nothing will be learned"),
        (("SOLVER.FREEZE_ITERS", "10"), "nothing is frozen"),
    ],
)
def test_what_may_not_be_meant_is_noted(load_text, words, message):
    assert any(message in note for note in load_text("SEED: 1", *words).notes)


def test_a_loss_of_ones_own_is_let_through(load_text):
    assert load_text("SEED: 1", "MODEL.LOSSES.NAME", "my_lab.losses:focal").notes == ()


def test_plain_sampling_takes_any_batch_size(load_text):
    assert load_text("SEED: 1", "SOLVER.IMS_PER_BATCH", "18").notes == ()


def test_a_value_that_is_wrong_by_itself_is_not_complained_about_twice(problems_of):
    assert len(problems_of("SOLVER: {STEPS: [a], MAX_EPOCH: 0}")) == 2
