"""A search on a stand-in for the trainer: base, space, an executor in this process, and what the trainer was called with."""

from contextlib import redirect_stdout
from pathlib import Path

from tests.workflows import fake_search_trainer
from tests.workflows.fake_search_trainer import trained_epochs
from unplateau.base.files import read_json, read_json_lines, write_json
from unplateau.base.process import last_words
from unplateau.runs.record import RetrievalMetrics
from unplateau.search.executors.contract import Executor, Job, JobEnd
from unplateau.workflows.searching.search import SearchOutcome, run_search
from unplateau.workflows.searching.search_executor import make_executor
from unplateau.workflows.searching.search_request import SearchRequest, Workers

FAKE = Path(__file__).parents[1] / "fake_search_trainer.py"

PAGES: list[str] = []
"""The search's page as it was when each job was submitted."""
TEST_SCORE = RetrievalMetrics("test", 0.45, 0.2, {"1": 0.6}, 10, 50, 10, 0.02)
BASE = """\
MODEL: {LOSSES: {NAME: [CrossEntropyLoss, TripletLoss]}}
DATALOADER: {SAMPLER_TRAIN: NaiveIdentitySampler, NUM_INSTANCE: 4}
SOLVER: {MAX_EPOCH: 9, STEPS: [4, 7], BASE_LR: 0.0005, IMS_PER_BATCH: 32, WARMUP_ITERS: 10}
DATASETS: {NAMES: [Market1501]}
"""
SPACE = """\
SOLVER.BASE_LR: {low: 1e-4, high: 1e-2, log: true}
SOLVER.SCHED: [MultiStepLR, CosineAnnealingLR]
"""


class Desk:
    """A base configuration, a stand-in for the trainer, and what it was called with."""

    def __init__(self, place: Path) -> None:
        self.place, self.output = place, place / "logs" / "search"
        (place / "base.yml").write_text(BASE)
        (place / "space.yml").write_text(SPACE)

    def run(self, *overrides: str, **options: object) -> SearchOutcome:
        settings = {"max_trials": 12, "space": Path("space.yml"), "is_quiet": True, **options}
        return run_search(SearchRequest(Path("base.yml"), Path("logs/search"), overrides, **settings))  # type: ignore[arg-type]

    def behave(self, **behaviour: object) -> None:
        write_json(self.place / "behaviour.json", behaviour)

    @property
    def record(self) -> dict:
        return read_json(self.output / "search.json")

    @property
    def trials(self) -> list[dict]:
        return self.record["trials"]

    @property
    def calls(self) -> list[dict]:
        return read_json_lines(self.place / "calls.jsonl")

    @property
    def epochs(self) -> list[tuple[str, int]]:
        return trained_epochs(self.place)

    def text(self, name: str = "BEST_MODEL_SELECTION.txt") -> str:
        return (self.output / name).read_text(encoding="utf-8")


class Killed(BaseException):
    """Stands in for SIGKILL."""


class Here(Executor):
    """Runs the stand-in in this process, as soon as a job is submitted; its end is told later."""

    def __init__(self, num_slots: int) -> None:
        self._num_slots, self._ends = num_slots, list[JobEnd]()

    @property
    def num_slots(self) -> int:
        return self._num_slots

    def submit(self, job: Job) -> None:
        page = job.output.parent.parent / "report.html"
        PAGES.append(page.read_text(encoding="utf-8") if page.exists() else "")
        assert len(self._ends) < self._num_slots, "no more jobs than slots"
        job.output.parent.mkdir(parents=True, exist_ok=True)
        with job.output.open("w") as stream, redirect_stdout(stream):
            try:
                code = fake_search_trainer.run(job.command[2:], self._die)
            except Killed:
                code = -9
        self._ends.append(JobEnd(job.name, code, last_words(job.output)))

    def ended(self, wait_seconds: float) -> list[JobEnd]:
        return [self._ends.pop(0)] if self._ends else []

    def ask_to_stop(self) -> None: ...

    def close(self) -> None: ...

    def _die(self) -> None:
        raise Killed


def make_here(request: SearchRequest) -> Executor:
    return Here(request.workers.count or 1) if request.workers == Workers(count=request.workers.count) else make_executor(request)
