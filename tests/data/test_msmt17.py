from pathlib import Path

import pytest

from unplateau.base.errors import DataError, DataNotFoundError
from unplateau.data import msmt17


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for version, train, test in (("MSMT17_V1", "train", "test"), ("MSMT17_V2", "mask_train_v2", "mask_test_v2")):
        folder = tmp_path / version
        (folder / train).mkdir(parents=True)
        (folder / test).mkdir()
        (folder / "list_train.txt").write_text("0000/0000_000_01_0303morning_0015_0.jpg 0\n0001/0001_000_05_x_0015_0.jpg 1\n")
        (folder / "list_val.txt").write_text("0000/0000_001_15_0303morning_0016_0.jpg 0\n")
        (folder / "list_query.txt").write_text("0000/0000_000_01_0303noon_0015_0.jpg 0\n")
        (folder / "list_gallery.txt").write_text("0000/0000_001_02_0303noon_0015_0.jpg 0\n0001/0001_001_02_x_1_0.jpg 1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("read", "folder"), [(msmt17.read_v1, "train"), (msmt17.read_v2, "mask_train_v2"), (msmt17.read, "train")]
)
def test_both_versions_are_read_by_their_lists(root: Path, read, folder: str) -> None:
    files = read(root)
    assert [(item.person_id, item.camera_id) for item in files.train] == [(1, 0), (2, 4), (1, 14)]
    assert Path(files.train[0].path).parts[-3:] == (folder, "0000", "0000_000_01_0303morning_0015_0.jpg")


def test_test_persons_are_not_mistaken_for_training_persons_of_the_same_number(root: Path) -> None:
    files = msmt17.read_v1(root)
    assert {item.person_id for item in files.train} == {1, 2}
    assert [item.person_id for item in files.query] == [3]
    assert [item.person_id for item in files.gallery] == [3, 4]


def test_a_broken_line_is_quoted(root: Path) -> None:
    (root / "MSMT17_V1" / "list_query.txt").write_text("nonsense\n")
    with pytest.raises(DataError, match="list_query.txt: the line 'nonsense'"):
        msmt17.read_v1(root)


def test_missing_lists_are_named(root: Path) -> None:
    (root / "MSMT17_V2" / "list_val.txt").unlink()
    with pytest.raises(DataNotFoundError, match="without list_val.txt"):
        msmt17.read_v2(root)


def test_a_list_that_is_no_text_is_quoted(root: Path) -> None:
    (root / "MSMT17_V1" / "list_query.txt").write_bytes(b"\xff\xfe\x00nonsense\n")
    with pytest.raises(DataError, match="list_query.txt: the line"):
        msmt17.read_v1(root)
