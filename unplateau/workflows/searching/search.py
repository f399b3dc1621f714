"""`find_best_model.py --base-config`: searches hyper-parameters. Trains trials, a rung at a time, until the budget is used up.

What is next is decided in `search.halving`, where it runs in `search.executors`; this coordinator alone writes to the study. It
keeps nothing in memory that run folders and study do not hold, so it may be killed at any time and started again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from unplateau.base.errors import UnplateauError, UsageError
from unplateau.base.locks import FileLock
from unplateau.engine.requests import StopRequests
from unplateau.report.group_ahead import TRAINING, Ahead, Awaited
from unplateau.report.group_view import SearchView
from unplateau.report.search_console import SearchConsole
from unplateau.report.words import shown
from unplateau.runs.reader import read_stop
from unplateau.search.executors.contract import Executor, JobEnd
from unplateau.search.halving import Budget, Step, next_step
from unplateau.search.trial import BASE, FAILED, RUNNING, WAITING, Standing, Trial
from unplateau.workflows.reporting.report_group import LiveGroupReport
from unplateau.workflows.searching.search_executor import make_executor
from unplateau.workflows.searching.search_request import SearchRequest
from unplateau.workflows.searching.search_results import conclude
from unplateau.workflows.searching.search_setup import LAUNCHER, Search, prepare, renew_files
from unplateau.workflows.searching.search_trials import job_of, new_trial, standing_of
from unplateau.workflows.solving.choose_solution import Chosen
from unplateau.workflows.training.tidy import tidy_launcher

INTERRUPTED = 130
_LOOK_EVERY_SECONDS = 1.0
_SECONDS = "seconds"


@dataclass(frozen=True)
class SearchOutcome:
    """What came of it."""

    chosen: Chosen | None
    """None where it was interrupted."""
    exit_code: int


def run_search(request: SearchRequest) -> SearchOutcome:
    """Search, or go on with a search, then choose.

    Raises:
        UsageError, ConfigError: nothing was begun.
        UnplateauError: the base cannot be trained, so nothing can be compared.
    """
    lock = FileLock(request.output_dir / LAUNCHER / ".lock")
    if not lock.acquire():
        raise UsageError(f"Another search is at work in {request.output_dir}. Wait for it, or use another --output-dir.")
    try:
        tidy_launcher(request.output_dir, request.output_dir / LAUNCHER)
        search = prepare(request)
        executor = make_executor(request)
        try:
            return _run(search, executor)
        finally:
            executor.close()
    finally:
        lock.release()


def _run(search: Search, executor: Executor) -> SearchOutcome:
    console = SearchConsole(search.rungs.last, is_quiet=search.request.is_quiet)
    with StopRequests() as requests:
        coordinator = Coordinator(search, executor, console, requests)
        why = coordinator.run()
    if why == "interrupted":
        coordinator.page.close()
        console.say(f"Stopped; everything finished so far is kept. Go on with:  {search.request.command}")
        return SearchOutcome(None, INTERRUPTED)
    console.say(why)
    chosen = conclude(search, coordinator.standings, coordinator.seconds, console.say)
    return SearchOutcome(chosen, 0 if chosen.report.selection.winner else 1)


def _to_begin_with(search: Search, trial: Trial) -> Standing:
    """How far a trial has come; a base that failed is tried again, for what was wrong may be mended, and nothing goes without."""
    standing = standing_of(search, trial)
    if trial.origin != BASE or standing.state != FAILED:
        return standing
    return replace(standing, trial=search.store.forget_attempts(trial), state=WAITING, ended="")


class Coordinator:
    """Hands out trials until there is nothing left to do."""

    def __init__(
        self,
        search: Search,
        executor: Executor,
        console: SearchConsole,
        requests: StopRequests,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._search, self._executor, self._console, self._requests, self._clock = search, executor, console, requests, clock
        renew_files(search)
        self._standings = {trial.number: _to_begin_with(search, trial) for trial in search.store.trials()}
        self._submitted: dict[str, int] = {}
        """Trials of this coordinator's own jobs; running ones beside them were begun by one that was killed."""
        self._until: dict[int, int] = {}
        """By trial, where the part of it ends that was begun last."""
        self._earlier_seconds = float(search.store.facts().get(_SECONDS, 0.0))
        self._began = clock()
        self.page = LiveGroupReport(search.request.output_dir, self._known_so_far, self._ahead)
        self._is_exhausted = False

    @property
    def standings(self) -> list[Standing]:
        """How far all trials have come."""
        return [self._standings[number] for number in sorted(self._standings)]

    @property
    def seconds(self) -> float:
        """Return the time that the search has taken, over all its calls."""
        return self._earlier_seconds + self._clock() - self._began

    def run(self) -> str:
        """Work until everything is done, the time is used up, or a stop is asked for; return why it ended."""
        is_asked = False
        while True:
            why_stop = self._why_stop()
            if why_stop and not is_asked:
                is_asked = True
                self._executor.ask_to_stop()
            if not why_stop:
                self._fill()
            self.page.look()  # here, so that it shows what was just begun
            if not self._busy and (why_stop or not self._fill()):
                return why_stop or "Nothing is left to try: the budget, or the space, is used up."
            for end in self._executor.ended(_LOOK_EVERY_SECONDS):
                self._settle(end)
            self._look()

    @property
    def _busy(self) -> list[Standing]:
        return [one for one in self.standings if one.state == RUNNING]

    def _why_stop(self) -> str:
        if self._requests.pending() is not None:
            return "interrupted"
        hours = self._search.request.hours
        return f"The {hours:g} hours are used up." if hours is not None and self.seconds >= 3600 * hours else ""

    def _fill(self) -> bool:
        """Begin what there is room for; return whether something runs then."""
        while len(self._busy) < self._executor.num_slots and (step := self._next()) is not None:
            self._begin(step)
        return bool(self._busy)

    def _next(self) -> Step | None:
        request = self._search.request
        budget = Budget(request.trials_limit, request.budget_epochs)
        step = next_step(self.standings, self._search.rungs, budget, can_suggest=not self._is_exhausted)
        if step is None or step.number is not None:
            return step
        trial = new_trial(self._search, self.standings)
        if trial is None:
            self._is_exhausted = True
            return self._next()
        self._standings[trial.number] = standing_of(self._search, trial)
        return Step(trial.number, step.until)

    def _begin(self, step: Step) -> None:
        assert step.number is not None  # a new trial has got its number
        standing = self._standings[step.number]
        self._executor.submit(job_of(self._search, standing.trial, step))
        self._submitted[standing.trial.name] = step.number
        self._until[step.number] = step.until
        self._standings[step.number] = replace(standing, state=RUNNING)
        self._console.began(standing, step.until)

    def _settle(self, end: JobEnd) -> None:
        """Read what became of a trial whose process has ended."""
        number = self._submitted.pop(end.name)
        before = self._standings[number]
        trial = before.trial
        self._stop_if_disk_is_full(trial)
        after = standing_of(self._search, trial)
        if after.state == WAITING and after.epochs == before.epochs and not self._why_stop():
            after = standing_of(self._search, self._search.store.count_attempt(trial))
        elif after.epochs > before.epochs and trial.attempts:
            after = replace(after, trial=self._search.store.forget_attempts(trial))
        self._take(after, end)

    def _stop_if_disk_is_full(self, trial: Trial) -> None:
        """All other trials would end the same way. Raises UnplateauError."""
        folder = self._search.folder_of(trial)
        stop = read_stop(folder)
        if stop is not None and stop.code == "disk-full":
            self._executor.ask_to_stop()
            raise UnplateauError(
                f"The disk is full, so the search stops: {' '.join(stop.evidence[:1])} Everything finished so far is kept. "
                f"Make room, then go on: {self._search.request.command}"
            )

    def _look(self) -> None:
        """See whether trials of a coordinator that was killed have ended meanwhile, and keep the time."""
        for standing in self._busy:
            if standing.trial.name not in self._submitted:
                now = standing_of(self._search, standing.trial)
                if now.state != RUNNING:
                    self._take(now, None)
        self._search.store.note(_SECONDS, round(self.seconds, 1))

    def _known_so_far(self) -> SearchView:
        return SearchView(
            changes={one.trial.name: {key: shown(value) for key, value in one.trial.changes.items()} for one in self.standings},
            states={one.trial.name: one.state for one in self.standings},
        )

    def _ahead(self) -> Ahead:
        """What trains now; what comes after that, the trials themselves decide."""
        runs = tuple(Awaited(one.trial.name, TRAINING, self._until.get(one.number, 0)) for one in self._busy)
        most = self._search.request.trials_limit
        begun = sum(one.epochs > 0 or one.state == RUNNING for one in self.standings)
        limit = f" of at most {most}" if most is not None else ""
        return Ahead(runs, None, f"{begun} trials begun{limit}")

    def _take(self, standing: Standing, end: JobEnd | None) -> None:
        self._standings[standing.number] = standing
        self._console.ended(standing, self.standings, end.words if end is not None else "")
        if standing.trial.origin == BASE and standing.state == FAILED:  # not shown in the study: what ended there stays ended
            self._executor.ask_to_stop()
            words = standing.ended or (end.words if end is not None else "")
            raise UnplateauError(
                f"The base configuration could not be trained, so there is nothing to search from: {words} "
                f"See {self._search.output_of(standing.trial)}, and train it alone first: python train_research_grade.py "
                f"--config-file {self._search.request.base_config} --run-name base"
            )
        self._search.store.show(standing)
