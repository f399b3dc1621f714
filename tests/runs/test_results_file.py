"""Results of other trainers: every way to write them is read alike, and every mistake is named with its cure."""

import json
from pathlib import Path

import numpy as np
import pytest

from unplateau.base.errors import DataError
from unplateau.runs.results_file import looks_like_results, read_results

PERSONS, VALUES = [7, 3, 3], [0.5, 1.0, 0.25]


def _written(tmp_path: Path, name: str, content: object) -> Path:
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_json_csv_and_npz_say_the_same(tmp_path: Path) -> None:
    table = {"system": "transreid", "seed": 4, "protocol": "test", "person_ids": PERSONS, "average_precision": VALUES}
    rows = "".join(f"transreid,4,test,{person},{value}\n" for person, value in zip(PERSONS, VALUES, strict=True))
    np.savez(tmp_path / "c.npz", **{key: np.array(value) for key, value in table.items()})
    files = [
        _written(tmp_path, "a.json", table),
        _written(tmp_path, "b.csv", f"system,seed,protocol,person_id,average_precision\n{rows}"),
        tmp_path / "c.npz",
    ]
    for file in files:
        (run,) = read_results(file)
        assert (run.system, run.seed, run.protocol) == ("transreid", 4, "test")
        assert run.person_ids_Q is not None and run.person_ids_Q.tolist() == [3, 3, 7]
        assert run.average_precision_Q.tolist() == [1.0, 0.25, 0.5]
        assert looks_like_results(file)


def test_rows_without_a_seed_are_seeds_and_none_is_dropped(tmp_path: Path) -> None:
    runs = read_results(_written(tmp_path, "all.csv", "system,mAP\na,0.5\na,0.52\nb,0.6\n"))
    assert [(run.system, run.seed, float(run.average_precision_Q[0])) for run in runs] == [
        ("a", 0, 0.5),
        ("a", 1, 0.52),
        ("b", 0, 0.6),
    ]


def test_a_seed_with_two_scores_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="seed 0 has 2 mAP"):
        read_results(_written(tmp_path, "all.csv", "system,seed,mAP\na,0,0.5\na,0,0.52\n"))


@pytest.mark.parametrize("scores", [{"mAP": [0.6, 0.61]}, {"mAP": {"0": 0.6, "1": 0.61}}])
def test_the_map_of_each_seed_is_enough(tmp_path: Path, scores: dict[str, object]) -> None:
    runs = read_results(_written(tmp_path, "clip.json", scores))
    assert [(run.system, run.seed, run.average_precision_Q.tolist()) for run in runs] == [("clip", 0, [0.6]), ("clip", 1, [0.61])]
    assert all(run.person_ids_Q is None for run in runs)


def test_a_table_of_maps_by_system_and_seed(tmp_path: Path) -> None:
    runs = read_results(_written(tmp_path, "all.csv", "system,seed,mAP\na,0,0.5\na,1,0.52\nb,0,0.6\n"))
    assert [(run.system, run.seed, float(run.average_precision_Q[0])) for run in runs] == [
        ("a", 0, 0.5),
        ("a", 1, 0.52),
        ("b", 0, 0.6),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"person_ids": PERSONS, "avrage_precision": VALUES}, "Did you mean 'average_precision'"),
        ({"persn_ids": PERSONS, "average_precision": VALUES}, "Did you mean 'person_ids'"),
        ({"average_precision": VALUES}, "needs person_ids"),
        ({"person_ids": [1, 2], "average_precision": VALUES}, "3 values of average_precision for 2 person_ids"),
        ({"mAP": 61.2}, "Divide percent by 100"),
        ({"mAP": "high"}, "no number"),
        ({"mAP": 0.6, "protocol": "tset"}, "Did you mean 'test'"),
        ({"mAP": {"first": 0.6}}, "a whole number is expected"),
        ([{"mAP": 0.6}, {"mAP": 0.7}], "seed 0 twice"),
        ([1, 2], "cannot be read as .json"),
        ("{", "cannot be read as .json"),
        ({"person_ids": [], "average_precision": []}, "holds nothing"),
    ],
)
def test_a_mistake_is_named_with_its_cure(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_results(_written(tmp_path, "r.json", content))


def test_files_that_hold_something_else_do_not_look_like_results(tmp_path: Path) -> None:
    assert not looks_like_results(_written(tmp_path, "package.json", {"name": "x"}))
    assert not looks_like_results(_written(tmp_path, "broken.json", "{"))
    assert not looks_like_results(_written(tmp_path, "table.csv", "epoch,loss\n1,2\n"))
    assert looks_like_results(_written(tmp_path, "nearly.json", {"avrage_precision": []}))


def test_a_person_beyond_all_numbers_is_a_mistake_and_no_crash(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps([{"system": "a", "average_precision": [0.5], "person_ids": [10**30]}]), encoding="utf-8")
    with pytest.raises(DataError, match="person_ids holds"):
        read_results(path)
