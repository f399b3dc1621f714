"""One training from request to stopping reason: the layers meet here, the loop itself is `unplateau.engine.loop`.

Whatever ends the training, short of SIGKILL or power, `STOPPING_REASON.txt` is written before the process ends.
"""

import logging
import time
from dataclasses import replace

import torch

from unplateau.base.errors import PreflightError, UsageError
from unplateau.base.locks import FileLock
from unplateau.diagnosis.preflight import judge_preflight
from unplateau.engine.checkpoint import CheckpointStore, restore
from unplateau.engine.loop import StepsDone, train
from unplateau.engine.precision import choose_device
from unplateau.engine.preflight import preflight
from unplateau.engine.ranks import Ranks, join_ranks
from unplateau.engine.requests import StopRequests
from unplateau.engine.stopping import STOP_CODES, Progress, decide, take_drop
from unplateau.report.console import TrainingConsole
from unplateau.runs.reader import read_stop
from unplateau.runs.record import Finding
from unplateau.workflows.ending import Ended, FinalScores, conclude, describe_failure, finish
from unplateau.workflows.journal import Journal, logging_to
from unplateau.workflows.request import TrainOutcome, TrainRequest
from unplateau.workflows.session import Session, build_session, plan_data, wrapped_network
from unplateau.workflows.start import Start, decide_start

_log = logging.getLogger(__name__)


def run_training(request: TrainRequest) -> TrainOutcome:
    """Train as asked for, or go on with a run, and leave a folder that tells the whole story.

    Raises:
        UsageError, ConfigError: nothing was begun.
    """
    start = decide_start(request)
    if start.is_done:
        return _already_done(start)
    device = choose_device(start.config)
    ranks = join_ranks(device.type)
    lock = FileLock(start.folder.lock)
    if ranks.is_main and not lock.acquire():
        raise UsageError(f"{start.folder.path} is being trained by another process. Use another --run-name.")
    try:
        with logging_to(start.folder.log, is_main=ranks.is_main, is_quiet=request.is_quiet):
            return _run(request, start, device, ranks)
    finally:
        lock.release()
        ranks.close()


def _run(request: TrainRequest, start: Start, device: torch.device, ranks: Ranks) -> TrainOutcome:
    journal = Journal(request, start, is_main=ranks.is_main)
    session: Session | None = None
    scores = FinalScores()
    with StopRequests(time_budget_seconds=start.config.SOLVER.TIME_BUDGET_HOURS * 3600) as requests:
        try:
            journal.begin()
            session = _prepare(request, start, device, ranks, journal)
            ended = _train(session, start, journal, requests)
            scores = conclude(journal, session, ended)
        except BaseException as error:  # noqa: BLE001 - every exit gets its written reason and exit code
            ended = describe_failure(error)
    return finish(journal, session, ended, scores)


def _prepare(request: TrainRequest, start: Start, device: torch.device, ranks: Ranks, journal: Journal) -> Session:
    plan = plan_data(start.config)
    session = build_session(start.config, plan, device=device, ranks=ranks)
    journal.note_session(session)
    if start.checkpoint is None and not request.skip_preflight:
        _preflight(session, journal)
    return replace(session, parts=replace(session.parts, network=wrapped_network(session.parts)))


def _preflight(session: Session, journal: Journal) -> None:
    started = time.perf_counter()
    measurements = preflight(session.parts, session.schedule, has_fresh_head=session.has_fresh_head)
    losses = session.parts.config.MODEL.LOSSES
    needs_positives = ("TripletLoss" in losses.NAME and losses.TRI.SCALE > 0) or (
        "CircleLoss" in losses.NAME and losses.CIRCLE.SCALE > 0
    )
    findings = judge_preflight(measurements, needs_positives=needs_positives)
    journal.preflight(measurements, findings, time.perf_counter() - started)
    if findings:
        raise PreflightError(_preflight_message(findings))


def _preflight_message(findings: tuple[Finding, ...]) -> str:
    first = findings[0]
    evidence = "; ".join(item.statement for item in first.evidence)
    return f"{first.title} ({first.code}): {evidence}. Next: {first.next_test}. No hyper-parameter will help until this is fixed."


def _train(session: Session, start: Start, journal: Journal, requests: StopRequests) -> Ended:
    """Run the loop, and after each epoch write what it brought."""
    parts, config = session.parts, start.config
    identity = {"data": session.plan.fingerprint, "world_size": parts.ranks.world_size}
    checkpoints = CheckpointStore(start.folder, identity=identity)
    progress = _first_progress(session, start, identity)
    decision = decide(config, progress) if progress.epoch else None
    if decision in STOP_CODES:  # it was killed after its last epoch, before its end was written
        return Ended(decision, progress)
    console = TrainingConsole(
        max_epochs=config.SOLVER.MAX_EPOCH,
        steps_per_epoch=parts.train_loader.steps_per_epoch,
        done_epochs=progress.epoch,
        is_quiet=journal.is_quiet,
    )

    def on_steps(done: StepsDone) -> None:
        console.on_steps(done.epoch, done.step_in_epoch, done.latest)

    with console:
        for done in train(parts, progress, checkpoints=checkpoints, requests=requests, on_steps=on_steps):
            journal.epoch(done, session, console)
            decision, progress = done.decision, done.progress
    assert decision is not None  # the loop ends with a decision
    return Ended(decision, progress)


def _first_progress(session: Session, start: Start, identity: dict[str, object]) -> Progress:
    if start.checkpoint is None:
        return Progress(session.schedule)
    stored = start.checkpoint["identity"]
    if stored != identity:
        raise UsageError(
            f"--resume: the run was begun on other data or another number of processes ({stored}; now {identity}). "
            "Results would silently change. Give it the same data and processes, or start under another --run-name."
        )
    progress = restore(session.parts, start.checkpoint, start.config)
    _log.info("Going on after epoch %d (step %d).", progress.epoch, progress.step)
    if "SOLVER.MAX_EPOCH" in start.changed:
        return progress.with_patience_reset()
    return take_drop(progress) if decide(start.config, progress) == "drop" else progress


def _already_done(start: Start) -> TrainOutcome:
    reason = read_stop(start.folder)
    assert reason is not None  # decide_start saw it
    return TrainOutcome(start.folder, reason, was_finished=True)
