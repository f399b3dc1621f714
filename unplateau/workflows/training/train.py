"""One training from request to stopping reason: the layers meet here, the loop itself is `unplateau.engine.loop`.

Whatever ends the training, short of SIGKILL or power, `STOPPING_REASON.txt` is written before the process ends.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from unplateau.base.errors import PreflightError, UnplateauError, UsageError
from unplateau.base.files import is_older
from unplateau.base.locks import FileLock
from unplateau.config.load import Loaded
from unplateau.diagnosis.preflight import judge_preflight
from unplateau.engine.checkpoint import CheckpointStore, go_on_with_memory_plan
from unplateau.engine.host_memory import hand_back_freed_memory, keep_freed_memory
from unplateau.engine.kernels import choose_kernels
from unplateau.engine.loop import StepsDone, train
from unplateau.engine.memory_plan import PLAIN
from unplateau.engine.precision import choose_device
from unplateau.engine.preflight import preflight
from unplateau.engine.ranks import Ranks, join_ranks, local_rank
from unplateau.engine.requests import StopRequests, forget_lost_workers
from unplateau.engine.stopping import STOP_CODES, decide
from unplateau.report.console import TrainingConsole
from unplateau.runs.reader import read_stop
from unplateau.runs.record import Finding
from unplateau.workflows.reporting.live_report import write_safely
from unplateau.workflows.training.ending import Ended, FinalScores, conclude, describe_failure, finish
from unplateau.workflows.training.going_on import (
    embedding_to_choose,
    first_progress,
    identity,
    plan_to_go_on,
    warm_restart_notes,
    way_to_choose,
)
from unplateau.workflows.training.journal import Journal, logging_to
from unplateau.workflows.training.loggers import check_loggers
from unplateau.workflows.training.request import TrainOutcome, TrainRequest
from unplateau.workflows.training.session import DataPlan, Session, build_session, plan_data, wrapped_network
from unplateau.workflows.training.start import Start, decide_start, read_config
from unplateau.workflows.training.tidy import tidy_run

_log = logging.getLogger(__name__)


def run_training(request: TrainRequest) -> TrainOutcome:
    """Train as asked for, or go on with a run, and leave a folder that tells the whole story.

    Raises:
        UsageError, ConfigError: nothing was begun.
    """
    loaded = read_config(request)
    check_loggers(loaded.config)
    device = choose_device(loaded.config, local_rank())
    if device.type == "cpu":
        keep_freed_memory()
    choose_kernels(loaded.config, device)
    ranks = join_ranks(device.type)
    try:
        start = _start_together(request, loaded, ranks)
        if start.is_done:
            return _already_done(start, ranks)
        with _claimed(start, ranks), logging_to(start.folder.log, is_main=ranks.is_main, is_quiet=request.is_quiet):
            return _run(request, start, device, ranks)
    finally:
        ranks.close()


def _start_together(request: TrainRequest, loaded: Loaded, ranks: Ranks) -> Start:
    """Let the main process decide for all: the others would meet its lock, and its changes to the folder, half done."""
    start, problem = None, ""
    if ranks.is_main:
        try:
            start = decide_start(request, loaded)
        except UnplateauError as error:
            if ranks.world_size == 1:
                raise
            problem = str(error)
    start, problem = ranks.from_main((start, problem))
    if start is None:
        raise UsageError(problem)
    return start


@contextmanager
def _claimed(start: Start, ranks: Ranks) -> Iterator[None]:
    lock = FileLock(start.folder.lock)
    if ranks.is_main and not lock.acquire():
        raise UsageError(f"{start.folder.path} is being trained by another process. Use another --run-name.")
    try:
        yield
    finally:
        lock.release()


def _run(request: TrainRequest, start: Start, device: torch.device, ranks: Ranks) -> TrainOutcome:
    journal = Journal(request, start, ranks=ranks)
    plan = plan_to_go_on(start, ranks, device.type, allow_changes=request.allow_changes)
    session: Session | None = None
    scores = FinalScores()
    with StopRequests(time_budget_seconds=start.config.SOLVER.TIME_BUDGET_HOURS * 3600) as requests:
        try:
            journal.begin()
            session = _prepare(request, start, plan or plan_data(start.config), device, ranks, journal)
            ended = _train(session, start, journal, requests)
            scores = conclude(journal, session, ended)
            requests.is_ending = True
        except BaseException as error:  # noqa: BLE001 - every exit gets its written reason and exit code
            requests.is_ending = True  # an assignment, no call: Python meets no signal before it
            forget_lost_workers()
            ended = describe_failure(error, start.folder.path)
        return finish(journal, session, ended, scores)


def _prepare(
    request: TrainRequest, start: Start, plan: DataPlan, device: torch.device, ranks: Ranks, journal: Journal
) -> Session:
    session = build_session(
        start.config, plan, device=device, ranks=ranks, choose=way_to_choose(start),
        choose_embedding=embedding_to_choose(start),
    )  # fmt: skip
    if start.checkpoint is not None:
        session = replace(session, notes=(*session.notes, *warm_restart_notes(session.schedule, journal.epochs)))
        go_on_with_memory_plan(session.parts, start.checkpoint)  # preflight needs it too
    if device.type == "cpu" and session.parts.memory.plan != PLAIN:
        hand_back_freed_memory()
    journal.note_session(session)
    if not request.skip_preflight:  # of a run that goes on too: code and libraries may be others than at its start
        _preflight(session, journal)
    return replace(session, parts=replace(session.parts, network=wrapped_network(session.parts, session.step.way)))


def _preflight(session: Session, journal: Journal) -> None:
    started = time.perf_counter()
    measurements = preflight(session.parts, session.schedule, has_fresh_head=session.has_fresh_head)
    losses = session.parts.config.MODEL.LOSSES
    needs_positives = ("TripletLoss" in losses.NAME and losses.TRI.SCALE > 0) or (
        "CircleLoss" in losses.NAME and losses.CIRCLE.SCALE > 0
    )
    findings = judge_preflight(measurements, needs_positives=needs_positives)
    findings = next((found for found in session.parts.ranks.gather(findings) if found), ())
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
    checkpoints = CheckpointStore(start.folder, identity=identity(session.plan, parts.ranks, parts.device.type))
    progress = first_progress(session, start)
    if start.changed:  # a kill in the first epoch that follows must not undo what was asked for, such as a fresh patience
        checkpoints.save(parts, progress)
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


def _already_done(start: Start, ranks: Ranks) -> TrainOutcome:
    reason = read_stop(start.folder)
    assert reason is not None  # decide_start saw it
    if ranks.is_main:
        tidy_run(start.folder)
    if ranks.is_main and is_older(start.folder.report, start.folder.stop_record):  # it was killed before it wrote the last page
        write_safely(start.folder)
    return TrainOutcome(start.folder, reason, was_finished=True)
