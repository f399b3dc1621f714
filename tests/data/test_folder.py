from pathlib import Path

import pytest

from unplateau.base.errors import DataError, DataNotFoundError
from unplateau.data.folder import read_folder
from unplateau.data.items import DatasetFiles, Item


def ids(items: tuple[Item, ...]) -> list[tuple[int, int]]:
    return [(item.person_id, item.camera_id) for item in items]


def test_a_folder_for_each_person_with_cameras_in_the_names(tmp_path: Path, draw_images) -> None:
    draw_images(tmp_path / "mine" / "train", ["5/a_c1.jpg", "5/b_cam2.jpg", "9/c_c1.jpg"])
    draw_images(tmp_path / "mine" / "query", ["11/a_c1.jpg"])
    draw_images(tmp_path / "mine" / "gallery", ["11/b_c02.jpg", "12/b_c2.jpg"])
    files = read_folder(tmp_path / "mine")
    assert files.name == "mine"
    assert ids(files.train) == [(5, 0), (5, 1), (9, 0)]
    assert ids(files.query) == [(11, 0)]
    assert ids(files.gallery) == [(11, 1), (12, 1)]


def test_cameras_may_be_the_digits_names_begin_with(tmp_path: Path, draw_images) -> None:
    draw_images(tmp_path / "train", ["001/01_1.png", "001/02_1.png", "01/01_1.png"])
    draw_images(tmp_path / "val", ["query/052/01_1.png", "gallery/052/02_1.png"])
    files = read_folder(tmp_path)
    assert ids(files.train) == [(1, 0), (1, 1), (1, 0)]
    assert (ids(files.query), ids(files.gallery)) == ([(52, 0)], [(52, 1)])
    assert any("digits they begin with" in note for note in files.notes)


@pytest.mark.parametrize(
    "names",
    [
        ["7/7_1.jpg", "8/8_1.jpg"],  # the person again
        ["7/x.jpg", "8/1_1.jpg"],  # only some names have it
        [f"7/{number}_a.jpg" for number in range(70)],  # running numbers
    ],
)
def test_a_camera_is_not_made_up(tmp_path: Path, draw_images, names: list[str]) -> None:
    draw_images(tmp_path / "train", names)
    files = read_folder(tmp_path)
    assert {item.camera_id for item in files.train} == {-1}
    assert any("no camera is known" in note for note in files.notes)


def test_flat_folders_in_market_style_with_any_numbers(tmp_path: Path, draw_images) -> None:
    draw_images(tmp_path / "bounding_box_train", ["0000_c1_1.jpg", "0001_c2_1.jpg"])
    draw_images(tmp_path / "query", ["0002_c1_1.jpg"])
    draw_images(tmp_path / "bounding_box_test", ["0002_c2_1.jpg", "-1_c2_1.jpg"])
    files = read_folder(tmp_path)
    assert ids(files.train) == [(1, 0), (2, 1)]  # numbered from 0, so 1 is added
    assert ids(files.query) == [(3, 0)]
    assert ids(files.gallery) == [(3, 1)]  # -1 is junk
    assert any("1 is added" in note for note in files.notes)


def test_person_zero_in_the_gallery_only_is_a_distractor(tmp_path: Path, draw_images) -> None:
    draw_images(tmp_path, ["train/1/a_c1.jpg", "query/2/a_c1.jpg", "gallery/2/a_c2.jpg", "gallery/0000/a_c2.jpg"])
    assert {item.person_id for item in read_folder(tmp_path).gallery} == {0, 2}


def test_persons_with_names_are_numbered_in_order_across_all_folders(tmp_path: Path, draw_images) -> None:
    draw_images(tmp_path, ["train/anna10/a.jpg", "train/anna9/a.jpg", "query/bob/a.jpg", "gallery/bob/b.jpg"])
    files = read_folder(tmp_path)
    by_folder = {Path(item.path).parent.name: item.person_id for item in files.train + files.query + files.gallery}
    assert by_folder == {"anna9": 1, "anna10": 2, "bob": 3}


def test_persons_without_splits_are_for_training(tmp_path: Path, draw_images) -> None:
    draw_images(tmp_path, ["anna/a.jpg", "bob/b.jpg"])
    files = read_folder(tmp_path)
    assert (len(files.train), len(files.query), len(files.gallery)) == (2, 0, 0)


def test_hidden_and_other_files_are_left_out(tmp_path: Path, draw_images) -> None:
    draw_images(tmp_path, ["train/1/a_c1.jpg", "train/1/._a_c1.jpg"])
    (tmp_path / "train" / "1" / "notes.txt").write_text("x")
    assert len(read_folder(tmp_path).train) == 1


def test_a_folder_that_is_not_there_is_told_from_one_that_cannot_be_read(tmp_path: Path, draw_images) -> None:
    with pytest.raises(DataNotFoundError, match="there is no such folder"):
        read_folder(tmp_path / "nowhere")
    draw_images(tmp_path, ["a.jpg", "b.jpg"])
    with pytest.raises(DataError, match=r"none of the layouts .* 2 entries, such as 'a.jpg'"):
        read_folder(tmp_path)


def test_an_empty_split_and_unreadable_names_are_errors(tmp_path: Path, draw_images) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        read_folder(tmp_path)
    draw_images(tmp_path / "train", ["holiday.jpg", "0001_c1_1.jpg"])
    with pytest.raises(DataError, match=r"1 of 2 image names .* 'holiday.jpg'"):
        read_folder(tmp_path)


def counts(files: DatasetFiles) -> tuple[int, int, int]:
    return len(files.train), len(files.query), len(files.gallery)


@pytest.mark.real_data
def test_the_real_pku_set_is_read_with_its_two_cameras(real_pku_folder: Path) -> None:
    files = read_folder(real_pku_folder)
    assert counts(files) == (992, 28, 181)
    assert {item.camera_id for item in files.train} == {0, 1}
    assert len({item.person_id for item in files.train}) == 62
    assert not {item.person_id for item in files.train} & {item.person_id for item in files.query}
