"""What a training writes while it runs: the log, the records, the best model. On several processes only the main one writes."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from unplateau.base.errors import UnplateauError
from unplateau.base.files import remove, write_json
from unplateau.config.delta import flatten, to_yaml
from unplateau.diagnosis.rules.unusual_settings import unusual
from unplateau.engine.checkpoint import last_saved_epoch
from unplateau.engine.checkpoint_files import bring_back_best
from unplateau.engine.loop import EpochDone
from unplateau.engine.model_file import save_model
from unplateau.engine.ranks import Ranks
from unplateau.engine.scoring import RetrievalTask
from unplateau.evaluation.ranking import Retrieval
from unplateau.report.console import TrainingConsole
from unplateau.report.lines import epoch_line
from unplateau.runs.embed_choice import EmbedChoice, write_embed_choice
from unplateau.runs.foreign_logs.config_facts import facts_of_config
from unplateau.runs.reader import read_average_precision, read_run
from unplateau.runs.record import EpochRecord, Finding, Measurement, to_plain
from unplateau.runs.step_choice import StepChoice, write_step_choice
from unplateau.runs.writer import RunWriter
from unplateau.workflows.reporting.live_report import LiveReport
from unplateau.workflows.training.loggers import Loggers, open_loggers
from unplateau.workflows.training.rank_lists import rank_list_of, write_rank_lists
from unplateau.workflows.training.request import TrainRequest
from unplateau.workflows.training.session import Session
from unplateau.workflows.training.session_info import session_info
from unplateau.workflows.training.start import Start

_log = logging.getLogger(__name__)


class Journal:
    """Keeps the run folder in step with the training."""

    def __init__(self, request: TrainRequest, start: Start, *, ranks: Ranks) -> None:
        self.request, self.start, self.ranks, self.is_main = request, start, ranks, ranks.is_main
        self.is_quiet = request.is_quiet or not ranks.is_main
        self.config_yaml = to_yaml(start.config)
        self.writer = RunWriter(start.folder)
        self.epochs: list[EpochRecord] = []
        self.preflight_summary: dict[str, object] = {"ran": False}
        self._average_precision: dict[int, np.ndarray] = {}
        self._query_person_ids = np.empty(0, dtype=np.int64)
        self._report: LiveReport | None = None
        self._loggers: Loggers | None = None

    def begin(self) -> None:
        """Claim the folder: a new run clears what a broken-off start left, a resumed one keeps its records."""
        if not self.is_main:
            return
        folder = self.start.folder
        self.writer.running()
        if self.start.checkpoint is None:
            for stale in (
                folder.metrics,
                folder.probes,
                folder.history,
                folder.findings,
                folder.average_precision,
                folder.best_model,
                folder.rank_lists,
                folder.report,
                folder.step_choice,
                folder.embed_choice,
            ):
                remove(stale)
        else:
            remove(folder.findings)  # they speak of what the run was before it went on
            self._go_back_to(int(self.start.checkpoint["epoch"]), self.start.checkpoint["progress"]["best_epoch"])
        self.writer.config(self.config_yaml)
        _log.info("%s: %s", "Resumed" if self.start.checkpoint else "Started", " ".join(sys.argv))
        for note in self.start.notes:
            _log.info("Configuration: %s", note)
        if self.start.changed:
            _log.info("Changed since the run began: %s", ", ".join(self.start.changed))

    def note_session(self, session: Session) -> None:
        """Log what the training is made of."""
        parts, plan = session.parts, session.plan
        millions = sum(parameter.numel() for parameter in parts.model.parameters()) / 1e6
        where = f"{parts.device}, {parts.ranks.world_size} process(es)"
        steps, identities = parts.train_loader.steps_per_epoch, parts.train_loader.num_identities
        self._tell(f"{self.start.config.MODEL.BACKBONE.NAME}, {millions:.2f} M parameters, on {where}.")
        self._tell(f"Training on {len(plan.train)} images of {identities} identities, {steps} steps an epoch.")
        for text in unusual(facts_of_config(flatten(self.start.config), iterations_per_epoch=steps)):
            self._tell(f"Unusual: {text}.")
        if plan.validation is not None:
            sizes = f"{len(plan.validation.query)} queries, gallery {len(plan.validation.gallery)}"
            self._tell(f"Validation on {plan.validation.protocol} {plan.validation.dataset}: {sizes}.")
        if session.weights is not None:
            self._tell(session.weights.text())
        self._note_step(session.step)
        self._note_embedding(session.embedding)
        for note in session.notes:
            _log.info("%s", note)
        if plan.lint:
            _log.info("Data:\n%s", plan.lint)
        if self.is_main:
            self._report = LiveReport(self.start.folder, self.start.config, session_info(session))
            self._report.resume()
            first_step = self.epochs[-1].steps if self.epochs else 0
            self._loggers = open_loggers(self.start.config, self.start.folder, first_step=first_step)

    def _note_step(self, choice: StepChoice) -> None:
        self._tell(choice.line())
        if choice.basis != "set":
            _log.info("To compute so without measuring: %s", choice.way.keys)
        for timing in choice.timings:
            cosines = f"cosine of the gradients {timing.gradient_agreement:.3f}, of the head's {timing.head_agreement:.3f}"
            seen = timing.problem or f"{1e3 * timing.seconds:.1f} ms, {cosines}"
            _log.info("Step in %s: %s.", timing.way.name, seen)
        if self.is_main:
            write_step_choice(self.start.folder, choice)

    def _note_embedding(self, choice: EmbedChoice) -> None:
        is_as_the_step = choice.basis != "measured"  # the line before has said all of it
        _log.info("%s", choice.line()) if is_as_the_step else self._tell(choice.line())
        for timing in choice.timings:
            seen = (
                timing.problem or f"{1e3 * timing.seconds:.0f} ms for {choice.num_images} images, cosine {timing.agreement:.4f}"
            )
            _log.info("Images embedded in %s: %s.", timing.way.name, seen)
        if self.is_main:
            write_embed_choice(self.start.folder, choice)

    def _tell(self, line: str) -> None:
        _log.info("%s", line)
        if not self.is_quiet:
            print(line, flush=True)

    def preflight(self, measurements: Sequence[Measurement], findings: Sequence[Finding], seconds: float) -> None:
        """Record what preflight measured and found."""
        self.preflight_summary = {"ran": True, "seconds": round(seconds, 2), "findings": [finding.code for finding in findings]}
        if not self.is_main:
            return
        self.writer.measurements(measurements)
        if findings:
            write_json(self.start.folder.findings, [to_plain(finding) for finding in findings])
        if findings:
            _log.error("Preflight found a fault in %.1f s: %s (%s).", seconds, findings[0].title, findings[0].code)
            return
        motion = ", ".join(f"{m.group} {m.value:.1e}" for m in measurements if m.name == "weight_motion")
        self._tell(f"Preflight passed in {seconds:.1f} s: the weights move.")
        _log.info("In one step they move by (relative): %s.", motion)

    def require_folder(self) -> None:
        """See that the run's folder is still where it was.

        Raises:
            UnplateauError: it was moved or removed. Written on, there would be two halves of a run.
        """
        folder = self.start.folder
        if self.is_main and not folder.lock.exists() and not folder.config.exists():
            raise UnplateauError(
                f"{folder.path} was moved or removed while it was being trained, so the training stops. What was finished is in "
                f"the folder that was moved: put it back, then go on: {self.request.command} --resume"
            )

    def epoch(self, done: EpochDone, session: Session, console: TrainingConsole) -> None:
        """Write a finished epoch: records, per-query average precision, the best model; then tell the people."""
        self.require_folder()
        if not self.is_main:
            return
        record, progress = done.record, done.progress
        if done.retrieval is not None:
            self._average_precision[record.epoch] = np.asarray(done.retrieval.average_precision_Q, dtype=np.float32)
            self._query_person_ids = person_ids_of(session.plan.validation, done.retrieval)
            self.writer.average_precision(self.validation_arrays())
        if record.is_best:
            self.save_best(session, record.epoch, progress.best_map)
            if done.retrieval is not None and session.plan.validation is not None:
                validated = rank_list_of(session.plan.validation, done.retrieval)
                write_rank_lists(self.start.folder, [validated], keeps_others=False)
        self.epochs.append(record)
        self.writer.epoch(record)
        console.on_epoch(record, progress.best_map)
        _log.info("%s", epoch_line(record, self.start.config.SOLVER.MAX_EPOCH, progress.best_map))
        if record.skipped_steps:
            _log.info("The gradient scaler left out %d steps of epoch %d.", record.skipped_steps, record.epoch)
        if record.measurements.get("weight_motion") == 0.0:
            _log.warning(
                "The weights did not move in the first step of epoch %d (learning rate %.2e).", record.epoch, record.learning_rate
            )
        if done.decision == "drop":
            _log.info("Plateau: the next learning-rate drop is taken now, after epoch %d.", record.epoch)
        if self._report is not None:
            self._report.epoch(self.epochs, self._average_precision.get(record.epoch), self._query_person_ids)
        if self._loggers is not None:
            self._loggers.epoch(record)
        if self.request.on_epoch is not None:
            self.request.on_epoch(record)

    def close(self) -> None:
        """Let other programs' records be written out; our own are whole at every moment."""
        if self._loggers is not None:
            self._loggers.close()

    def save_best(self, session: Session, epoch: int, validation_map: float | None) -> None:
        """Write `best_model.pth`."""
        protocol = session.plan.validation.protocol if session.plan.validation else "none"
        facts = {"epoch": epoch, "mAP": validation_map, "protocol": protocol}
        save_model(self.start.folder.best_model, session.parts.scored_model, config_yaml=self.config_yaml, facts=facts)

    def validation_arrays(self) -> dict[str, np.ndarray]:
        """Return every query's average precision after every validated epoch: epochs (E,), values (E, Q), persons (Q,)."""
        if not self._average_precision:
            return {}
        epochs = sorted(self._average_precision)
        return {
            "validation_epochs": np.array(epochs),
            "validation_average_precision": np.stack([self._average_precision[epoch] for epoch in epochs]),
            "validation_person_ids": self._query_person_ids,
        }

    def _go_back_to(self, epoch: int, best_epoch: int | None) -> None:
        """Make the records those of a run that has just finished the epoch of its checkpoint."""
        folder = self.start.folder
        if epoch < (newest := last_saved_epoch(folder)):
            _log.info("The checkpoint of epoch %d is damaged, or the record is: going on from that of epoch %d.", newest, epoch)
        bring_back_best(folder, best_epoch)
        self.writer.going_on_after(epoch)
        self._read_back(epoch)

    def _read_back(self, last_epoch: int) -> None:
        folder = self.start.folder
        self.epochs = [epoch for epoch in read_run(folder.path).epochs if epoch.epoch <= last_epoch]
        arrays = read_average_precision(folder)
        if "validation_epochs" in arrays:
            rows = zip(arrays["validation_epochs"].tolist(), arrays["validation_average_precision"], strict=True)
            self._average_precision = {epoch: row for epoch, row in rows if epoch <= last_epoch}
            self._query_person_ids = arrays["validation_person_ids"]


def person_ids_of(task: RetrievalTask | None, retrieval: Retrieval) -> np.ndarray:
    """Return the person of each query that counts, (Q,), in the order of the retrieval's average precision."""
    assert task is not None  # a retrieval comes from a task
    return np.array([task.query[row].person_id for row in retrieval.query_rows_Q.tolist()], dtype=np.int64)


class _LogFile(logging.FileHandler):
    """A log that cannot be written, on a full disk say, costs its line and no more: no traceback on the console."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        pass

    def close(self) -> None:
        with suppress(OSError):  # what it still held cannot be written either
            super().close()


@contextmanager
def logging_to(path: Path, *, is_main: bool, is_quiet: bool) -> Iterator[None]:
    """Send the package's log to `path`, and warnings to the console too, while it is entered."""
    logger = logging.getLogger("unplateau")
    handlers: list[logging.Handler] = []
    if is_main:
        path.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(_LogFile(path, encoding="utf-8"))
        if not is_quiet:
            handlers.append(logging.StreamHandler(sys.stderr))
            handlers[-1].setLevel(logging.WARNING)
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
    previous, logger.propagate = logger.level, False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(previous)
        logger.propagate = True
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
