"""Configurations of reid-strong-baseline, TransReID, CLIP-ReID and SOLIDER: recognised, with their units and their defaults."""

import pytest

from unplateau.base.errors import UsageError
from unplateau.config.build import key_problems
from unplateau.config.entries import Entry
from unplateau.config.foreign import detect
from unplateau.config.foreign_defaults import DEFAULTS

STRONG_BASELINE = """
MODEL:
  PRETRAIN_CHOICE: 'imagenet'
  PRETRAIN_PATH: '/weights/resnet50.pth'
  METRIC_LOSS_TYPE: 'triplet'
  IF_LABELSMOOTH: 'on'
  IF_WITH_CENTER: 'no'
INPUT:
  SIZE_TRAIN: [256, 128]
  SIZE_TEST: [256, 128]
  PROB: 0.5
  RE_PROB: 0.5
  PADDING: 10
DATASETS:
  NAMES: ('market1501')
DATALOADER:
  SAMPLER: 'softmax_triplet'
  NUM_INSTANCE: 4
  NUM_WORKERS: 8
SOLVER:
  OPTIMIZER_NAME: 'Adam'
  MAX_EPOCHS: 120
  BASE_LR: 0.00035
  STEPS: [40, 70]
  WARMUP_FACTOR: 0.01
  WARMUP_ITERS: 10
TEST:
  NECK_FEAT: 'after'
  FEAT_NORM: 'yes'
  RE_RANKING: 'no'
"""

TRANSREID = """
MODEL:
  NAME: 'transformer'
  TRANSFORMER_TYPE: 'vit_base_patch16_224_TransReID'
  STRIDE_SIZE: [12, 12]
  SIE_CAMERA: True
  NO_MARGIN: True
  IF_LABELSMOOTH: 'off'
  ID_LOSS_WEIGHT: 0.5
  TRIPLET_LOSS_WEIGHT: 2
INPUT:
  PIXEL_MEAN: [0.5, 0.5, 0.5]
  PIXEL_STD: [0.5, 0.5, 0.5]
  SIZE_TRAIN: [256, 128]
DATASETS: {NAMES: ('msmt17'), ROOT_DIR: ('../../data')}
DATALOADER: {SAMPLER: 'softmax_triplet', NUM_INSTANCE: 4}
SOLVER:
  OPTIMIZER_NAME: 'SGD'
  MAX_EPOCHS: 120
  BASE_LR: 0.008
  IMS_PER_BATCH: 64
  LARGE_FC_LR: 'yes'
  STEPS: [40, 70]
  WARMUP_EPOCHS: 5
"""


def test_strong_baselines_units_are_translated(load_text):
    loaded = load_text(STRONG_BASELINE)
    config = loaded.config
    assert config.SOLVER.WARMUP_ITERS == 2021
    assert config.SOLVER.STEPS == (40, 70)
    assert config.SOLVER.MAX_EPOCH == 120
    assert config.MODEL.PIXEL_MEAN == (123.675, 116.28, 103.53)
    assert config.MODEL.LOSSES.NAME == ("CrossEntropyLoss", "TripletLoss")
    assert config.MODEL.LOSSES.CE.EPSILON == 0.1
    assert config.MODEL.LOSSES.TRI.HARD_MINING
    assert config.DATALOADER.SAMPLER_TRAIN == "NaiveIdentitySampler"
    assert config.DATASETS.NAMES == config.DATASETS.TESTS == ("Market1501",)
    assert config.MODEL.BACKBONE.PRETRAIN
    assert config.TEST.METRIC == "cosine"
    assert not config.TEST.RERANK.ENABLED
    assert loaded.notes[0].startswith("Read as a configuration of reid-strong-baseline")


def test_unset_keys_have_the_code_bases_own_defaults(load_text):
    config = load_text(STRONG_BASELINE).config
    assert config.SOLVER.BIAS_LR_FACTOR == 2
    assert config.SOLVER.WEIGHT_DECAY_BIAS == 0
    assert config.SOLVER.IMS_PER_BATCH == 64
    assert config.MODEL.HEADS.WITH_BNNECK
    assert config.TEST.EVAL_PERIOD == 1  # ours on purpose
    assert config.MODEL.DEVICE == "auto"


def test_transreid_is_always_cosine(load_text):
    loaded = load_text(TRANSREID)
    config = loaded.config
    assert config.SOLVER.SCHED == "CosineAnnealingLR"
    assert pytest.approx(1.6e-5) == config.SOLVER.ETA_MIN_LR
    assert config.SOLVER.WARMUP_FACTOR == 0.01
    assert config.SOLVER.WARMUP_ITERS == 2549
    assert any("SOLVER.STEPS is [40, 70], which transreid does not read" in note for note in loaded.notes)


def test_transreids_network_and_losses_are_translated(load_text):
    config = load_text(TRANSREID).config
    assert config.MODEL.BACKBONE.NAME == "vit_base_patch16_224"
    assert config.MODEL.BACKBONE.STRIDE_SIZE == (12, 12)
    assert config.MODEL.BACKBONE.SIE_CAMERA
    assert config.MODEL.LOSSES.TRI.MARGIN == 0
    assert (config.MODEL.LOSSES.CE.SCALE, config.MODEL.LOSSES.TRI.SCALE) == (0.5, 2)
    assert config.MODEL.LOSSES.CE.EPSILON == 0
    assert config.MODEL.PIXEL_MEAN == (127.5, 127.5, 127.5)
    assert config.SOLVER.HEADS_LR_FACTOR == 2
    assert config.SEED == 1234
    assert config.DATASETS.ROOT == "../../data"


@pytest.mark.parametrize(
    ("text", "whose"),
    [
        (STRONG_BASELINE, "reid-strong-baseline"),
        (TRANSREID, "transreid"),
        (TRANSREID + "  SEED: 1\nTEST: {DIST_MAT: a, EVAL: True}", "transreid"),
        (TRANSREID.replace("vit_base_patch16_224_TransReID", "swin_base_patch4_window7_224"), "solider"),
        (TRANSREID.replace("  NO_MARGIN: True", "  SEMANTIC_WEIGHT: 0.2"), "solider"),
        (STRONG_BASELINE.replace("PRETRAIN_CHOICE", "I2T_LOSS_WEIGHT: 1\n  PRETRAIN_CHOICE"), "clip-reid"),
    ],
)
def test_the_code_base_is_told_by_its_keys(load_text, text, whose):
    assert load_text(text).notes[0].startswith(f"Read as a configuration of {whose},")


def test_a_single_foreign_key_is_a_slip(problems_of):
    assert problems_of("SOLVER: {MAX_EPOCHS: 3}") == [
        "run.yml line 1: SOLVER.MAX_EPOCHS is 3, expected a known key. Did you mean SOLVER.MAX_EPOCH?"
    ]


def test_every_default_table_is_recognised_and_translated(load_text, write):
    for whose, defaults in DEFAULTS.items():
        entries = {key: Entry(value, "") for key, value in defaults.items()}
        assert detect(entries) == whose
        assert key_problems(entries)
        config = load_text("", code_base=whose).config
        assert defaults["SOLVER.MAX_EPOCHS"] == config.SOLVER.MAX_EPOCH
        assert config.INPUT.SIZE_TRAIN == (384, 128)
        assert config.MODEL.LOSSES.NAME == ("CrossEntropyLoss",)  # SAMPLER softmax is their default


def test_the_plain_sampler_switches_the_triplet_loss_and_smoothing_off(load_text):
    loaded = load_text(STRONG_BASELINE.replace("softmax_triplet", "softmax"))
    assert loaded.config.MODEL.LOSSES.NAME == ("CrossEntropyLoss",)
    assert loaded.config.MODEL.LOSSES.CE.EPSILON == 0
    assert loaded.config.DATALOADER.SAMPLER_TRAIN == "TrainingSampler"
    assert any("trains with cross-entropy alone" in note for note in loaded.notes)


def test_the_centre_loss_comes_along(load_text):
    text = STRONG_BASELINE.replace("IF_WITH_CENTER: 'no'", "IF_WITH_CENTER: 'yes'").replace("'triplet'", "'triplet_center'")
    config = load_text(text).config
    assert config.MODEL.LOSSES.NAME == ("CrossEntropyLoss", "TripletLoss", "CenterLoss")
    assert (config.MODEL.LOSSES.CENTER.SCALE, config.MODEL.LOSSES.CENTER.LR) == (0.0005, 0.5)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("NO_MARGIN: True", "JPM: True", "the jigsaw branch is not supported"),
        ("NO_MARGIN: True", "SIE_VIEW: True", "viewpoint embeddings are not supported"),
        ("NO_MARGIN: True", "COS_LAYER: 'yes'", "MODEL.COS_LAYER is yes, which is refused"),
        ("NO_MARGIN: True", "NECK: gem", "expected bnneck or no"),
        ("NO_MARGIN: True", "ID_LOSS_TYPE: dice", "expected one of softmax, arcface"),
        ("vit_base_patch16_224_TransReID", "my_vit", "it has no counterpart; name a timm model"),
        ("SAMPLER: 'softmax_triplet'", "SAMPLER: graph", "expected softmax, triplet or softmax_triplet"),
        ("BASE_LR: 0.008", "BASE_LR: fast", "SOLVER.BASE_LR is fast, expected a number"),
        ("NO_MARGIN: True", "NO_MARGINE: True", "expected a key of transreid. Did you mean MODEL.NO_MARGIN?"),
    ],
)
def test_what_matters_and_has_no_counterpart_is_refused_with_its_line(problems_of, old, new, words):
    found = problems_of(TRANSREID.replace(old, new))
    assert any(words in problem and problem.startswith("run.yml line ") for problem in found)


def test_the_two_stages_of_clip_reid_are_refused(problems_of):
    (problem,) = problems_of("SOLVER:\n  STAGE1:\n    IMS_PER_BATCH: 64\nMODEL: {NAME: ViT-B-16}\n")
    assert "prompt learning is not supported. Use its baseline configuration." in problem


def test_margin_classifiers_are_translated(load_text):
    heads = load_text(TRANSREID.replace("NO_MARGIN: True", "ID_LOSS_TYPE: arcface")).config.MODEL.HEADS
    assert (heads.CLS_LAYER, heads.MARGIN, heads.SCALE) == ("ArcSoftmax", 0.5, 30)


def test_overrides_are_read_like_the_file_or_as_ours(load_text):
    loaded = load_text(STRONG_BASELINE, "SOLVER.WARMUP_ITERS", "5", "SOLVER.EARLY_STOP_PATIENCE", "3", "SOLVER.MAX_EPOCHS", "60")
    assert loaded.config.SOLVER.WARMUP_ITERS == 1011
    assert loaded.config.SOLVER.EARLY_STOP_PATIENCE == 3
    assert loaded.config.SOLVER.MAX_EPOCH == 60
    assert any("read as reid-strong-baseline reads it" in note for note in loaded.notes)


def test_the_number_of_images_can_be_given(load_text):
    assert load_text(STRONG_BASELINE, images_per_epoch=6400).config.SOLVER.WARMUP_ITERS == 1000


def test_an_unknown_data_set_borrows_market1501s_size_and_says_so(load_text):
    loaded = load_text(STRONG_BASELINE.replace("'market1501'", "'my_shop'"))
    assert loaded.config.DATASETS.NAMES == ("my_shop",)
    assert any("Market1501's, since the data set's size is not known" in note for note in loaded.notes)


def test_without_counterpart_is_listed(load_text):
    assert (
        "without counterpart and left out: SOLVER.CLUSTER_MARGIN"
        in load_text(STRONG_BASELINE + "SOLVER.CLUSTER_MARGIN: 0.3").notes[0]
    )


def test_an_unknown_code_base_is_a_usage_error(load_text):
    with pytest.raises(UsageError, match="--from is mmcv, expected one of"):
        load_text("", code_base="mmcv")


def test_fast_reids_milestones_become_absolute(load_text):
    loaded = load_text("SOLVER: {STEPS: [40, 90], WARMUP_ITERS: 2000, IMS_PER_BATCH: 64}", code_base="fast-reid")
    shift = sum(epoch * (12936 // 64) <= 2000 for epoch in range(1, 100))  # epochs that end within warm-up
    assert loaded.config.SOLVER.STEPS == (40 + shift, 90 + shift) == (49, 99)
    assert any("counted from the end of warm-up, taken as [49, 99] absolute" in note for note in loaded.notes)
    same = load_text("SOLVER: {STEPS: [40, 90], WARMUP_ITERS: 2000}", "SOLVER.STEPS", "[40]", code_base="fast-reid")
    assert same.config.SOLVER.STEPS == (40,)


def test_layers_that_fast_reid_would_not_freeze_are_not_frozen(load_text):
    text = "MODEL: {FREEZE_LAYERS: [backbone]}\nSOLVER: {FREEZE_ITERS: %d}"
    assert load_text(text % 0, code_base="fast-reid").config.MODEL.FREEZE_LAYERS == ()
    assert load_text(text % 9, code_base="fast-reid").config.MODEL.FREEZE_LAYERS == ("backbone",)
    assert load_text(text % 0).config.MODEL.FREEZE_LAYERS == ("backbone",)  # ours: for good


def test_a_fast_reid_file_with_broken_values_still_reports_them(problems_of):
    found = problems_of("SOLVER: {STEPS: [a], WARMUP_ITERS: x, IMS_PER_BATCH: 0}", code_base="fast-reid")
    assert [problem.split(" is ")[0].split(": ")[1] for problem in found] == [
        "SOLVER.STEPS", "SOLVER.WARMUP_ITERS", "SOLVER.IMS_PER_BATCH",
    ]  # fmt: skip
