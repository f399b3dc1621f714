"""A desk at which solutions are tried with a stand-in for the trainer, and the names of what lies on it."""

from pathlib import Path

from unplateau.base.files import read_json_lines, write_json
from unplateau.report.solutions_content import SolutionsReport
from unplateau.runs.record import RetrievalMetrics
from unplateau.workflows.solving.run_solutions import SolutionsOutcome, run_solutions
from unplateau.workflows.solving.solution_runs import CONTROL, SolutionsRequest

FAKE = Path(__file__).with_name("fake_trainer.py")
HIGHER, COSINE = "solution_1_higher_lr", "solution_2_cosine_annealing"
ALL = (CONTROL, HIGHER, COSINE)
TEST_SCORE = RetrievalMetrics("test", 0.45, 0.2, {"1": 0.6}, 10, 50, 10, 0.02)


class Desk:
    """A folder of solutions, a stand-in for the trainer, and what it was called with."""

    def __init__(self, place: Path) -> None:
        self.place, self.output = place, place / "logs"
        self.folder = place / "solutions"
        self.folder.mkdir()
        (place / "stalled.yml").write_text("SOLVER: {MAX_EPOCH: 3, STEPS: [2]}\nDATASETS: {NAMES: [Market1501]}\n")
        self.write(HIGHER, "SOLVER: {BASE_LR: 0.0007}", "# Hypothesis: too small\n#   steps.\n# Hoped for: CE 6.7 -> 5.5-6.0.\n")
        self.write(COSINE, "SOLVER: {SCHED: CosineAnnealingLR}")

    def write(self, name: str, text: str, header: str = "") -> None:
        (self.folder / f"{name}.yml").write_text(f"{header}_BASE_: ../stalled.yml\n{text}\n")

    def behave(self, **runs: str) -> None:
        write_json(self.place / "behaviour.json", runs)

    def run(self, *overrides: str, **options: object) -> SolutionsOutcome:
        return run_solutions(SolutionsRequest(self.folder, self.output, overrides, **options))  # type: ignore[arg-type]

    def report(self, *overrides: str, **options: object) -> SolutionsReport:
        chosen = self.run(*overrides, **options).chosen
        assert chosen is not None
        return chosen.report

    @property
    def calls(self) -> list[dict[str, object]]:
        return read_json_lines(self.place / "calls.jsonl")

    @property
    def text(self) -> str:
        return (self.output / "BEST_MODEL_SELECTION.txt").read_text(encoding="utf-8")

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()
