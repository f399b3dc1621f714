"""The texts people read in a run folder, made from records. What they recommend is `unplateau.diagnosis.advice`'s business."""

import re
import textwrap
from collections.abc import Sequence

from unplateau.config.schema import Config
from unplateau.config.schema_solver import Solver
from unplateau.runs.record import RetrievalMetrics, StopReason

_WIDTH = 116
_COMMAND = re.compile(r"python \w+\.py ")  # of our root scripts


def stopping_reason_text(
    reason: StopReason, config: Config, *, tests: Sequence[RetrievalMetrics] = (), caveats: Sequence[str] = ()
) -> str:
    """Return the content of `STOPPING_REASON.txt`."""
    best = "not scored" if reason.best_map is None else f"{reason.best_map:.4f} (Epoch {reason.best_epoch})"
    lines = [
        f"STOPPING REASON: {reason.headline}",
        f"BEST mAP: {best}",
        *([f"  on {protocol_words(reason.best_protocol)}"] if reason.best_protocol else []),
        *[_test_line(test) for test in tests],
        f"EPOCHS TRAINED: {reason.epochs_trained}/{reason.max_epochs}",
        "",
        "HYPERPARAMETERS:",
        *hyperparameter_lines(config),
    ]
    for title, sentences in (
        ("EVIDENCE:", reason.evidence),
        ("RECOMMENDATION:", reason.recommendation),
        ("NOTES:", tuple(caveats)),
    ):
        if sentences:
            lines += ["", title, *(bullet(sentence) for sentence in sentences)]
    return "\n".join(lines) + "\n"


def _test_line(test: RetrievalMetrics) -> str:
    mark = "; the best epoch was chosen on it, so optimistic" if test.chosen_on_it else ""
    return f"TEST mAP: {test.mAP:.4f}, rank-1 {test.cmc['1']:.4f} ({test.dataset}, query/gallery{mark})"


def protocol_words(protocol: str) -> str:
    """Return in words what an mAP was measured on."""
    return {
        "held-out": "identities held out of training (not comparable with a test mAP)",
        "test": "the test set, query/gallery: chosen on the test set, so optimistic",
    }[protocol]


def hyperparameter_lines(config: Config) -> list[str]:
    """Return the hyper-parameters of a run, one a line."""
    solver, losses, loader = config.SOLVER, config.MODEL.LOSSES, config.DATALOADER
    is_pk = loader.SAMPLER_TRAIN != "TrainingSampler"
    identities = f" ({solver.IMS_PER_BATCH // loader.NUM_INSTANCE} identities x {loader.NUM_INSTANCE} images)" if is_pk else ""
    scales = {
        "CrossEntropyLoss": losses.CE.SCALE,
        "TripletLoss": losses.TRI.SCALE,
        "CircleLoss": losses.CIRCLE.SCALE,
        "CenterLoss": losses.CENTER.SCALE,
    }
    terms = " + ".join(f"{scales.get(name, 1.0):g} x {name}" for name in losses.NAME)
    return [
        f"  Learning rate: {solver.BASE_LR:g} ({solver.OPT})",
        f"  Batch size: {solver.IMS_PER_BATCH}{identities}",
        f"  Scheduler: {schedule_words(solver)}",
        f"  Losses: {terms}",
        f"  Backbone: {config.MODEL.BACKBONE.NAME}, images {config.INPUT.SIZE_TRAIN[0]}x{config.INPUT.SIZE_TRAIN[1]}",
        f"  Seed: {config.SEED}",
    ]


def schedule_words(solver: Solver) -> str:
    """Return the schedule in one phrase."""
    if solver.SCHED == "MultiStepLR":
        drops = ", ".join(str(epoch) for epoch in solver.STEPS)
        shape = f"MultiStepLR, x{solver.GAMMA:g} at epochs {drops}"
    else:
        shape = f"CosineAnnealingLR down to {solver.ETA_MIN_LR:g}"
    return f"{shape}; warm-up {solver.WARMUP_ITERS} steps" if solver.WARMUP_ITERS else shape


def bullet(sentence: str) -> str:
    """Return a sentence wrapped, with a mark; a command in it gets a line of its own, whole, so that it can be copied."""
    lines = re.sub(f" ({_COMMAND.pattern})", r"\n\1", sentence).splitlines() or [""]
    starts = ["  - ", *["    "] * (len(lines) - 1)]
    return "\n".join(_wrapped(line, start) for line, start in zip(lines, starts, strict=True))


def _wrapped(line: str, start: str) -> str:
    if _COMMAND.match(line):
        return f"{start}{line}"
    return textwrap.fill(
        line, _WIDTH, initial_indent=start, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )
