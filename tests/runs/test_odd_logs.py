"""Logs that are written otherwise than expected, and files that are none."""

import json
import math
import random
import struct
import time

import pytest

from unplateau.base.errors import RecordError
from unplateau.diagnosis.case import Case
from unplateau.diagnosis.diagnose import diagnose
from unplateau.runs.foreign_logs import tensorboard, text_lines, training_log
from unplateau.runs.foreign_logs.config_facts import facts_of_config
from unplateau.runs.foreign_logs.read import read_log
from unplateau.runs.foreign_logs.training_log import LogBuilder, LogPoint
from unplateau.runs.layout import RunFolder


def _written(path, text: str):
    path.write_text(text, encoding="utf-8")
    return path


def test_decimal_commas_are_read_where_the_separator_is_another(tmp_path):
    log = read_log(_written(tmp_path / "log.csv", "epoch;ce;lr\n1;6,72;3,5e-4\n2;6,71;3,5e-4\n"))
    assert log.per_epoch("cross_entropy") == ((1, 2), (6.72, 6.71))
    assert log.per_epoch("learning_rate")[1] == (0.00035, 0.00035)


def test_a_comma_parts_thousands_in_a_column_of_steps_and_decimals_in_one_of_losses(tmp_path):
    log = read_log(_written(tmp_path / "log.csv", "iteration;cross_entropy\n998;6,724\n1,000;6,718\n24,238;6,70\n"))
    assert [point.iteration for point in log.points] == [998, 1000, 24238]
    assert log.series("cross_entropy")[1] == pytest.approx([6.724, 6.718, 6.70])


def test_commas_that_can_only_part_thousands_do_in_any_column(tmp_path):
    log = read_log(_written(tmp_path / "log.csv", "epoch;total\n1;1,234,567\n2;24,238.5\n"))
    assert log.series("total")[1] == pytest.approx([1_234_567, 24_238.5])


def test_decimal_commas_in_json_text_are_numbers_too(tmp_path):
    lines = [json.dumps({"epoch": epoch, "ce": "6,72"}) for epoch in (1, 2)]
    assert read_log(_written(tmp_path / "log.jsonl", "\n".join(lines))).per_epoch("cross_entropy")[1] == (6.72, 6.72)


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_log_is_called_empty(tmp_path, text):
    with pytest.raises(RecordError, match="is empty"):
        read_log(_written(tmp_path / "log.txt", text))


def test_a_header_without_rows_says_that_no_epoch_was_written(tmp_path):
    with pytest.raises(RecordError, match="a header and no rows"):
        read_log(_written(tmp_path / "log.csv", "epoch,ce,triplet\n"))


def test_a_binary_file_is_no_text_and_checkpoints_have_their_own_option(tmp_path):
    path = tmp_path / "model.pth"
    path.write_bytes(random.Random(0).randbytes(50_000))
    with pytest.raises(RecordError, match="no text.*--checkpoints"):
        read_log(path)


def test_a_log_as_powershell_writes_it_is_text(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes("epoch,ce\n1,6.7\n2,6.5\n".encode("utf-16"))
    assert read_log(path).per_epoch("cross_entropy")[1] == (6.7, 6.5)


def test_a_fast_reid_text_log_takes_facts_from_the_configuration_beside_it(tmp_path):
    (tmp_path / "config.yaml").write_text(
        "MODEL:\n  HEADS: {NUM_CLASSES: 150, CLS_LAYER: ArcSoftmax}\n  LOSSES: {NAME: [TripletLoss], TRI: {MARGIN: 0.4}}\n"
        "SOLVER: {MAX_EPOCH: 12}\n"
    )
    line = "[11/23 08:02:18] fastreid.utils.events INFO:  epoch/iter: 0/182  total_loss: 5.6  loss_cls: 5.0  lr: 3.50e-05\n"
    facts = read_log(_written(tmp_path / "log.txt", line)).facts
    assert (facts.num_identities, facts.margin, facts.max_epochs) == (150, 0.4, 12)
    assert facts.initial_std is None  # not a linear classifier, so fast-reid's 0.01 is not meant


@pytest.mark.parametrize(
    "text",
    [
        "epoch,total\n1,6.7\ninf,6.6\n1e400,6.5\n",
        "epoch: [1/2][1/2]\tloss 6.7 (6.7)\nmAP: 71.01.0%\nRank-1  : 51.3.3%\n",
        f"epoch: [1/2][1/2]\tloss 6.7 (6.7)\nepoch: [{'9' * 5000}/2][1/2]\tloss 6.6 (6.6)\n",
        f"Epoch[1] Iteration[1/2] Loss: 6.7, Acc: 0.1, Base Lr: 3.5e-4\nmAP: 6.1.2%\n"
        f"Epoch[{'9' * 5000}] Iteration[2/2] Loss: 6.6\n",
        f"eta: 0:01  epoch/iter: 0/1  total_loss: 6.7\neta: 0:01  epoch/iter: {'9' * 5000}/2  total_loss: 6.6\n",
        f'{{"iteration": 1, "total_loss": 6.7}}\n{{"iteration": 1{"0" * 400}, "total_loss": 6.6}}\n',
        f"Epoch[1] Iteration[1/2] Loss: 6.7\n(classifier): Linear(in_features={'9' * 5000}, out_features=751, bias=False)\n",
    ],
)
def test_numbers_that_no_training_writes_are_left_out(tmp_path, text):
    log = read_log(_written(tmp_path / "log.txt", text))
    assert 6.7 in [value for point in log.points for value in point.values.values()]


def test_a_log_with_ever_other_epochs_is_kept_in_bounded_memory_too(monkeypatch):
    monkeypatch.setattr(training_log, "MAX_POINTS", 100)
    builder, halvings = LogBuilder(), []
    monkeypatch.setattr(LogBuilder, "_halve", lambda self, halve=LogBuilder._halve: (halvings.append(1), halve(self)))
    for epoch in range(1, 10_001):
        builder.add(LogPoint(epoch, None, {"total": 1.0}))
    assert len(builder.points) <= 100 and len(halvings) < 300
    assert builder.points[-1].epoch == 10_000


def test_a_quotation_mark_that_is_never_closed_is_said(tmp_path):
    rows = "".join(f"{epoch},6.72\n" for epoch in range(30_000))
    with pytest.raises(RecordError, match="quotation mark that is not closed"):
        read_log(_written(tmp_path / "log.csv", f'epoch,ce\n1,6.7\n2,"{rows}'))


def test_objects_within_objects_without_end_are_not_followed(tmp_path):
    deep = '{"a": ' * 500 + "1" + "}" * 500
    log = read_log(_written(tmp_path / "log.jsonl", f'{{"epoch": 1, "loss": 6.7, "more": {deep}}}\n' * 3))
    assert log.per_epoch("total") == ((1,), (6.7,))


def test_means_of_numbers_beyond_all_bounds_are_no_error(tmp_path):
    rows = "".join(
        f"{epoch},{10 * epoch + step},{loss}\n" for epoch in (1, 2) for step, loss in enumerate(("1e308", "1e308", "inf", "-inf"))
    )
    log = read_log(_written(tmp_path / "log.csv", f"epoch,step,loss\n{rows}"))
    epochs, means = log.per_epoch("total")
    assert epochs == (1, 2) and not any(map(math.isfinite, means))


def test_lines_without_end_are_not_all_kept_to_tell_the_format(tmp_path, monkeypatch):
    monkeypatch.setattr(text_lines, "_MOST_CHARACTERS", 100_000)
    path = _written(tmp_path / "log.txt", "a" * 1_000_000)
    assert sum(map(len, text_lines.first_lines(path))) < 200_000
    with pytest.raises(RecordError, match="none of the logs that are known"):
        read_log(path)


def test_a_number_without_end_in_an_event_file_is_damage_and_takes_no_time(tmp_path):
    record = b"\x10" + b"\xff" * 1_000_000
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(struct.pack("<Q", len(record)) + bytes(4) + record + bytes(4))
    started = time.perf_counter()
    with pytest.raises(RecordError):
        read_log(path)
    assert time.perf_counter() - started < 2  # a number of a million bytes, put together byte by byte, takes a minute


def test_steps_of_an_event_file_are_kept_in_bounded_memory(monkeypatch):
    rows = {step: {"loss": float(step), **({"mAP": 0.5} if step % 3 == 0 else {})} for step in range(9)}
    merged = tensorboard._halved(rows)
    assert list(merged) == [1, 3, 5, 7, 8]
    assert [row["loss"] for row in merged.values()] == [0.5, 2.5, 4.5, 6.5, 8.0]
    assert [step for step, row in merged.items() if "mAP" in row] == [1, 3, 7]


def test_losses_beyond_what_can_be_squared_count_as_lost_and_are_judged(tmp_path):
    rows = "".join(f"{epoch};6.{epoch};{'1e308' if epoch == 7 else f'0.{epoch}'};3.5e-4\n" for epoch in range(1, 20))
    log = read_log(_written(tmp_path / "log.csv", f"epoch;ce;triplet;lr\n{rows}"))
    case = Case(log, log.facts)
    triplet = case.curve("triplet")
    assert triplet is not None and triplet.num_lost == 1 and math.isfinite(triplet.slope.low)
    diagnose(case)


def test_a_number_of_thousands_of_digits_in_a_configuration_is_no_fact():
    assert facts_of_config({"MODEL.HEADS.NUM_CLASSES": 10**400, "SOLVER.MAX_EPOCH": 5}).num_identities is None


def test_a_run_of_ours_that_ended_before_its_first_epoch_says_where_the_reason_is(tmp_path):
    folder = RunFolder(tmp_path)
    folder.config.write_text("SEED: 0\n", encoding="utf-8")
    folder.log.write_text("Started\n", encoding="utf-8")
    with pytest.raises(RecordError, match="has finished no epoch.*Wait for its first epoch"):
        read_log(tmp_path)
    folder.stopping_reason.write_text("Error\n", encoding="utf-8")
    with pytest.raises(RecordError, match=r"STOPPING_REASON.txt says why it ended"):
        read_log(tmp_path)
