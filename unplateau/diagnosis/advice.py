"""From how a run ended and what it measured to evidence and a recommendation, in sentences. Pure functions, no torch.

The first sentence of each recommendation is the one that was promised for its reason; the others come from the run itself.
How the sentences are laid out in `STOPPING_REASON.txt`: `unplateau.report.text`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from unplateau.curves.flatness import Ahead, Flatness, judge_flatness
from unplateau.runs.record import EpochRecord, RetrievalMetrics

DEPLOYABLE_MAP = 0.3  # asked for: above it a model is worth deploying; judged on the test set
_GAP_THAT_SAYS_OVERFIT = 0.25  # mAP on training identities minus mAP on unseen ones
_FEWEST_EPOCHS = 6
_ASKED_FOR_DATA = "Market1501"  # what custom_configs/plateau_solutions and the bar of 0.3 were asked for

PROMISED = {
    "no-improvement": "Use this model for deployment: the run stopped efficiently, which is normal and good.",
    "completed": "May gain from more epochs: it never plateaued. Check whether it was still improving.",
    "interrupted": "Can be resumed; the checkpoint is safe.",
    "preempted": "Can be resumed; the checkpoint is safe.",
    "time-budget": "Can be resumed; the checkpoint is safe.",
    "paused": "Can be resumed; the checkpoint is safe.",
    "target-reached": "Use this model: it reached the mAP that was asked for.",
    "out-of-memory": "Reduce IMS_PER_BATCH: retry with a smaller batch.",
    "disk-full": "Make room on the disk, then go on; the checkpoint is safe.",
    "diverged": "See log.txt, fix, retry.",
    "preflight": "See log.txt, fix, retry. No hyper-parameter will help until it is fixed.",
    "error": "See log.txt, fix, retry.",
    "killed": "See log.txt. Can be resumed from the last finished epoch; the checkpoint is safe.",
}
"""By code of a stopping reason, the first sentence of what to do."""
_RESUMABLE = ("interrupted", "preempted", "time-budget", "paused", "killed", "disk-full")


@dataclass(frozen=True)
class Ending:
    """What is known when a run ends."""

    code: str
    epochs: tuple[EpochRecord, ...]
    max_epochs: int
    resume_command: str
    """The command line that asks for this run; flags and overrides can be appended."""
    batch_size: int = 0
    num_instances: int = 1
    base_rate: float = 0.0
    drops_ahead: tuple[int, ...] = ()
    """Epochs of learning-rate drops that had not come yet."""
    test: RetrievalMetrics | None = None
    train_identities: RetrievalMetrics | None = None
    """The same protocol on identities that were trained on."""
    detail: str = ""
    """What failed, for an error."""
    saved_epoch: int | None = None
    """Epoch of the newest checkpoint, 0 for none; None = the last epoch's."""
    is_cosine: bool = False
    """The learning rate follows a cosine to max_epochs."""
    data: str = _ASKED_FOR_DATA
    """Training sets, joined by +."""
    run_folder: str = ""
    new_run_command: str = ""
    """The command line that asks for the same under another run name; overrides can be appended."""
    other_memory_plan: str = ""
    """A SOLVER.MEMORY_PLAN that takes less memory than the run's own, where the run could not take it by itself."""


def advise(ending: Ending) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (evidence, recommendation) for `STOPPING_REASON.txt`, one sentence each."""
    trend = validation_trend(ending.epochs, ending.max_epochs)
    evidence = (*_detail(ending), *_trend_evidence(ending, trend), *_gap_evidence(ending), *_test_evidence(ending))
    if ending.code in _RESUMABLE and not _saved_epoch(ending):
        missing = "checkpoint was written" if ending.epochs else "epoch was finished"
        return evidence, (f"No {missing}, so nothing can be resumed. Start again: {ending.resume_command}",)
    if _is_refit(ending):
        return evidence, ("All epochs that were asked for are trained: use best_model.pth.",)
    if ending.code == "completed" and ending.epochs and _best_map(ending) is None:
        return evidence, ("All epochs are trained and none was validated, so nobody can tell whether it was still improving.",)
    return evidence, (PROMISED[ending.code], *_what_next(ending, trend))


def validation_trend(epochs: Sequence[EpochRecord], max_epochs: int) -> Flatness | None:
    """Return whether the validation mAP was flat at the end; None below six validated epochs."""
    scored = [(epoch.epoch, epoch.validation.mAP) for epoch in epochs if epoch.validation is not None]
    if len(scored) < _FEWEST_EPOCHS:
        return None
    x, y = zip(*scored, strict=True)
    ahead = Ahead(remaining=float(max(max_epochs - x[-1], 10)))
    return judge_flatness(x, y, ahead=ahead, gain_that_matters=0.005, lower_is_better=False)


def _detail(ending: Ending) -> tuple[str, ...]:
    return (ending.detail,) if ending.detail else ()


def _trend_evidence(ending: Ending, trend: Flatness | None) -> tuple[str, ...]:
    if trend is None:
        return ()
    slope = trend.slope
    words = {
        "improving": "was still improving",
        "flat": "was flat",
        "before-drop": "was flat before a learning-rate drop",
        "worsening": "was falling",
    }
    seen = words.get(trend.verdict, "was neither clearly flat nor clearly improving")
    return (
        f"Validation mAP {seen} from epoch {trend.first_x:.0f} on: "
        f"slope {slope.value * 100:+.2f} points an epoch (95 % interval {slope.low * 100:+.2f} to {slope.high * 100:+.2f}), "
        f"noise {slope.noise.std * 100:.2f} points.",
    )


def _gap_evidence(ending: Ending) -> tuple[str, ...]:
    unseen = _best_map(ending)
    if ending.train_identities is None or unseen is None:
        return ()
    seen = ending.train_identities.mAP
    return (
        f"mAP on identities it was trained on {seen:.4f}, on identities it never saw {unseen:.4f} (gap {seen - unseen:.4f}).",
    )


def _test_evidence(ending: Ending) -> tuple[str, ...]:
    if ending.test is None:
        return ()
    test = ending.test
    how = "optimistic: the best epoch was chosen on it" if test.chosen_on_it else "scored once with the best model"
    return (f"Test mAP {test.mAP:.4f}, rank-1 {test.cmc['1']:.4f} ({test.dataset}, query/gallery, {how}).",)


def _what_next(ending: Ending, trend: Flatness | None) -> tuple[str, ...]:
    if ending.code == "out-of-memory":
        return (*_smaller_batch(ending), *_in_parts(ending))
    if ending.code == "paused":
        return (f"Train the rest of its {ending.max_epochs} epochs: {ending.resume_command} --resume SOLVER.STOP_EPOCH 0",)
    if ending.code in _RESUMABLE:
        return (*_trained_again(ending), f"Continue: {ending.resume_command} --resume")
    if ending.code == "diverged":
        lower = float(f"{ending.base_rate / 3:.2g}")
        return (f"A lower rate is the usual cure: {ending.new_run_command} SOLVER.BASE_LR {lower:g}",)
    if ending.code == "error" and ending.epochs and ending.saved_epoch:
        return (f"What is finished is kept; once it is mended, go on: {ending.resume_command} --resume",)
    if ending.code in ("error", "preflight"):
        return ()
    return (*_continue_or_not(ending, trend), *_by_test_map(ending, trend), *_by_gap(ending))


def _is_refit(ending: Ending) -> bool:
    """Whether it ended where it was meant to: its length was chosen before, and nothing was validated."""
    return ending.code == "paused" and all(epoch.validation is None for epoch in ending.epochs)


def _saved_epoch(ending: Ending) -> int:
    last = ending.epochs[-1].epoch if ending.epochs else 0
    return last if ending.saved_epoch is None else min(ending.saved_epoch, last)


def _trained_again(ending: Ending) -> tuple[str, ...]:
    saved, last = _saved_epoch(ending), ending.epochs[-1].epoch
    if saved == last:
        return ()
    again = f"epoch {last} is" if last == saved + 1 else f"epochs {saved + 1} to {last} are"
    return (f"The last checkpoint is of epoch {saved}, so {again} trained again (see SOLVER.CHECKPOINT_PERIOD).",)


def _smaller_batch(ending: Ending) -> tuple[str, ...]:
    step = ending.num_instances
    smaller = max(2 * step, ending.batch_size // 2 // step * step)
    if smaller >= ending.batch_size:
        return (f"The batch of {ending.batch_size} is already small: reduce INPUT.SIZE_TRAIN or take a smaller MODEL.BACKBONE.",)
    return (f"Try: {ending.new_run_command} SOLVER.IMS_PER_BATCH {smaller}",)


def _in_parts(ending: Ending) -> tuple[str, ...]:
    if not ending.other_memory_plan:
        return ()
    return (
        "Or keep the batch, with steps that take less memory and more time: "
        f"{ending.new_run_command} SOLVER.MEMORY_PLAN {ending.other_memory_plan}",
    )


def _continue_or_not(ending: Ending, trend: Flatness | None) -> tuple[str, ...]:
    if ending.code == "no-improvement" and ending.drops_ahead:
        epochs = " and ".join(str(epoch) for epoch in ending.drops_ahead)
        return (
            f"A learning-rate drop was still ahead (epoch {epochs}); drops often end a plateau. "
            f"Take it now: {ending.resume_command} --resume SOLVER.ON_PLATEAU drop",
        )
    more = ending.max_epochs + max(10, ending.max_epochs // 3)
    how = (
        "Go on, with the cosine stretched, so that the learning rate rises again (a warm restart)"
        if ending.is_cosine
        else "Go on"
    )
    go_on = f"{how}: {ending.resume_command} --resume SOLVER.MAX_EPOCH {more}"
    if ending.code == "completed" and trend is None and _best_map(ending) is not None:
        return (f"With fewer than {_FEWEST_EPOCHS} validated epochs nobody can tell whether it was. {go_on}",)
    if ending.code == "completed" and trend is not None and trend.verdict in ("improving", "undecided"):
        return (f"It may still have been improving at the end. {go_on}",)
    if ending.code == "completed" and trend is not None:
        return ("It was not improving any more at the end: more epochs at this learning rate will bring little.",)
    return ()


def _by_test_map(ending: Ending, trend: Flatness | None) -> tuple[str, ...]:
    if ending.test is None:
        return ()
    score = ending.test.mAP
    if score < DEPLOYABLE_MAP:
        return (f"Test mAP {score:.4f} is below {DEPLOYABLE_MAP}: {_next_solution(ending)}",)
    if trend is not None and trend.verdict == "improving":
        return (f"Test mAP {score:.4f} is above {DEPLOYABLE_MAP} and it was improving: deploy best_model.pth.",)
    if ending.code != "no-improvement" and (trend is None or trend.verdict == "undecided"):
        return (f"Test mAP {score:.4f} is above {DEPLOYABLE_MAP}: best_model.pth can be deployed.",)
    flat = f"Test mAP {score:.4f} is above {DEPLOYABLE_MAP} and it plateaued: best_model.pth can be used"
    return (f"{flat}; {_after_a_plateau(ending)}",)


def _next_solution(ending: Ending) -> str:
    """As asked for on Market-1501; on other data its solutions are written as changes of this run's own recipe."""
    if ending.data == _ASKED_FOR_DATA:
        return "try the next solution (custom_configs/plateau_solutions/)."
    assert ending.test is not None  # there is a score
    return (
        f"that bar was set for Market-1501; chance is {ending.test.chance_mAP:.4f} here. To learn what holds it back, and for "
        f"solutions that change this run's own recipe: {_solve(ending)}"
    )


def _after_a_plateau(ending: Ending) -> str:
    if ending.is_cosine:  # it is solution 2 already
        return f"for more, let solutions be written for it: {_solve(ending)}"
    if ending.data == _ASKED_FOR_DATA:
        return "for more, try solution 2 (custom_configs/plateau_solutions/solution_2_cosine_annealing.yml)."
    return f"for more, try a cosine: {ending.new_run_command} SOLVER.SCHED CosineAnnealingLR"


def _solve(ending: Ending) -> str:
    return f"python solve_plateau.py --run {ending.run_folder}"


def _by_gap(ending: Ending) -> tuple[str, ...]:
    unseen = _best_map(ending)
    if ending.train_identities is None or unseen is None or ending.train_identities.mAP - unseen < _GAP_THAT_SAYS_OVERFIT:
        return ()
    return ("The gap to the training identities is large: more data, stronger augmentation or a shorter run, not a higher rate.",)


def _best_map(ending: Ending) -> float | None:
    scores = [epoch.validation.mAP for epoch in ending.epochs if epoch.validation is not None]
    return max(scores, default=None)
