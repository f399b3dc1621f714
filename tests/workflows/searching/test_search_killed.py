"""A search that is stopped or killed goes on where it was: nothing is lost, and nothing is trained twice."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from .search_desk import Desk

_PROGRAM = """
import sys
sys.path.insert(0, {root!r})
from tests.workflows.searching import search_desk as desk
from unplateau.workflows.searching import search, search_trials
from unplateau.workflows.training import score
from unplateau.workflows.searching.search_request import SearchRequest, Workers
from pathlib import Path
true = search_trials.train_command
search_trials.train_command = lambda *words, **options: [sys.executable, str(desk.FAKE), *true(*words, **options)[4:]]
search._LOOK_EVERY_SECONDS = 0.1
score.run_scoring = lambda config_file, overrides: (desk.TEST_SCORE,)
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
