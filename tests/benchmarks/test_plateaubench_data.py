"""PlateauBench on photographs: how they are found and divided, and what is said where they are not at hand."""

import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.plateaubench import across, data_sets, measure, notes, planning, recipe
from benchmarks.plateaubench.baselines import BASELINES
from benchmarks.plateaubench.data_sets import DATA, STANDARD, all_persons, pku_name, trained_persons
from benchmarks.plateaubench.experiment import build
from benchmarks.plateaubench.probing import trained_task
from unplateau.data.items import Found, Item, RetrievalItems

PHOTOGRAPHS = [name for name in DATA if name != STANDARD]
load = recipe.load.__wrapped__  # the fixture of drawn patterns replaces `planning.load` only


def item(path: str, person: int) -> Item:
    return Item(path, person, 0, "any")


def found() -> Found:
    test = RetrievalItems("any", (item("query/3/a.png", 3),), (item("gallery/3/a.png", 3), item("gallery/3/b.png", 3)))
    return Found((item("train/1/a.png", 1), item("train/2/a.png", 2), item("train/0/a.png", 0)), (test,))


def test_a_small_set_gives_all_its_persons_and_each_picture_once():
    assert [one.path for one in all_persons(found())] == ["train/1/a.png", "train/2/a.png", "gallery/3/a.png", "gallery/3/b.png"]


def test_a_large_set_gives_its_training_persons_only():
    assert [one.person_id for one in trained_persons(found())] == [1, 2]


@pytest.fixture
def nothing_at_hand(monkeypatch, tmp_path):
    for variable in ("FASTREID_DATASETS", "REID_DATA", "REID_ARCHIVES"):
        monkeypatch.setenv(variable, str(tmp_path / "empty"))
    monkeypatch.setattr(data_sets, "user_cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(planning, "load", load)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_pictures_that_are_not_at_hand_are_said_in_one_line(name, nothing_at_hand, capsys, tmp_path):
    assert measure.main(["--quick", "--data", name, "--work", str(tmp_path / "work"), "--results", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and f"--data {name}: {DATA[name].title} is not here; set REID_" in told
    assert not (tmp_path / "out.md").exists()


def test_an_archive_is_unpacked_once_to_the_users_cache_and_an_unpacked_folder_is_used_as_it_is(
    nothing_at_hand, monkeypatch, tmp_path
):
    folder = tmp_path / "made" / "pku_reid_74"
    for person, camera in ((1, 1), (1, 2), (2, 1)):
        path = folder / "train" / f"{person:03d}" / f"{camera:02d}_1.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((8, 4, 3), np.uint8)).save(path)
    with tarfile.open(tmp_path / "pku_reid_74.tar.gz", "w:gz") as tar:
        tar.add(folder, "pku_reid_74")
    monkeypatch.setenv("REID_ARCHIVES", str(tmp_path))
    unpacked = pku_name()
    assert unpacked == pku_name() != f"folder:{folder}"
    assert Path(unpacked.removeprefix("folder:")).is_relative_to(tmp_path / "cache")
    assert len(list(Path(unpacked.removeprefix("folder:")).rglob("*.png"))) == 3
    monkeypatch.setenv("REID_DATA", str(tmp_path / "made"))
    assert pku_name() == f"folder:{folder}"


def test_runs_on_other_pictures_are_kept_and_reported_apart():
    assert len({planning.identity(data=name) for name in DATA}) == len(DATA)
    stems = {notes.file_stem(name, network, is_quick=True) for name in DATA for network in ("tiny", "residual")}
    assert len(stems) == 2 * len(DATA)
    assert "tuned there on MiniMarket" in notes.note("pku", "tiny")


def test_as_many_trained_persons_are_looked_for_as_are_held_out():
    task = trained_task(build(seed=1))
    assert len({one.person_id for one in task.gallery}) == 6
    assert task.dataset == "drawn"


@pytest.mark.real_data
@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_are_divided_by_person_and_no_picture_stands_in_two_parts(name):
    split, pictures = load(name) if at_hand(name) else pytest.skip(f"{DATA[name].title} is not at hand: {DATA[name].where}")
    trained, held_out = ({one.person_id for one in part} for part in (split.train, (*split.query, *split.gallery)))
    assert (len(trained), len(held_out)) == (DATA[name].num_trained, DATA[name].num_held_out)
    assert not trained & held_out
    rows = [pictures.row_of_path[one.path] for part in (split.train, split.query, split.gallery) for one in part]
    pixels = {pictures.pixels_NCHW[row].numpy().tobytes() for row in rows}
    assert pictures.pixels_NCHW.shape[1:] == (3, 64, 32) and len(rows) - len(pixels) <= 0.002 * len(rows)


def at_hand(name: str) -> bool:
    data, archives = (Path(os.environ.get(variable, "/nowhere")) for variable in ("REID_DATA", "REID_ARCHIVES"))
    if name == "pku":
        return (archives / "pku_reid_74.tar.gz").is_file() or (data / "pku_reid_74").is_dir()
    return (data / "Market-1501-v15.09.15").is_dir()


def test_the_table_across_reports_has_a_row_for_each_that_is_there(tmp_path):
    told = {"top1": 3, "top3": 4, "abstained": 0, "wrong": 1, "surely_wrong": 0}
    report = {
        "scores": {"probes": {"all": told}, **{name: {"all": {"top1": 1}} for name in BASELINES}},
        "false_alarms": {"probes": {"count": 0, "of": 5}},
        "faults": [{"hurts": True}] * 4 + [{"hurts": False}],
        "repair": {"repaired": 2, "cured": 1},
    }
    (tmp_path / "plateaubench_pku.json").write_text(json.dumps(report), encoding="utf-8")
    header, _, only = across.table(tmp_path).split("\n")
    assert header.count("|") == only.count("|")
    assert only.startswith("| photographs: PKU | 4 of 5 | 75% (3/4), 30 to 95 % | 100% (4/4) |")
    assert only.endswith("| 0 of 5 | 25% (1/4) | 50% (2/4), 1 by a trained change |")
