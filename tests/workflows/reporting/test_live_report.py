"""`report.html` beside a training: there after the first epoch, whole at the end, never in the way."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from unplateau.base.files import read_json
from unplateau.config.schema import Config
from unplateau.runs.layout import RunFolder
from unplateau.runs.record import EpochRecord, RetrievalMetrics
from unplateau.testing.small_market import Lab
from unplateau.workflows.reporting import live_report
from unplateau.workflows.reporting.live_report import LARGEST_SHARE, LiveReport
from unplateau.workflows.reporting.report import write_report
from unplateau.workflows.reporting.report_run import intervals_of
from unplateau.workflows.training.train import run_training

PERSONS_Q = np.repeat(np.arange(8), 3)


def _epoch(number: int) -> EpochRecord:
    metrics = RetrievalMetrics("held-out", 0.4, 0.2, {"1": 0.5}, 24, 60, 8, 0.05)
    return EpochRecord(number, 10 * number, 1e-3, 7.0, {"cross_entropy": 6.0, "triplet": 1.0}, validation=metrics)


def test_a_training_leaves_a_page_that_tells_its_end(lab: Lab) -> None:
    outcome = lab.train("whole")
    html = outcome.folder.report.read_text(encoding="utf-8")
    assert "Training completed all epochs: the best held-out mAP is" in html
    assert "Test mAP" in html
    assert "chance ln I" in html


def test_reloading_shows_the_run_live(lab: Lab) -> None:
    seen = []
    folder = lab.folder("live")
    request = lab.request("live")
    run_training(replace(request, on_epoch=lambda record: seen.append(folder.report.read_text(encoding="utf-8"))))
    assert "Training now: epoch 1 of 3; the best held-out mAP is" in seen[0]


def test_a_page_that_cannot_be_written_ends_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise OSError("the disk is full")

    monkeypatch.setattr(live_report, "page_html", fail)
    monkeypatch.setattr(live_report, "write_run_report", fail)
    outcome = lab.train("unlucky")
    assert outcome.reason.code == "completed"
    assert "report.html was not written: OSError: the disk is full" in outcome.folder.log.read_text()


def test_pages_of_very_short_epochs_are_left_out_until_they_are_cheap(tmp_path: Path) -> None:
    report = LiveReport(RunFolder(tmp_path), Config(), {})
    epochs = []
    begun = time.perf_counter()
    for number in range(1, 30):
        epochs.append(_epoch(number))
        report.epoch(epochs, np.full(24, 0.4), PERSONS_Q)
    one_page = report.spent_seconds / report.num_written
    assert report.num_written >= 1
    assert report.num_written < 29
    assert (report.num_written - 1) * one_page <= LARGEST_SHARE * (time.perf_counter() - begun) + one_page


def test_intervals_kept_while_training_are_those_read_back_from_the_folder(lab: Lab) -> None:
    outcome = lab.train("intervals")
    with np.load(outcome.folder.average_precision) as arrays:
        values_EQ, persons_Q = arrays["validation_average_precision"], arrays["validation_person_ids"]
    report = LiveReport(RunFolder(lab.place / "other"), Config(), {})
    epochs = [_epoch(number) for number in range(1, len(values_EQ) + 1)]
    for number, values_Q in enumerate(values_EQ, 1):
        report.epoch(epochs[:number], values_Q, persons_Q)
    assert report._intervals == intervals_of(outcome.folder)


def test_a_run_leaves_ranked_lists_of_its_best_model_with_images_only_on_request(lab: Lab) -> None:
    outcome = lab.train("ranked")
    lists = {one["protocol"]: one for one in read_json(outcome.folder.rank_lists)}
    assert set(lists) == {"held-out", "test"}
    for one in lists.values():
        assert {query["kind"] for query in one["queries"]} == {"best", "median", "worst"} or len(one["queries"]) < 9
        assert all(Path(image["path"]).exists() for query in one["queries"] for image in (query["query"], *query["answers"]))
    html = outcome.folder.report.read_text(encoding="utf-8")
    assert "Best: average precision" in html
    assert "<img" not in html
    with_images = write_report(outcome.folder.path, with_images=True).read_text(encoding="utf-8")
    assert "data:image/jpeg;base64," in with_images
    assert "photographs of persons" in with_images


def test_a_page_can_be_written_again_from_the_folder_alone(lab: Lab) -> None:
    outcome = lab.train("again")
    outcome.folder.report.unlink()
    assert write_report(outcome.folder.path) == outcome.folder.report
    assert "Training completed all epochs" in outcome.folder.report.read_text(encoding="utf-8")
