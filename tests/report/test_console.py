"""What is printed while a run trains, where there is no terminal."""

import io
import sys

import pytest

from unplateau.report.console import TrainingConsole
from unplateau.report.lines import epoch_line, metrics_line, use_utf8
from unplateau.runs.record import EpochRecord, RetrievalMetrics

METRICS = RetrievalMetrics("held-out", 0.4823, 0.2, {"1": 0.7, "5": 0.9}, 300, 900, 75, 0.0195, "Market1501", {"flip": "on"})
RECORD = EpochRecord(
    7, 700, 3.5e-4, 6.0, {"cross_entropy": 4.321, "triplet": 1.234}, train_seconds=41, validation_seconds=4, validation=METRICS
)


def test_an_epoch_is_one_line_with_losses_rate_score_and_best() -> None:
    line = epoch_line(RECORD, 90, 0.5)
    assert line == ("epoch  7/90  CE 4.321  triplet 1.234  lr 3.50e-04  held-out mAP 48.23%  rank-1 70.00%  best 50.00%  45 s")


def test_a_score_says_what_it_was_measured_on_and_what_chance_is() -> None:
    assert metrics_line(METRICS) == (
        "held-out Market1501: mAP 48.23%  rank-1 70.00%  rank-5 90.00%  mINP 20.00%  "
        "(300 queries of 75 identities, gallery 900, chance 1.95%, flip on)"
    )


def test_without_a_terminal_there_is_one_plain_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingConsole(max_epochs=90, steps_per_epoch=10) as console:
        console.on_steps(1, 5, {"cross_entropy": 1.0})
        console.on_epoch(RECORD, 0.5)
    said = capsys.readouterr()
    assert said.out == epoch_line(RECORD, 90, 0.5) + "\n"
    assert "\x1b" not in said.out


def test_quiet_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingConsole(max_epochs=90, steps_per_epoch=10, is_quiet=True) as console:
        console.on_epoch(RECORD, 0.5)
    assert capsys.readouterr().out == ""


def test_a_code_page_without_our_characters_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="cp437"))
    use_utf8()
    print("mAP 42.0 ± 2.0 → ok, ✓")
    sys.stdout.flush()
    assert b"mAP 42.0" in written.getvalue()
