"""The newcomer's path is timed up to what is waited for, on a stand-in for a clone."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.newcomer.measure import FIRST_RUN, Step, Terminal, first_run, foreign_log, text_of

TRAINS = f"""
import os, pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a process that is started where it is ignored ignores it too
run = pathlib.Path({str(FIRST_RUN)!r})
run.mkdir(parents=True)
time.sleep(0.3)
(run / "words.txt").write_text(" ".join([os.environ["REID_DATA"], *sys.argv[1:]]))
try:  # it is stopped as soon as its metrics are there
    (run / "metrics.jsonl").write_text("{{}}")
    time.sleep(60)
except KeyboardInterrupt:
    (run / "stopped.txt").write_text(os.environ.get("PYTHONPATH", "none"))
"""


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    clone = tmp_path / "clone"
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (clone / "train_research_grade.py").write_text(TRAINS)
    (clone / "solve_plateau.py").write_text("import sys; sys.exit('--log-file' not in sys.argv)")
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    return Terminal(clone, tmp_path / "data", tmp_path / "clone.log")


@pytest.mark.skipif(sys.platform == "win32", reason="a symbolic link")
def test_a_first_run_is_timed_up_to_its_first_epoch_and_then_stopped(terminal: Terminal, tmp_path: Path) -> None:
    step = first_run(terminal, tmp_path / "places" / "weights.pth")
    run = terminal.clone / FIRST_RUN
    assert 0.3 <= step.seconds < 30 and (run / "stopped.txt").read_text() == "none"
    words = (run / "words.txt").read_text()
    assert words.startswith(f"{tmp_path / 'data'} --config-file custom_configs/") and "places" in words
    assert "weights.pth" in step.typed and "places" not in step.typed


@pytest.mark.skipif(sys.platform == "win32", reason="a symbolic link")
def test_a_step_that_fails_is_no_time(terminal: Terminal) -> None:
    assert foreign_log(terminal).seconds < 30
    (terminal.clone / "solve_plateau.py").write_text("raise SystemExit(3)")
    with pytest.raises(RuntimeError, match="ended with 3 and did not reach: the answer"):
        foreign_log(terminal)
    (terminal.clone / "train_research_grade.py").write_text("")
    with pytest.raises(RuntimeError, match="did not reach: first epoch"):
        first_run(terminal, None)


def test_the_page_has_a_row_for_each_step() -> None:
    text = text_of([Step("make demo", "its report is there", 141.0), Step("b", "c", 2.0, "d")], 0.5)
    assert "| `make demo` | its report is there | 2 min 21 s |  |" in text and "| `b` | c | 2.0 s | d |" in text
