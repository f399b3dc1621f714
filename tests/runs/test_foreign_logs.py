"""Logs of other trainers, written here as those trainers write them."""

import json
import os
import struct
from pathlib import Path

import pytest

from unplateau.base.errors import DataNotFoundError, RecordError
from unplateau.base.files import append_json_line
from unplateau.runs.foreign_logs.read import read_log
from unplateau.runs.record import EpochRecord, RetrievalMetrics, to_plain

FAST_REID_LOG = """\
[11/23 08:01:57] fastreid.data.datasets.bases INFO: => Loaded Market1501 in csv format:
| subset   | # ids   | # images   | # cameras   |
| train    | 751     | 12936      | 6           |
[11/23 08:01:57] fastreid.engine.defaults INFO: Auto-scaling the num_classes=751
  (heads): EmbeddingHead(
    (bottleneck): Sequential(
      (0): BatchNorm(2048, eps=1e-05, momentum=0.1)
    )
    (cls_layer): Linear(num_classes=751, scale=1, margin=0.0)
{events}"""
EVENT = (
    "[11/23 08:02:18] fastreid.utils.events INFO:  eta: 0:02:46  epoch/iter: {epoch}/{iteration}  total_loss: {total}  "
    "loss_cls: {ce}  loss_triplet: 2.8  time: 0.0824  data_time: 0.0060  lr: 3.50e-04  \n"
)
TABLE = """\
[11/23 08:02:18] fastreid.evaluation.testing INFO: Evaluation results in csv format:
| Dataset    | Rank-1   | mAP   | mINP   | metric   |
|:-----------|:---------|:------|:-------|:---------|
| Market1501 | 2.77     | 2.08  | 0.80   | 2.42     |
"""


def _fast_reid_text(tmp_path: Path, *, doubled: bool = True) -> Path:
    events = ""
    for epoch in range(3):
        line = EVENT.format(epoch=epoch, iteration=808 * (epoch + 1) - 1, total=9.52, ce=6.72 + epoch / 100)
        events += TABLE * 2 + line * (2 if doubled else 1)
    path = tmp_path / "log.txt"
    path.write_text(FAST_REID_LOG.format(events=events))
    return path


def test_doubled_lines_of_fast_reid_count_once(tmp_path):
    log = read_log(_fast_reid_text(tmp_path))
    assert log.trainer == "fast-reid"
    assert log.per_epoch("cross_entropy") == ((1, 2, 3), pytest.approx((6.72, 6.73, 6.74)))
    assert log.per_epoch("mAP")[1] == pytest.approx((0.0208,) * 3)


def test_the_head_of_fast_reid_is_read_off_the_printed_model(tmp_path):
    facts = read_log(_fast_reid_text(tmp_path)).facts
    assert (facts.num_identities, facts.feature_dim, facts.initial_std, facts.iterations_per_epoch) == (751, 2048, 0.01, 808)


def test_a_metrics_file_takes_its_epochs_and_facts_from_the_files_beside_it(tmp_path):
    _fast_reid_text(tmp_path)
    (tmp_path / "config.yaml").write_text(
        "SOLVER:\n  BASE_LR: 0.00035\n  IMS_PER_BATCH: 16\n  MAX_EPOCH: 90\n  STEPS: [40, 70]\n  WARMUP_ITERS: 1616\n"
        "  AMP:\n    ENABLED: false\nMODEL:\n  LOSSES:\n    NAME: [CrossEntropyLoss, TripletLoss]\n    TRI: {MARGIN: 0.3}\n"
    )
    path = tmp_path / "metrics.json"
    lines = [{"iteration": 199, "loss_cls": 6.7, "total_loss": 9.5, "lr": 0.00035}, {"iteration": 807, "mAP": 2.0, "Rank-1": 5.0}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"iteration": 99')
    log = read_log(path)
    assert [point.epoch for point in log.points] == [1, 1]
    assert log.points[1].values["mAP"] == pytest.approx(0.02)
    assert (log.facts.margin, log.facts.batch_size, log.facts.mixed_precision) == (0.3, 16, False)
    assert log.facts.milestones == (42.0, 72.0)  # STEPS count from the end of warm-up there
    assert any("no whole JSON" in note for note in log.notes)


STRONG_BASELINE = """\
2023-01-01 10:00:00,000 transreid INFO: Running with config:
MODEL:
  METRIC_LOSS_TYPE: triplet
  NAME: transformer
  NO_MARGIN: True
  TRANSFORMER_TYPE: vit_base_patch16_224_TransReID
SOLVER:
  BASE_LR: 0.008
  IMS_PER_BATCH: 64
  MAX_EPOCHS: 120
=> Market1501 loaded
Dataset statistics:
  ----------------------------------------
  subset   | # ids | # images | # cameras
  ----------------------------------------
  train    |   751 |    12936 |         6
  query    |   750 |     3368 |         6
2023-01-01 10:00:10,000 transreid.train INFO: Epoch[1] Iteration[50/200] Loss: 7.712, Acc: 0.002, Base Lr: 3.82e-04
2023-01-01 10:00:20,000 transreid.train INFO: Epoch[1] Iteration[100/200] Loss: 7.500, Acc: 0.004, Base Lr: 3.82e-04
2023-01-01 10:00:30,000 transreid.train INFO: Epoch 1 done. Time per batch: 0.213[s] Speed: 300.1[samples/s]
2023-01-01 10:00:40,000 transreid.train INFO: Validation Results - Epoch: 1
2023-01-01 10:00:40,000 transreid.train INFO: mAP: 23.4%
2023-01-01 10:00:40,000 transreid.train INFO: CMC curve, Rank-1  :45.0%
2023-01-01 10:00:50,000 transreid.train INFO: Epoch[2] Iteration[50/200] Loss: nan, Acc: 0.010, Base Lr: 3.82e-04
"""


def test_the_strong_baseline_family_gives_only_its_total_and_says_so(tmp_path):
    path = tmp_path / "train_log.txt"
    path.write_text(STRONG_BASELINE)
    log = read_log(path)
    assert log.names() == ("total", "accuracy", "learning_rate", "mAP", "rank1")
    assert log.per_epoch("total")[1][0] == 7.5  # a running mean: the epoch's last value stands for it
    assert log.per_epoch("mAP") == ((1,), (pytest.approx(0.234),))
    assert (log.facts.num_identities, log.facts.feature_dim, log.facts.margin, log.facts.max_epochs) == (751, 768, 0.0, 120)
    assert "not-a-number" in log.symptoms
    assert any("only the total loss" in note for note in log.notes)


def test_torchreid_gives_its_running_means(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text(
        "  train    |   751 |    12936 |         6\n"
        "epoch: [3/60][20/404]\ttime 0.134 (0.228)\tdata 0.000 (0.004)\teta 1:31:58\tloss_t 0.3012 (0.3104)\t"
        "loss_x 6.6231 (6.6302)\tacc 1.5625 (0.9375)\tlr 0.000300\n** Results **\nmAP: 54.0%\nRank-1  : 76.2%\n"
    )
    log = read_log(path)
    point = log.points[0]
    assert (point.epoch, point.iteration, log.facts.max_epochs) == (3, 2 * 404 + 20, 60)
    assert point.values["triplet"] == 0.3104
    assert point.values["accuracy"] == pytest.approx(0.009375)
    assert point.values["mAP"] == pytest.approx(0.54)


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _event(step: int, tag: str, value: float) -> bytes:
    entry = b"\x0a" + _varint(len(tag)) + tag.encode() + b"\x15" + struct.pack("<f", value)
    summary = b"\x0a" + _varint(len(entry)) + entry
    body = b"\x09" + struct.pack("<d", 1.0) + b"\x10" + _varint(step) + b"\x2a" + _varint(len(summary)) + summary
    return struct.pack("<Q", len(body)) + b"\0" * 4 + body + b"\0" * 4


def test_tensorboard_scalars_are_read_and_a_cut_record_is_left_out(tmp_path):
    path = tmp_path / "events.out.tfevents.1"
    whole = b"".join(_event(300 * n, "train/loss_cls", 6.5 - n) + _event(300 * n, "val/mAP", 20.0 + n) for n in range(3))
    path.write_bytes(whole + _event(900, "train/loss_cls", 1.0)[:-9])
    log = read_log(path)
    assert log.series("cross_entropy") == ((0.0, 300.0, 600.0), (6.5, 5.5, 4.5))
    assert log.series("mAP")[1] == pytest.approx((0.20, 0.21, 0.22))


def test_tensorboards_own_writer_is_understood(tmp_path):
    pytest.importorskip("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("loss/triplet", 0.3, 5)
    assert read_log(tmp_path).series("triplet")[1] == pytest.approx((0.3,))


def test_a_csv_with_names_of_its_own_needs_a_column_map(tmp_path):
    path = tmp_path / "numbers.csv"
    path.write_text("when;identity;pairs\n1;6.7;2.8\n2;6.71;2.9\n")
    with pytest.raises(RecordError, match="--columns"):
        read_log(path, {"nothing": "total"} if False else {"when": "epoch"})
    log = read_log(path, {"when": "epoch", "identity": "cross_entropy", "pairs": "triplet"})
    assert log.per_epoch("cross_entropy") == ((1, 2), (6.7, 6.71))


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path):
    path = tmp_path / "numbers.csv"
    path.write_text("epoch,loss\n1,2.0\n")
    with pytest.raises(RecordError, match=r"no column lss.*epoch, loss"):
        read_log(path, {"lss": "total"})


def test_json_lines_with_nested_names_and_epochs_from_zero(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text('{"epoch": 0, "train": {"loss_x": 6.7}}\n{"epoch": 1, "train": {"loss_x": NaN}}\n{"epo')
    log = read_log(path)
    epochs, values = log.per_epoch("cross_entropy")
    assert epochs == (1, 2)
    assert values[1] != values[1]


def test_an_evaluation_before_training_does_not_shift_the_epochs(tmp_path):
    path = tmp_path / "curve.jsonl"
    path.write_text('{"epoch": 0, "test_map": 0.05}\n{"epoch": 1, "ce": 4.9, "test_map": 0.07}\n')
    assert read_log(path).per_epoch("cross_entropy") == ((1,), (4.9,))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_logs_redirected_on_windows_are_read(tmp_path, encoding):
    path = tmp_path / "out.txt"
    path.write_text("Epoch[1] Iteration[50/200] Loss: 7.712, Acc: 0.002, Base Lr: 3.82e-04\r\n", encoding=encoding)
    assert read_log(path).points[0].values["total"] == 7.712


def test_a_line_of_broken_bytes_costs_only_itself(tmp_path):
    path = tmp_path / "out.txt"
    good = b"Epoch[%d] Iteration[50/200] Loss: 7.7, Acc: 0.002, Base Lr: 3.82e-04\n"
    path.write_bytes(good % 1 + b"\xff\xfe\x80 Epoch[2] Itera\xff\n" + good % 3)
    assert [point.epoch for point in read_log(path).points] == [1, 3]


def test_a_resumed_log_replaces_what_it_repeats(tmp_path):
    path = tmp_path / "out.txt"
    line = "Epoch[{}] Iteration[50/100] Loss: {}, Acc: 0.002, Base Lr: 3.82e-04\n"
    path.write_text("".join(line.format(e, v) for e, v in ((1, 9.0), (2, 8.0), (3, 7.0), (2, 5.0), (3, 4.0))))
    log = read_log(path)
    assert log.per_epoch("total") == ((1, 2, 3), (9.0, 5.0, 4.0))
    assert any("goes back" in note for note in log.notes)


def test_a_huge_log_is_read_in_bounded_memory(tmp_path):
    path = tmp_path / "steps.csv"
    with path.open("w") as stream:
        stream.write("step,loss\n")
        stream.writelines(f"{step},{step % 7}\n" for step in range(100_000))
    log = read_log(path)
    assert len(log.points) <= 40_000
    assert sum(log.series("total")[1]) / len(log.points) == pytest.approx(3.0, abs=0.01)


def test_our_own_run_is_read_with_its_validation_and_lost_numbers(tmp_path):
    score = RetrievalMetrics("held-out", 0.21, 0.1, {"1": 0.4}, 10, 20, 5, 0.05)
    record = EpochRecord(1, 100, 3.5e-4, float("nan"), {"cross_entropy": 6.0, "triplet": 1.0}, accuracy=0.1, validation=score)
    append_json_line(tmp_path / "metrics.jsonl", to_plain(record))
    (tmp_path / "model_info.json").write_text('{"data": {"train_identities": 751}, "model": {"feature_dim": 2048}}')
    log = read_log(tmp_path / "metrics.jsonl")
    values = log.points[0].values
    assert (values["cross_entropy"], values["mAP"], values["rank1"]) == (6.0, 0.21, 0.4)
    assert values["total"] != values["total"]
    assert (log.facts.num_identities, log.facts.chance_map) == (751, 0.05)
    assert log.points == read_log(tmp_path).points or values["total"] != values["total"]


def test_something_else_is_refused_with_the_list_of_what_is_known(tmp_path):
    path = tmp_path / "poem.txt"
    path.write_text("The woods are lovely, dark and deep\n" * 5)
    with pytest.raises(RecordError, match="torchreid output"):
        read_log(path)
    with pytest.raises(DataNotFoundError, match="no such file"):
        read_log(tmp_path / "nowhere.txt")


@pytest.mark.skipif("REID_FIELD" not in os.environ, reason="set REID_FIELD to a folder with logs/fast-reid_healthy")
def test_a_real_fast_reid_run_reads_the_same_from_both_its_files():
    folder = Path(os.environ["REID_FIELD"]) / "logs" / "fast-reid_healthy"
    metrics, text = read_log(folder / "metrics.json"), read_log(folder / "log.txt")
    scores = metrics.per_epoch("mAP")[1]  # the last evaluation is written after the last line of metrics.json
    assert scores == pytest.approx(text.per_epoch("mAP")[1][: len(scores)], abs=1e-4)
    assert metrics.facts.num_identities == text.facts.num_identities == 150
    assert metrics.facts.iterations_per_epoch == 185
