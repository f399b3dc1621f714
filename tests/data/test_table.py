from pathlib import Path

import pytest

from unplateau.base.errors import DataError, DataNotFoundError
from unplateau.data.table import read_table


@pytest.fixture
def folder(tmp_path: Path, draw_images) -> Path:
    draw_images(tmp_path / "images", ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.csv"
    path.write_bytes(text.encode("utf-8"))
    return path


def test_images_are_read_with_paths_relative_to_the_table(folder: Path) -> None:
    rows = "path,person,camera,split\nimages/a.jpg,4,left,train\nimages/b.jpg,9,left,query\nimages/c.jpg,9,right,gallery\n"
    files = read_table(write(folder, rows))
    assert files.name == "mine"
    assert [(item.person_id, item.camera_id) for item in files.train + files.query + files.gallery] == [(4, 0), (9, 0), (9, 1)]
    assert Path(files.train[0].path) == folder / "images" / "a.jpg"


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffPath;PID;CamID;Split\r\nimages\\a.jpg;4;1;train\r\n\r\n",  # a German spreadsheet on Windows
        "image\tidentity\timages\nimages/a.jpg\t4\t\n",
        '"path","person"\n"images/a.jpg","4"\n',  # no camera, no split: all is training
    ],
)
def test_tables_as_spreadsheets_write_them(folder: Path, text: str) -> None:
    files = read_table(write(folder, text))
    assert [item.person_id for item in files.train] == [4]
    assert Path(files.train[0].path).is_file()


def test_rows_of_other_splits_are_left_out_and_said(folder: Path) -> None:
    files = read_table(
        write(folder, "path,person,split\nimages/a.jpg,1,train\nimages/b.jpg,1,val/all\nimages/c.jpg,2,val/query\n")
    )
    assert (len(files.train), len(files.query)) == (1, 1)
    assert any("1 of 'all'" in note for note in files.notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("path,camera\nimages/a.jpg,1\n", "no column person"),
        ("path,person\nimages/a.jpg,\n", "line 2: path or person is empty"),
        ("path,person\nimages/nowhere.jpg,1\nimages/a.jpg,1\n", r"1 of 2 listed images are not there, such as .*nowhere.jpg"),
        ("path,person,split\nimages/a.jpg,1,holiday\n", r"no image of split .* 1 of 'holiday'"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(folder: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_table(write(folder, text))


def test_a_table_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="there is no such file"):
        read_table(tmp_path / "mine.csv")


@pytest.mark.real_data
def test_the_real_pku_manifest_gives_the_same_images_as_its_folders(real_pku_folder: Path) -> None:
    files = read_table(real_pku_folder / "manifest.csv")
    assert (len(files.train), len(files.query), len(files.gallery)) == (992, 28, 181)


def test_a_cell_longer_than_any_path_is_refused_with_the_tables_name(folder: Path) -> None:
    with pytest.raises(DataError, match="mine.csv is no table"):
        read_table(write(folder, "path,person\n" + "a" * 200_000 + ",1\n"))


def test_an_image_whose_name_no_file_can_have_is_missing(folder: Path) -> None:
    with pytest.raises((DataError, DataNotFoundError), match="mine.csv"):
        read_table(write(folder, "path,person\n" + "a" * 5_000 + "/b.jpg,1\n"))
