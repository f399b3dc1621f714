"""Several reports counted as one."""

import json

from benchmarks.plateaubench.together import table


def _fault(name, causes, said, *, hurts=True):
    answer = {"alarm": bool(said), "causes": said, "confidence": 0.8}
    return {
        "name": name,
        "causes": causes,
        "hurts": hurts,
        "answers": dict.fromkeys(("log", "checkpoints", "probes"), answer),
    }


def test_faults_of_all_files_that_hurt_are_counted(tmp_path):
    files = {
        "one": [_fault("a", ["no-gradient"], [["no-gradient"]]), _fault("b", ["relabel"], [["no-gradient"], ["relabel"]])],
        "two": [_fault("c", ["no-gradient"], []), _fault("d", ["no-gradient"], [["no-gradient"]], hurts=False)],
    }
    for name, faults in files.items():
        (tmp_path / f"plateaubench_unseen_{name}.json").write_text(json.dumps({"faults": faults}))
    lines = table(["one", "two"], tmp_path)
    assert lines[0] == "one + two:"
    assert [line.split(" | ")[1:3] for line in lines[4:]] == [["3", "33% (1; 6% to 79%)"]] * 3
    assert all("| 67% (2; " in line and "| 33% (1; " in line for line in lines[4:])


def test_asked_why_words_for_a_part_are_neither_said_nor_right(tmp_path):
    faults = [
        _fault("named", ["dead-units", "wrong-model"], [["wrong-model", "dead-units"]]),
        _fault("placed", ["dead-units", "wrong-model"], [["wrong-model"]]),
        _fault("has no other word", ["wrong-model"], [["wrong-model"]]),
    ]
    (tmp_path / "plateaubench_unseen_one.json").write_text(json.dumps({"faults": faults}))
    assert all("| 3 | 100% (3; " in line for line in table(["one"], tmp_path)[4:])
    assert all("| 2 | 50% (1; " in line for line in table(["one"], tmp_path, is_why=True)[4:])


def test_other_right_answers_may_be_asked_for(tmp_path):
    (tmp_path / "plateaubench_unseen_one.json").write_text(json.dumps({"faults": [_fault("a", ["relabel"], [["no-gradient"]])]}))
    assert all("| 1 | 100% (1; " in line for line in table(["one"], tmp_path, {"a": ["no-gradient"]})[4:])
