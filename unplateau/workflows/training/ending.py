"""How a run ends: the one coded reason, the final model, the test set scored once, the texts and `model_info.json`."""

import copy
import logging
import sys
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from unplateau.base.errors import PreflightError, UnplateauError, first_line, out_of_memory_words
from unplateau.base.out_of_memory import is_out_of_memory
from unplateau.data.find import canonical_name
from unplateau.diagnosis.advice import Ending, advise
from unplateau.engine.checkpoint import last_saved_epoch
from unplateau.engine.checkpoint_files import bring_back_best
from unplateau.engine.memory_plan import ladder, plan_named
from unplateau.engine.model_file import load_state, save_model
from unplateau.engine.requests import Diverged, StopRequested
from unplateau.engine.stopping import Progress
from unplateau.report.text import stopping_reason_text
from unplateau.runs.provenance import provenance
from unplateau.runs.record import RankList, RetrievalMetrics, StopReason, to_plain
from unplateau.workflows.reporting.live_report import write_safely
from unplateau.workflows.training.failures import disk_full_words, is_disk_full, lost_process_words, no_exact_kernel_words
from unplateau.workflows.training.going_on import times_test_was_scored
from unplateau.workflows.training.journal import Journal, person_ids_of
from unplateau.workflows.training.rank_lists import rank_list_of, write_rank_lists
from unplateau.workflows.training.request import TrainOutcome
from unplateau.workflows.training.session import Session
from unplateau.workflows.training.session_info import session_info

_log = logging.getLogger(__name__)

HEADLINES = {
    "no-improvement": "No improvement for {patience} epochs",
    "completed": "Training completed all epochs",
    "target-reached": "Target mAP reached",
    "paused": "Stopped after {last_epoch} epochs as asked (SOLVER.STOP_EPOCH)",
    "time-budget": "Time budget used up",
    "interrupted": "User interrupted (Ctrl+C)",
    "preempted": "Ended by the system (SIGTERM)",
    "out-of-memory": "Out of memory",
    "disk-full": "The disk is full",
}
"""First line of `STOPPING_REASON.txt`, by code. A code that is not here is an error, whose own first line is said."""
_EXIT_CODES = {
    "time-budget": 75,
    "preempted": 75,
    "interrupted": 130,
    "out-of-memory": 1,
    "disk-full": 1,
    "diverged": 1,
    "preflight": 1,
    "killed": 1,
}


@dataclass(frozen=True)
class Ended:
    """That a training ended, before it is put in words."""

    code: str
    progress: Progress | None = None
    detail: str = ""
    exit_code: int | None = None


@dataclass(frozen=True)
class FinalScores:
    """What is measured once, with the best model, when a run has ended well."""

    tests: tuple[RetrievalMetrics, ...] = ()
    train_identities: RetrievalMetrics | None = None
    arrays: dict[str, np.ndarray] | None = None
    rank_lists: tuple[RankList, ...] = ()
    """Of the tests."""


def describe_failure(error: BaseException, folder: Path) -> Ended:
    """Return the coded reason for an exception in a run of `folder`; the traceback of an unforeseen one goes to the log."""
    if isinstance(error, StopRequested):
        return Ended(error.code)
    if isinstance(error, KeyboardInterrupt):
        return Ended("interrupted")
    if isinstance(error, Diverged):
        return Ended("diverged", detail=f"{error} (steps count from 0).")
    if isinstance(error, PreflightError):
        return Ended("preflight", detail=str(error))
    if is_out_of_memory(error):
        return Ended("out-of-memory", detail=out_of_memory_words(error))
    if is_disk_full(error):
        return Ended("disk-full", detail=disk_full_words(error, folder))
    if isinstance(error, UnplateauError):
        _log.info("%s", error)  # its headline is the first line only
        return Ended("error", detail=str(error), exit_code=error.exit_code)
    _log.info("%s", "".join(traceback.format_exception(error)))  # below a warning: for log.txt, not for the console
    if words := lost_process_words(error) or no_exact_kernel_words(error):
        return Ended("error", detail=words, exit_code=1)
    return Ended("error", detail=f"{type(error).__name__}: {first_line(error)}", exit_code=1)


def conclude(journal: Journal, session: Session, ended: Ended) -> FinalScores:
    """Do what a run that ended well still owes: the final model, and the scores of the best one."""
    _save_models(journal, session, ended)
    return _score_best(journal, session)


def finish(journal: Journal, session: Session | None, ended: Ended, scores: FinalScores) -> TrainOutcome:
    """Write the reason and the metadata that every end leaves, and return them.

    Raises:
        UnplateauError: they cannot be written, or the folder is not there any more.
    """
    journal.require_folder()
    reason = _reason(journal, session, ended, scores)
    if journal.is_main:
        try:
            _write_end(journal, session, reason, scores)
        except OSError as error:
            raise UnplateauError(_unwritten(journal, reason, error)) from error
        journal.close()
        write_safely(journal.start.folder)
        _log.info("STOPPING REASON: %s", reason.headline)
    return TrainOutcome(journal.start.folder, reason, scores.tests)


def _write_end(journal: Journal, session: Session | None, reason: StopReason, scores: FinalScores) -> None:
    """Write what an end leaves; the reason last, because a run that has one counts as ended."""
    text, info = _text(journal, session, reason, scores), _info(journal, session, reason, scores)
    journal.writer.make_room()
    if scores.arrays:
        journal.writer.average_precision({**journal.validation_arrays(), **scores.arrays})
        write_rank_lists(journal.start.folder, scores.rank_lists, keeps_others=True)
    journal.writer.info(info)
    journal.writer.stop(reason, text)


def _unwritten(journal: Journal, reason: StopReason, error: OSError) -> str:
    return (
        f"The training ended ({reason.headline}), and that could not be written to {journal.start.folder.path} "
        f"({error.strerror or error}). Epochs that are finished are kept. Make the folder writable, with some room on its disk, "
        f"then go on: {journal.request.command} --resume"
    )


def _save_models(journal: Journal, session: Session, ended: Ended) -> None:
    if not journal.is_main:
        return
    journal.require_folder()
    epoch = ended.progress.epoch if ended.progress else 0
    folder = journal.start.folder
    save_model(folder.final_model, session.parts.scored_model, config_yaml=journal.config_yaml, facts={"epoch": epoch})
    if session.plan.validation is None or not folder.best_model.exists():
        journal.save_best(session, epoch, None)
    elif ended.progress is not None:  # what lay on a disk for hours is looked at before it is scored
        bring_back_best(folder, ended.progress.best_epoch)


def _score_best(journal: Journal, session: Session) -> FinalScores:
    """Score the best model once: on identities it was trained on, and on the test sets unless a launcher keeps those."""
    session.parts.ranks.gather(None)  # the main process has written the file when all are here
    model = copy.deepcopy(session.parts.model)
    load_state(journal.start.folder.best_model, model)
    seen = session.scorer.score(model, session.plan.train_identities).metrics if session.plan.train_identities else None
    if not session.parts.config.VALIDATION.SCORE_TEST:
        return FinalScores(train_identities=seen)
    validation = session.plan.validation
    metrics: list[RetrievalMetrics] = []
    arrays: dict[str, np.ndarray] = {}
    lists: list[RankList] = []
    for task in session.plan.tests:
        for rerank in (False, True) if session.parts.config.TEST.RERANK.ENABLED else (False,):
            result = session.scorer.score(model, task, rerank=rerank)
            lists += [rank_list_of(task, result)] if result.rank_lists else []
            name = f"test_{task.dataset}{'_reranked' if rerank else ''}"
            arrays[f"{name}_average_precision"] = np.asarray(result.average_precision_Q, dtype=np.float32)
            arrays[f"{name}_person_ids"] = person_ids_of(task, result)
            is_chosen_on_it = validation is not None and validation.protocol == "test" and validation.dataset == task.dataset
            metrics.append(replace(result.metrics, chosen_on_it=is_chosen_on_it))
    return FinalScores(tuple(metrics), seen, arrays, tuple(lists))


def _reason(journal: Journal, session: Session | None, ended: Ended, scores: FinalScores) -> StopReason:
    config, solver = journal.start.config, journal.start.config.SOLVER
    epochs, saved = tuple(journal.epochs), last_saved_epoch(journal.start.folder)
    best = max(
        (epoch for epoch in epochs if epoch.validation),
        key=lambda epoch: epoch.validation.mAP if epoch.validation else -1.0,
        default=None,
    )
    last = epochs[-1].epoch if epochs else 0
    drops = ended.progress.schedule.drops_ahead(ended.progress.step) if ended.progress else ()
    evidence, recommendation = advise(
        Ending(
            code=ended.code,
            epochs=epochs,
            max_epochs=solver.MAX_EPOCH,
            resume_command=journal.request.command,
            batch_size=solver.IMS_PER_BATCH,
            num_instances=config.DATALOADER.NUM_INSTANCE,
            base_rate=solver.BASE_LR,
            drops_ahead=drops,
            test=scores.tests[0] if scores.tests else None,
            train_identities=scores.train_identities,
            detail=ended.detail,
            saved_epoch=saved,
            is_cosine=solver.SCHED == "CosineAnnealingLR",
            data="+".join(map(canonical_name, config.DATASETS.NAMES)),
            run_folder=journal.start.folder.path.as_posix(),
            new_run_command=journal.request.command_as(f"{journal.request.run_name}_2"),
            other_memory_plan=_other_memory_plan(journal),
        )
    )
    return StopReason(
        code=ended.code,
        headline=_headline(ended, solver.EARLY_STOP_PATIENCE, last),
        evidence=evidence,
        recommendation=recommendation,
        epochs_trained=last,
        max_epochs=solver.MAX_EPOCH,
        best_epoch=best.epoch if best else None,
        best_map=best.validation.mAP if best and best.validation else None,
        best_protocol=best.validation.protocol if best and best.validation else "",
        exit_code=ended.exit_code if ended.exit_code is not None else _EXIT_CODES.get(ended.code, 0),
        resumable=saved > 0,
    )


def _headline(ended: Ended, patience: int, last_epoch: int) -> str:
    if ended.code in HEADLINES:
        return HEADLINES[ended.code].format(patience=patience, last_epoch=last_epoch)
    return f"Error: {ended.detail.splitlines()[0]}" if ended.detail else "Error"


def _text(journal: Journal, session: Session | None, reason: StopReason, scores: FinalScores) -> str:
    caveats = [*session.notes, *_memory_sentences(session)] if session else []
    if scores.tests and (earlier := times_test_was_scored(journal.start)):
        caveats.append(
            f"The test set was scored {earlier + 1} times in this run, which went on after it was seen: a little optimistic."
        )
    if journal.request.skip_preflight:
        caveats.append("Preflight was switched off (--no-preflight): nothing has shown that the weights move.")
    return stopping_reason_text(reason, journal.start.config, tests=scores.tests, caveats=caveats)


def _memory_sentences(session: Session) -> tuple[str, ...]:
    return session.parts.memory.sentences(session.parts.config.SOLVER.IMS_PER_BATCH // session.parts.ranks.world_size)


def _other_memory_plan(journal: Journal) -> str:
    """Return the SOLVER.MEMORY_PLAN to try where memory has run out and the plan could not be changed; empty for none."""
    solver, world_size = journal.start.config.SOLVER, journal.ranks.world_size
    if world_size == 1 and solver.MEMORY_PLAN in ("auto", "off"):
        return "" if solver.MEMORY_PLAN == "auto" else "auto"
    rungs = [plan.name for plan in ladder(solver.IMS_PER_BATCH // world_size)]
    name = plan_named(solver.MEMORY_PLAN).name
    return next(iter(rungs[rungs.index(name) + 1 :]), "") if name in rungs else ""


def _info(journal: Journal, session: Session | None, reason: StopReason, scores: FinalScores) -> dict[str, Any]:
    config = journal.start.config
    info: dict[str, Any] = {
        "run": journal.start.folder.name,
        "stopping_reason": to_plain(reason),
        "test": [to_plain(metrics) for metrics in scores.tests],
        "times_test_was_scored": times_test_was_scored(journal.start) + bool(scores.tests),
        "train_identities": to_plain(scores.train_identities) if scores.train_identities else None,
        "seed": config.SEED,
        "preflight": {**journal.preflight_summary, "skipped": journal.request.skip_preflight},
        "notes": [*journal.start.notes, *((*session.notes, *_memory_sentences(session)) if session else ())],
        "changed_on_resume": list(journal.start.changed),
        "files": {"use this": "best_model.pth", "read this": "STOPPING_REASON.txt"},
    }
    device = str(session.parts.device) if session else "none"
    if session is not None:
        info |= session_info(session)
    info["provenance"] = provenance(sys.argv, device=device, threads=torch.get_num_threads())
    return info
