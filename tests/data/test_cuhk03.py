import json
from pathlib import Path

import pytest

from unplateau.base.errors import DataError, DataNotFoundError
from unplateau.data import cuhk03


@pytest.fixture
def flat(tmp_path: Path, draw_images) -> Path:
    for boxes in ("labeled", "detected"):
        folder = tmp_path / "cuhk03-np" / boxes
        draw_images(folder / "bounding_box_train", ["0003_c1_21.png", "0003_c2_26.png"])
        draw_images(folder / "query", ["0001_c1_1.png"])
        draw_images(folder / "bounding_box_test", ["0001_c2_6.png"] + (["0001_c2_7.png"] if boxes == "detected" else []))
    return tmp_path


@pytest.fixture
def split(tmp_path: Path, draw_images) -> Path:
    names = {"train": "1_001_1_01.png", "query": "1_002_1_01.png", "gallery": "1_002_2_06.png"}
    rows = {
        part: [[f"C:\\old\\images_labeled\\{name}", 0 if part == "train" else 1, int(name[6]) - 1]]
        for part, name in names.items()
    }
    draw_images(tmp_path / "cuhk03" / "images_labeled", names.values())
    (tmp_path / "cuhk03" / "splits_new_labeled.json").write_text(json.dumps([rows]))
    return tmp_path


def test_labeled_and_detected_are_two_data_sets(flat: Path) -> None:
    labeled, detected = cuhk03.read_labeled(flat), cuhk03.read_detected(flat)
    assert (labeled.name, len(labeled.gallery)) == ("CUHK03Labeled", 1)
    assert (detected.name, len(detected.gallery)) == ("CUHK03Detected", 2)
    assert [(item.person_id, item.camera_id) for item in labeled.train] == [(3, 0), (3, 1)]


def test_the_split_file_is_read_wherever_it_was_written(split: Path) -> None:
    files = cuhk03.read_labeled(split)
    assert [(item.person_id, item.camera_id) for item in files.train] == [(1, 0)]
    assert [(item.person_id, item.camera_id) for item in files.gallery] == [(3, 1)]
    assert all(Path(item.path).is_file() for item in files.train + files.query + files.gallery)


def test_relabelled_training_persons_are_kept_apart_from_test_persons(split: Path) -> None:
    files = cuhk03.read_labeled(split)
    assert not {item.person_id for item in files.train} & {item.person_id for item in files.query + files.gallery}


def test_images_that_the_split_lists_and_are_not_there_are_counted(split: Path) -> None:
    (split / "cuhk03" / "images_labeled" / "1_002_2_06.png").unlink()
    with pytest.raises(DataError, match="1 of 1 gallery images are not in"):
        cuhk03.read_labeled(split)


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '[{"train": []}]', '[{"train": [["a.png"]]}]', '[{"train": 5}]', '[{"train": [["a.png", 1e999, 0]]}]'],
)
def test_a_broken_split_file_is_named(split: Path, content: str) -> None:
    (split / "cuhk03" / "splits_new_labeled.json").write_text(content)
    with pytest.raises(DataError, match="splits_new_labeled.json"):
        cuhk03.read_labeled(split)


def test_boxes_that_are_not_there_are_not_replaced_by_the_other_kind(split: Path) -> None:
    with pytest.raises(DataNotFoundError, match="CUHK03Detected was not found"):
        cuhk03.read_detected(split)
