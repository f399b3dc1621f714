"""STOPPING_REASON.txt, laid out with the labels that were asked for."""

from unplateau.config.delta import with_values
from unplateau.config.schema import Config
from unplateau.report.text import stopping_reason_text
from unplateau.runs.record import RetrievalMetrics, StopReason

REASON = StopReason(
    code="no-improvement",
    headline="No improvement for 10 epochs",
    evidence=("Validation mAP was flat from epoch 20 on.",),
    recommendation=("Use this model for deployment: the run stopped efficiently, which is normal and good.",),
    epochs_trained=45,
    max_epochs=90,
    best_epoch=35,
    best_map=0.48231,
    best_protocol="held-out",
)
TEST = RetrievalMetrics("test", 0.3561, 0.1, {"1": 0.6}, 3368, 15913, 750, 0.01, "Market1501")

GOLDEN = """\
STOPPING REASON: No improvement for 10 epochs
BEST mAP: 0.4823 (Epoch 35)
  on identities held out of training (not comparable with a test mAP)
TEST mAP: 0.3561, rank-1 0.6000 (Market1501, query/gallery)
EPOCHS TRAINED: 45/90

HYPERPARAMETERS:
  Learning rate: 0.00035 (Adam)
  Batch size: 16 (4 identities x 4 images)
  Scheduler: MultiStepLR, x0.1 at epochs 40, 70; warm-up 1000 steps
  Losses: 1 x CrossEntropyLoss + 2 x TripletLoss
  Backbone: build_resnet_backbone, images 256x128
  Seed: 0

EVIDENCE:
  - Validation mAP was flat from epoch 20 on.

RECOMMENDATION:
  - Use this model for deployment: the run stopped efficiently, which is normal and good.

NOTES:
  - Preflight was switched off.
"""


def _config() -> Config:
    return with_values(
        Config(),
        {
            "SOLVER.BASE_LR": 0.00035,
            "SOLVER.IMS_PER_BATCH": 16,
            "SOLVER.STEPS": (40, 70),
            "DATALOADER.SAMPLER_TRAIN": "NaiveIdentitySampler",
            "MODEL.LOSSES.NAME": ("CrossEntropyLoss", "TripletLoss"),
            "MODEL.LOSSES.TRI.SCALE": 2.0,
        },
    )


def test_the_text_is_the_one_that_was_asked_for() -> None:
    assert stopping_reason_text(REASON, _config(), tests=(TEST,), caveats=("Preflight was switched off.",)) == GOLDEN


def test_a_run_that_was_never_scored_says_so() -> None:
    reason = StopReason("error", "Error: no disk", max_epochs=90)
    text = stopping_reason_text(reason, _config())
    assert "BEST mAP: not scored\nEPOCHS TRAINED: 0/90\n" in text
    assert "NOTES" not in text


def test_long_sentences_are_wrapped_and_commands_kept_whole() -> None:
    command = "python train_research_grade.py --config-file custom_configs/stalled_run.yml --run-name stalled --resume"
    reason = StopReason("interrupted", "User interrupted (Ctrl+C)", recommendation=(f"Continue: {command}",))
    lines = stopping_reason_text(reason, _config()).splitlines()
    assert all(len(line) <= 116 for line in lines)
    assert command in " ".join(line.strip() for line in lines)


def test_a_cosine_schedule_is_shown_as_one() -> None:
    config = with_values(_config(), {"SOLVER.SCHED": "CosineAnnealingLR", "SOLVER.WARMUP_ITERS": 0})
    assert "  Scheduler: CosineAnnealingLR down to 1e-07\n" in stopping_reason_text(REASON, config)
