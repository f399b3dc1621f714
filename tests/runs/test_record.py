"""Records survive the way to JSON and back, older and newer ones included."""

import json

import pytest

from unplateau.base.errors import RecordError
from unplateau.runs.record import EpochRecord, Evidence, Finding, RetrievalMetrics, StopReason, from_plain, to_plain

CMC = {"1": 0.6, "5": 0.8, "10": 0.9}
METRICS = RetrievalMetrics("held-out", 0.5, 0.1, CMC, 40, 200, 20, 0.02, "market1501", {"metric": "cosine"})
RECORDS = [
    EpochRecord(3, 300, 3.5e-4, 4.2, {"cross_entropy": 3.9}, accuracy=0.2, validation=METRICS, is_best=True),
    EpochRecord(4, 400, 3.5e-4, 4.0, {}),
    StopReason("no-improvement", "No improvement for 10 epochs", ("flat",), ("deploy",), 45, 90, 35, 0.48, "held-out"),
    Finding("weights-not-updated", "t", "pipeline", 0.9, (Evidence("CE 6.72", 6.72, 6.724, "log"),), causes=("stale-optimizer",)),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_is_the_same_after_json(record: object) -> None:
    assert from_plain(type(record), json.loads(json.dumps(to_plain(record)))) == record


def test_keys_of_a_newer_version_are_left_out() -> None:
    plain = to_plain(RECORDS[1]) | {"schema": 1, "something_new": [1]}
    assert from_plain(EpochRecord, plain) == RECORDS[1]


def test_a_missing_field_without_default_is_an_error() -> None:
    with pytest.raises(RecordError, match="total_loss"):
        from_plain(EpochRecord, {"epoch": 1, "steps": 2, "learning_rate": 0.1, "losses": {}})
