"""All that a run's page is made from, gathered: what the run recorded, and what was worked out from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from unplateau.config.delta import flatten
from unplateau.config.schema import Config
from unplateau.diagnosis.case import Case
from unplateau.report.content import Live
from unplateau.runs.foreign_logs.ours import facts_of
from unplateau.runs.layout import RunFolder
from unplateau.runs.reader import RunRecord
from unplateau.runs.record import EpochRecord, Finding, RankList, RetrievalMetrics, StopReason, from_plain
from unplateau.selection.statistics import Estimate


@dataclass(frozen=True)
class RunView:
    """One run as its page sees it."""

    record: RunRecord
    config: Config | None = None
    """None where `config.yml` is missing or cannot be read."""
    is_running: bool = False
    findings: tuple[Finding, ...] = ()
    about_hyper_parameters: str = ""
    """What the diagnosis says that hyper-parameters can do."""
    intervals: Mapping[int, Estimate] = field(default_factory=dict)
    """By epoch, the validation mAP with its 95 % interval over identities."""
    rank_lists: tuple[RankList, ...] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    """By path, an image as a `data:` address; empty where images were not asked for."""
    problems: tuple[str, ...] = ()
    """What could not be read."""
    written: str = ""
    """When the page was written, in words."""
    up: str = ""
    """Address of the page above."""
    last_sign: str = ""
    """When the run's records were last written, in words; for a run that was broken off."""
    live: Live | None = None
    """None where nobody writes the page again."""

    @property
    def folder(self) -> RunFolder:
        return self.record.folder

    @property
    def epochs(self) -> tuple[EpochRecord, ...]:
        return self.record.epochs

    @property
    def stop(self) -> StopReason | None:
        return self.record.stop

    @property
    def info(self) -> dict[str, Any]:
        return self.record.info

    @property
    def case(self) -> Case:
        """The run's facts as the diagnosis sees them; they give the landmarks."""
        return Case(facts=facts_of(self.record, flatten(self.config) if self.config is not None else {}))

    @property
    def tests(self) -> tuple[RetrievalMetrics, ...]:
        """The scores on query/gallery, where there are any; one that is NaN, written as null, is none."""
        tests = self.info.get("test", [])
        known = tests if isinstance(tests, list) else []
        whole = [plain for plain in known if isinstance(plain, dict) and None not in (*plain.values(), *_rates(plain))]
        return tuple(from_plain(RetrievalMetrics, plain) for plain in whole)

    @property
    def times_scored(self) -> int:
        """How often the test set was scored: more than once where the run went on after it was seen."""
        times = self.info.get("times_test_was_scored", 1)
        return times if isinstance(times, int) else 1

    @property
    def protocol(self) -> str:
        """What the validation looks at: "held-out", "test", or nothing."""
        return next((epoch.validation.protocol for epoch in self.epochs if epoch.validation is not None), "")

    @property
    def max_epochs(self) -> int:
        """Epochs planned; 0 where that is not known."""
        if self.config is not None:
            return self.config.SOLVER.MAX_EPOCH
        return self.stop.max_epochs if self.stop is not None else 0


def _rates(plain: dict[str, Any]) -> tuple[Any, ...]:
    cmc = plain.get("cmc")
    return tuple(cmc.values()) if isinstance(cmc, dict) else ()
