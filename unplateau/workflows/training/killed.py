"""The stopping reason of a run whose process could not write it any more: SIGKILL, power, the system out of memory."""

from unplateau.config.load import load
from unplateau.diagnosis.advice import Ending, advise
from unplateau.engine.checkpoint import last_saved_epoch
from unplateau.report.text import stopping_reason_text
from unplateau.runs.layout import RunFolder
from unplateau.runs.reader import read_run
from unplateau.runs.record import StopReason
from unplateau.runs.writer import RunWriter

KILLED = "Error: the process ended without a word (killed, power loss, or the system ran out of memory)"


def write_killed(folder: RunFolder, resume_command: str) -> StopReason:
    """Write the stopping reason of a run whose process was killed before it could."""
    run, config = read_run(folder.path), load(folder.config).config
    best, saved = run.best, last_saved_epoch(folder)
    evidence, recommendation = advise(
        Ending(
            code="killed",
            epochs=run.epochs,
            max_epochs=config.SOLVER.MAX_EPOCH,
            resume_command=resume_command,
            saved_epoch=saved,
        )
    )
    reason = StopReason(
        code="killed",
        headline=KILLED,
        evidence=evidence,
        recommendation=recommendation,
        epochs_trained=run.epochs[-1].epoch if run.epochs else 0,
        max_epochs=config.SOLVER.MAX_EPOCH,
        best_epoch=best.epoch if best else None,
        best_map=best.validation.mAP if best and best.validation else None,
        best_protocol=best.validation.protocol if best and best.validation else "",
        exit_code=1,
        resumable=saved > 0,
    )
    RunWriter(folder).stop(reason, stopping_reason_text(reason, config))
    return reason
