"""A search tries the base, the solutions, then what the sampler suggests; prunes resumably; survives kills; names the winner."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from tests.workflows import fake_search_trainer
from tests.workflows.fake_search_trainer import trained_epochs
from unplateau.base.errors import UnplateauError, UsageError
from unplateau.base.files import read_json, read_json_lines, write_json
from unplateau.base.locks import FileLock
from unplateau.base.process import last_words
from unplateau.config.load import load
from unplateau.report.group_view import read_search
from unplateau.runs.record import RetrievalMetrics
from unplateau.search.executors.contract import Executor, Job, JobEnd
from unplateau.workflows.reporting import report_group
from unplateau.workflows.searching import search, search_trials
from unplateau.workflows.searching.search import SearchOutcome, run_search
from unplateau.workflows.searching.search_executor import make_executor
from unplateau.workflows.searching.search_request import SearchRequest, Workers
from unplateau.workflows.training import score

FAKE = Path(__file__).parents[1] / "fake_search_trainer.py"
PAGES: list[str] = []
"""The search's page as it was when each job was submitted."""
_TEST = RetrievalMetrics("test", 0.45, 0.2, {"1": 0.6}, 10, 50, 10, 0.02)
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


def _make_here(request: SearchRequest) -> Executor:
    return Here(request.workers.count or 1) if request.workers == Workers(count=request.workers.count) else make_executor(request)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    true_command = search_trials.train_command

    def fake_command(*words: object, **options: object) -> list[str]:
        return [sys.executable, str(FAKE), *true_command(*words, **options)[4:]]  # type: ignore[arg-type]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(search_trials, "train_command", fake_command)
    monkeypatch.setattr(search, "_LOOK_EVERY_SECONDS", 0.1)
    monkeypatch.setattr(search, "make_executor", _make_here)
    monkeypatch.setattr(score, "run_scoring", lambda config_file, overrides: (_TEST,))
    return Desk(tmp_path)


def test_the_page_shows_the_search_while_it_runs(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_group, "LARGEST_SHARE", 1e9)
    PAGES.clear()
    desk.run(max_trials=8)
    assert PAGES[0] == "" and "1 run;" in PAGES[1] and "3 runs;" in PAGES[3]
    assert all('class="alive"' in page and '<body class="search">' in page for page in PAGES[1:])
    last = (desk.output / "report.html").read_text(encoding="utf-8")
    assert "is the one to take" in last and 'class="alive"' not in last


def test_the_base_and_the_five_solutions_come_first_then_what_is_suggested_and_the_best_is_named(desk: Desk) -> None:
    outcome = desk.run()
    assert outcome.exit_code == 0
    names = [trial["name"] for trial in desk.trials]
    assert len(names) == 12
    assert names[0] == "trial_000_base" and names[1] == "trial_001_solution_1_higher_lr"
    assert [trial["origin"] for trial in desk.trials] == ["base"] + ["solution"] * 5 + ["suggested"] * 6
    finished = [trial for trial in desk.trials if trial["state"] == "finished"]
    best = max(finished, key=lambda trial: trial["best_map"])
    assert desk.record["winner"] == best["name"]
    assert desk.text().splitlines()[0] == f"WINNER: {best['name']}"
    assert desk.text().splitlines()[1].startswith("HOW SURE: ")
    assert "TEST mAP: 0.4500" in desk.text()
    assert not any(call["test"] for call in desk.calls), "trials never score the test set"
    assert desk.text("COMPARISON.txt").startswith(f"BEST TRIAL: {best['name']}")
    pruned = [trial["name"] for trial in desk.trials if trial["state"] == "paused"]
    assert pruned and f"{len(pruned)} of 12 trials were not trained to the end" in desk.text().replace("\n    ", " ")
    assert (desk.output / "report.html").exists()
    for name in names:
        assert name in desk.text("COMPARISON.txt")


def test_no_epoch_is_trained_twice_and_pruned_trials_stop_at_the_end_of_a_rung(desk: Desk) -> None:
    desk.run()
    assert max(Counter(desk.epochs).values()) == 1
    by_trial = {trial["name"]: trial["epochs"] for trial in desk.trials}
    assert set(by_trial.values()) <= {0, 1, 3, 9}
    assert by_trial == {**dict.fromkeys(by_trial, 0), **Counter(name for name, _ in desk.epochs)}
    assert by_trial["trial_000_base"] == 9 and by_trial[desk.record["winner"]] == 9
    assert sum(by_trial.values()) < 9 * len(by_trial) / 2


def test_the_number_of_trials_holds_for_base_and_solutions_too(desk: Desk) -> None:
    desk.run(max_trials=3)
    assert [trial["origin"] for trial in desk.trials] == ["base", "solution", "solution"]
    desk.run(max_trials=7)
    assert Counter(trial["origin"] for trial in desk.trials) == {"base": 1, "solution": 5, "suggested": 1}


def test_without_pruning_every_trial_is_trained_to_the_end(desk: Desk) -> None:
    desk.run(max_trials=7, is_pruned=False)
    assert {trial["epochs"] for trial in desk.trials} == {9}


def test_the_winner_is_written_as_a_change_of_the_base_that_the_train_command_takes(desk: Desk) -> None:
    desk.run("SOLVER.IMS_PER_BATCH", "64")
    winner = next(trial for trial in desk.trials if trial["name"] == desk.record["winner"])
    config = load(desk.output / "winner.yml").config
    assert config.SOLVER.IMS_PER_BATCH == 64
    assert config.SOLVER.MAX_EPOCH == 9 and config.SOLVER.STOP_EPOCH == 0 and config.VALIDATION.SCORE_TEST
    assert winner["changes"] and "_BASE_: ../../base.yml" in desk.text("winner.yml")
    trained = load(desk.output / winner["name"] / "config.yml").config
    assert config.SOLVER.BASE_LR == trained.SOLVER.BASE_LR and config.SOLVER.SCHED == trained.SOLVER.SCHED


def test_a_finished_search_is_not_run_again_and_a_larger_budget_goes_on(desk: Desk) -> None:
    desk.run(max_trials=8)
    first = desk.epochs
    desk.run(max_trials=8)
    assert desk.epochs == first
    desk.run(max_trials=11)
    assert len(desk.trials) == 11
    assert max(Counter(desk.epochs).values()) == 1


def test_epochs_stay_within_the_budget(desk: Desk) -> None:
    desk.run(max_trials=None, budget_epochs=40)
    assert len(desk.epochs) <= 40
    assert len(desk.trials) > 8


def test_time_that_is_used_up_ends_the_search_with_a_selection(desk: Desk) -> None:
    desk.behave(seconds=0.2)
    outcome = desk.run(max_trials=None, hours=3 / 3600)
    assert outcome.chosen is not None
    assert desk.record["spent"]["seconds"] < 60
    assert desk.text().startswith("WINNER: trial_")


def test_failed_trials_cost_one_trial_each_and_are_told(desk: Desk) -> None:
    (desk.place / "space.yml").write_text("SOLVER.IMS_PER_BATCH: [32, 64, 128]\nSOLVER.BASE_LR: [0.0005, 0.1]\n")
    desk.run(max_trials=10)
    ended = {trial["changes"].get("SOLVER.IMS_PER_BATCH", [0, 32])[1]: trial["ended"] for trial in desk.trials}
    assert ended[128] == "Out of memory"
    diverged = [trial for trial in desk.trials if trial["changes"].get("SOLVER.BASE_LR", [0, 0])[1] == 0.1 and trial["ended"]]
    assert any("became nan" in trial["ended"] for trial in diverged)
    assert desk.record["winner"] is not None


def test_a_space_that_is_used_up_ends_the_search(desk: Desk) -> None:
    (desk.place / "space.yml").write_text("SOLVER.BASE_LR: [0.0005, 0.001, 0.002]\n")
    desk.run(max_trials=50)
    in_space = [trial for trial in desk.trials if trial["point"]]
    assert len({trial["point"]["SOLVER.BASE_LR"] for trial in in_space}) == len(in_space) == 3


def test_equal_configurations_are_not_trained_twice(desk: Desk) -> None:
    desk.run(max_trials=14)
    changes = [tuple(sorted((key, str(value)) for key, value in trial["changes"].items())) for trial in desk.trials]
    assert len(set(changes)) == len(changes)


def test_a_trial_whose_process_is_killed_goes_on_from_its_last_epoch(desk: Desk) -> None:
    desk.behave(kill={"trial_000_base": 5})
    desk.run(max_trials=7)
    base = next(trial for trial in desk.trials if trial["origin"] == "base")
    assert base["epochs"] == 9 and base["state"] == "finished"
    assert max(Counter(desk.epochs).values()) == 1


def test_a_trial_that_dies_again_and_again_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.behave(refuse=["trial_001_solution_1_higher_lr"])
    desk.run(max_trials=7)
    trial = desk.trials[1]
    assert trial["state"] == "failed"
    assert trial["ended"] == "its process failed 3 times in a row; it said: error: the data set is not there"
    assert sum(call["name"] == trial["name"] for call in desk.calls) == 3


def test_a_base_that_cannot_be_trained_ends_the_search_with_the_reason(desk: Desk) -> None:
    desk.behave(refuse=["trial_000_base"])
    with pytest.raises(UnplateauError, match="could not be trained.*the data set is not there"):
        desk.run()


def test_a_base_that_failed_is_tried_again_once_what_was_wrong_is_mended(desk: Desk) -> None:
    desk.behave(refuse=["trial_000_base"])
    with pytest.raises(UnplateauError, match="could not be trained"):
        desk.run(max_trials=7)
    desk.behave(refuse=[])
    desk.run(max_trials=7)
    assert (desk.trials[0]["state"], desk.trials[0]["epochs"]) == ("finished", 9)


def test_the_command_that_goes_on_asks_for_the_same_and_leaves_the_test_set_alone_where_that_was_asked() -> None:
    places = Workers("slurm", 4, options=(("gpus_per_node", "1"),))
    request = SearchRequest(
        Path("my base.yml"), Path("out"), ("SOLVER.STEPS", "[2, 3]"), sampler="gp", keep=2, first_rung=4, is_pruned=False,
        workers=places, score_test=False, hours=0.5,
    )  # fmt: skip
    assert request.command == (
        'python find_best_model.py --base-config "my base.yml" --output-dir out --sampler gp --hours 0.5 --keep 2 --first-rung 4 '
        '--no-pruning --no-test --slurm gpus_per_node=1 --executor slurm --workers 4 SOLVER.STEPS "[2, 3]"'
    )


@pytest.mark.parametrize("sampler", ["random", "gp", "cmaes"])
def test_other_samplers_search_too(desk: Desk, sampler: str) -> None:
    desk.run(sampler=sampler, max_trials=9)
    assert len(desk.trials) == 9 and desk.record["sampler"] == sampler


@pytest.mark.slow
def test_real_processes_train_each_epoch_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "make_executor", make_executor)
    desk.behave(seconds=0.02)
    desk.run(workers=Workers(count=2), max_trials=7)
    assert max(Counter(desk.epochs).values()) == 1
    assert len(desk.trials) == 7


def test_several_workers_train_each_epoch_once(desk: Desk) -> None:
    desk.run(workers=Workers(count=3))
    assert max(Counter(desk.epochs).values()) == 1
    assert len(desk.trials) == 12


def test_importances_are_told_once_enough_trials_were_compared(desk: Desk) -> None:
    desk.run(max_trials=20)
    shares = desk.record["importances"]["shares"]
    assert list(read_search(desk.record, "search.json").importances) == [one["name"] for one in shares]
    assert shares[0]["name"] == "SOLVER.BASE_LR"
    assert shares[0]["low"] <= shares[0]["share"] <= shares[0]["high"]
    assert "WHAT DECIDES:\n  SOLVER.BASE_LR" in desk.text("COMPARISON.txt")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"space": Path("missing.yml")}, "missing.yml"),
        ({"sampler": "grid"}, "expected one of tpe"),
        ({"keep": 1}, "expected 2 or more"),
        ({"workers": Workers("cloud")}, "expected one of local, ray, slurm"),
        ({"storage": "nonsense://x"}, "--storage nonsense://x cannot be opened"),
        ({"storage": "nonsense://lab:secret@x/y"}, "--storage nonsense://lab:PASSWORD@x/y cannot be opened"),
    ],
)
def test_what_cannot_be_carried_out_is_said(desk: Desk, options: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        desk.run(**options)
    assert not desk.calls


def test_another_base_or_space_in_the_same_folder_is_refused(desk: Desk) -> None:
    desk.run(max_trials=1)
    with pytest.raises(UsageError, match="another base"):
        desk.run("SOLVER.BASE_LR", "0.001", max_trials=1)
    with pytest.raises(UsageError, match="another space"):
        desk.run(max_trials=1, space=None)


def test_keys_that_the_search_sets_are_refused(desk: Desk) -> None:
    with pytest.raises(UsageError, match="OUTPUT_DIR is set by the search"):
        desk.run("OUTPUT_DIR", "x")
    with pytest.raises(UsageError, match="nothing could be compared"):
        desk.run("VALIDATION.HELD_OUT", "0")


def test_two_searches_in_one_folder_are_refused(desk: Desk) -> None:
    lock = FileLock(desk.output / "launcher" / ".lock")
    assert lock.acquire()
    with pytest.raises(UsageError, match="Another search is at work"):
        desk.run()
    lock.release()


_PROGRAM = """
import sys
sys.path.insert(0, {root!r})
from tests.workflows.searching import test_search as desk
from unplateau.workflows.searching import search, search_trials
from unplateau.workflows.training import score
from unplateau.workflows.searching.search_request import SearchRequest, Workers
from pathlib import Path
true = search_trials.train_command
search_trials.train_command = lambda *words, **options: [sys.executable, str(desk.FAKE), *true(*words, **options)[4:]]
search._LOOK_EVERY_SECONDS = 0.1
score.run_scoring = lambda config_file, overrides: (desk._TEST,)
request = SearchRequest(Path("base.yml"), Path("logs/search"), max_trials=10, space=Path("space.yml"), workers=Workers(count=2))
raise SystemExit(search.run_search(request).exit_code)
"""


def _start(desk: Desk) -> subprocess.Popen:
    program = _PROGRAM.format(root=str(Path(__file__).resolve().parents[3]))
    return subprocess.Popen([sys.executable, "-c", program], cwd=desk.place, stdout=subprocess.PIPE, text=True)


def _wait_for(desk: Desk, epochs: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 60
    while len(desk.epochs) < epochs and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.mark.slow
def test_ctrl_c_ends_cleanly_and_the_same_command_goes_on(desk: Desk) -> None:
    desk.behave(seconds=0.1)
    process = _start(desk)
    _wait_for(desk, 4, process)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Go on with:  python find_best_model.py --base-config base.yml" in said
    assert not (desk.output / "BEST_MODEL_SELECTION.txt").exists()
    assert desk.run(max_trials=10).exit_code == 0
    assert max(Counter(desk.epochs).values()) == 1


@pytest.mark.slow
def test_a_search_that_is_killed_again_and_again_loses_no_trial_and_counts_none_twice(desk: Desk) -> None:
    desk.behave(seconds=0.05)
    for kill in range(4):
        process = _start(desk)
        _wait_for(desk, len(desk.epochs) + 3, process)
        if kill % 2:  # the coordinator alone: its trainings go on, and are waited for
            os.kill(process.pid, signal.SIGKILL)
        else:
            for call in desk.calls:
                _kill(call["pid"])
            process.kill()
        process.communicate()
    assert desk.run(max_trials=10).exit_code == 0
    assert len(desk.trials) == 10
    assert [trial["number"] for trial in desk.trials] == list(range(10))
    assert len({str(trial["changes"]) for trial in desk.trials}) == 10
    repeated = [count for count in Counter(desk.epochs).values() if count > 1]
    assert sum(repeated) - len(repeated) <= 4  # an epoch may be cut off by each kill after it was counted, before it was kept


def _kill(pid: int) -> None:
    try:
        if b"fake_search_trainer" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
    except (OSError, ProcessLookupError):
        return
