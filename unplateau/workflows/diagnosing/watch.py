"""`unplateau.watch`: watches any training loop and says what is wrong as soon as it is sure.

Here measuring (`engine.watching`) and judging (`diagnosis`) meet. Nothing of the training is changed.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.optim import Optimizer

from unplateau.base.errors import UsageError
from unplateau.diagnosis.case import Case
from unplateau.diagnosis.describe import describe
from unplateau.diagnosis.diagnose import Diagnosis, diagnose
from unplateau.engine.watching.loss_history import Terms
from unplateau.engine.watching.training_reader import TrainingReader
from unplateau.runs.foreign_logs.names import columns_map
from unplateau.runs.foreign_logs.training_log import LogFacts, LogPoint, TrainingLog
from unplateau.runs.record import Finding, Measurement

SURE = 0.75  # below it a finding waits for the report
_SEEN = ("diverged",)  # sure as it is: confidence speaks of its cause
_FIRST_LOOK_AT_CURVES = 200  # steps; batch noise hides everything earlier
_FROM_CURVES = (
    "diverged", "weights-not-updated", "nothing-learned", "collapsed-embeddings", "uniform-logits", "softmax-before-ce",
    "missing-cosine-scale", "no-positives", "triplet-solved", "still-improving", "undecided", "before-drop", "finished",
    "plateau", "unknown",
)  # fmt: skip
"""Codes that curves of single steps may show; the other rules are made for means over epochs."""
_TIMES_SEEN = 2  # a curve's finding must come twice in a row: curves are looked at again and again


def watch(
    model: nn.Module, optimizer: Optimizer | Sequence[Optimizer], *, every: int = 100,
    on_finding: Callable[[Finding], None] | None = None, **facts: Any,
) -> Watch:  # fmt: skip
    """Watch a training: `with unplateau.watch(model, optimizer) as watch:` around the loop, `watch.step(losses)` in it.

    Args:
        model: the network as it is trained; bare, distributed or compiled.
        optimizer: one, or several.
        every: steps between measurements after the first few; more where measuring would take over half a per cent of the time.
        on_finding: called once for each finding, as soon as it is sure; by default a warning is printed to stderr.
        facts: what is known, by the names of `LogFacts`, such as num_identities=751, margin=0.3, frozen_layers=("layer1",).

    Raises:
        UsageError: a fact that does not exist, or no parameter to watch.

    Returns:
        A context manager; its own page: `Watch`.
    """
    known = {field.name for field in dataclasses.fields(LogFacts)}
    if unknown := sorted(set(facts) - known):
        raise UsageError(f"watch(): there is no fact named {', '.join(unknown)}. Known: {', '.join(sorted(known))}.")
    if next(iter(model.parameters()), None) is None:
        raise UsageError("watch(): the model has no parameters. Pass the module that is trained.")
    if every < 1:
        raise UsageError(f"watch(): every is {every}; it counts steps and must be at least 1.")
    optimizers = tuple(optimizer) if isinstance(optimizer, Sequence) else (optimizer,)
    return Watch(TrainingReader(model, optimizers, every=every), LogFacts(**facts), on_finding or warn)


class Watch:
    """A training under watch. On several processes each watches itself and the first one speaks."""

    def __init__(self, reader: TrainingReader, facts: LogFacts, on_finding: Callable[[Finding], None]) -> None:
        self._reader, self._facts, self._tell = reader, facts, on_finding
        self._told: dict[str, Finding] = {}
        self._suspected: dict[str, int] = {}
        self._next_look = _FIRST_LOOK_AT_CURVES
        self._is_open = False

    def __enter__(self) -> Watch:
        self._reader.open()
        self._is_open = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._is_open = False
        self._reader.close()
        self._say(diagnose(self._case(with_curves=False)), is_repeated=True)
        self._look()

    def step(self, loss_terms: Terms | torch.Tensor | float) -> None:
        """Take in a finished training step: after `optimizer.step()`, or in `on_train_batch_end`.

        Args:
            loss_terms: losses by name, such as {"cross_entropy": ce, "triplet": triplet}, or the total alone. Tensors are read
                once in many steps, so the GPU is not waited for.

        Raises:
            UsageError: called outside of the `with` block.
        """
        if not self._is_open:
            raise UsageError(
                "watch.step() was called outside of its block. Put the loop into `with unplateau.watch(...) as watch:`."
            )
        terms = loss_terms if not isinstance(loss_terms, torch.Tensor | float | int) else {"total": loss_terms}
        if self._reader.step(terms):
            started = time.perf_counter()
            self._judge()
            self._reader.book(time.perf_counter() - started)

    def findings(self) -> tuple[Finding, ...]:
        """Return what is known by now, ranked, the unsure included; health is a finding too."""
        return self._whole().findings

    def measurements(self) -> tuple[Measurement, ...]:
        """Return what was measured: probes' numbers, without a verdict."""
        return self._reader.measurements()

    @property
    def share_of_time(self) -> float:
        """Time that watching took of all time since the block was entered."""
        return self._reader.share_of_time

    def report(self) -> str:
        """Return the whole story as text."""
        case = self._case(with_curves=True)
        head = f"WATCHED {self._reader.step_number} steps; watching took {self.share_of_time:.2%} of the time."
        return f"{head}\n{describe(case, self._whole())}"

    def _judge(self) -> None:
        """Judge measurements at once, and curves at ever longer intervals."""
        self._say(diagnose(self._case(with_curves=False)), is_repeated=True)
        number = self._reader.step_number
        if self._reader.losses.not_finite or (number >= self._next_look and not self._reader.is_over_budget):
            self._next_look = max(number + 1, int(1.5 * number))
            self._look()

    def _look(self) -> None:
        diagnosis = self._whole()
        seen = {finding.code for finding in diagnosis.findings}
        self._suspected = {code: self._suspected.get(code, 0) + 1 for code in seen}
        self._say(diagnosis, is_repeated=bool(self._reader.losses.not_finite))

    def _say(self, diagnosis: Diagnosis, *, is_repeated: bool) -> None:
        for finding in diagnosis.findings:
            is_sure = (finding.confidence >= SURE or finding.code in _SEEN) and finding.severity != "info"
            is_repeated_here = is_repeated or self._suspected.get(finding.code, 0) >= _TIMES_SEEN
            if is_sure and is_repeated_here and finding.code not in self._told:
                self._told[finding.code] = finding
                if _is_first_process():
                    self._tell(finding)

    def _whole(self) -> Diagnosis:
        """Measurements and curves; of the curves' findings those that single steps can show."""
        measured = {finding.code for finding in diagnose(self._case(with_curves=False)).findings}
        found = diagnose(self._case(with_curves=True))
        kept = tuple(finding for finding in found.findings if finding.code in measured or finding.code in _FROM_CURVES)
        return dataclasses.replace(found, findings=kept)

    def _case(self, *, with_curves: bool) -> Case:
        measurements = self._reader.measurements()
        moved = next((m.value for m in measurements if m.name == "tensors_moved" and not m.group), None)
        if moved:  # seen live, which refutes what a loss at its initial value suggests
            measurements = (*measurements, Measurement("tensors_unchanged", 1 - moved, "share"))
        return Case(self._log() if with_curves else None, self._facts, measurements)

    def _log(self) -> TrainingLog:
        losses = self._reader.losses
        points = losses.points()
        names = columns_map(dict.fromkeys(name for _, values in points for name in values), {})
        kept = [LogPoint(None, step, {names.get(name, name): value for name, value in values.items()}) for step, values in points]
        if losses.not_finite:
            broken = {names.get(name, name): float("nan") for name in losses.not_finite}
            kept.append(LogPoint(None, self._reader.step_number, broken))
        return TrainingLog("watched", f"{self._reader.step_number} watched steps", tuple(kept), self._facts)


def warn(finding: Finding) -> None:
    """Print a finding to stderr: what it is, the evidence, what would tell more."""
    lines = [f"unplateau: {finding.title} [{finding.code}], confidence {finding.confidence:.0%}"]
    lines += [f"  evidence: {evidence.statement}" for evidence in finding.evidence]
    if finding.causes:
        lines.append(f"  possible causes: {', '.join(finding.causes)}")
    if finding.severity == "pipeline":
        lines.append("  No hyper-parameter will help until this is fixed.")
    lines += [f"  next test: {finding.next_test}", f"  more: unplateau explain {finding.code}"]
    print("\n".join(lines), file=sys.stderr, flush=True)


def _is_first_process() -> bool:
    return not (dist.is_available() and dist.is_initialized()) or dist.get_rank() == 0
