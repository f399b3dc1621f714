from collections import Counter
from pathlib import Path

import pytest

from unplateau.base.errors import DataError, DataNotFoundError
from unplateau.data import market1501
from unplateau.data.items import num_cameras, num_identities


def test_person_and_camera_are_those_of_the_file_name_and_cameras_start_at_zero(small_market: Path) -> None:
    files = market1501.read(small_market)
    assert [(item.person_id, item.camera_id) for item in files.train] == [(2, 0), (2, 1), (7, 0), (7, 1)]
    assert [(item.person_id, item.camera_id) for item in files.query] == [(1, 0), (3, 1)]
    assert {item.dataset for item in files.train} == {"Market1501"}
    assert all(Path(item.path).is_file() for item in files.train + files.query + files.gallery)


def test_junk_is_dropped_and_distractors_stay_in_the_gallery(small_market: Path) -> None:
    assert sorted(item.person_id for item in market1501.read(small_market).gallery) == [0, 1, 3]


def test_the_order_is_that_of_the_names(small_market: Path) -> None:
    names = [Path(item.path).name for item in market1501.read(small_market).train]
    assert names == sorted(names)


def test_a_copy_that_counts_cameras_from_zero_keeps_its_numbers(tmp_path: Path, draw_images) -> None:
    for folder, names in (("bounding_box_train", ["1_c0_0.jpg", "1_c1_0.jpg"]), ("query", ["2_c0_0.jpg"])):
        draw_images(tmp_path / "market1501" / folder, names)
    draw_images(tmp_path / "market1501" / "bounding_box_test", ["2_c1_0.jpg"])
    assert [item.camera_id for item in market1501.read(tmp_path).train] == [0, 1]


@pytest.mark.parametrize("name", ["Market-1501-v15.09.15", "market1501", "Market1501", "MARKET-1501"])
def test_the_folder_may_go_by_other_names(small_market: Path, name: str) -> None:
    (small_market / "Market-1501-v15.09.15").rename(small_market / name)
    assert len(market1501.read(small_market).train) == 4


def test_the_root_may_be_the_data_set_itself_or_hold_it_unpacked_into_itself(small_market: Path) -> None:
    folder = small_market / "Market-1501-v15.09.15"
    assert len(market1501.read(folder).train) == 4
    folder.rename(small_market / "inner")
    folder.mkdir()
    (small_market / "inner").rename(folder / "Market-1501-v15.09.15")
    assert len(market1501.read(small_market).train) == 4


def test_missing_data_say_where_was_looked_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "Market-1501-v15.09.15.zip").write_bytes(b"")
    with pytest.raises(DataNotFoundError) as raised:
        market1501.read(tmp_path)
    message = str(raised.value)
    for part in (str(tmp_path), "DATASETS.ROOT", "FASTREID_DATASETS", "D:\\datasets", "minimarket_demo.yml", "unpack it"):
        assert part in message


def test_an_incomplete_copy_says_what_is_missing(small_market: Path) -> None:
    (small_market / "Market-1501-v15.09.15" / "query").rename(small_market / "elsewhere")
    with pytest.raises(DataNotFoundError, match="is there, without query"):
        market1501.read(small_market)


def test_an_empty_folder_says_what_was_expected(small_market: Path) -> None:
    for image in (small_market / "Market-1501-v15.09.15" / "bounding_box_test").glob("*.jpg"):
        image.unlink()
    with pytest.raises(DataError, match=r"no images but 1 other entries, such as 'Thumbs.db'"):
        market1501.read(small_market)


def test_names_that_cannot_be_read_are_counted_with_an_example(small_market: Path, draw_images) -> None:
    draw_images(small_market / "Market-1501-v15.09.15" / "query", ["holiday.jpg"])
    with pytest.raises(DataError, match=r"1 of 3 image names .* 'holiday.jpg'"):
        market1501.read(small_market)


def test_a_distractor_that_is_trained_on_is_refused(small_market: Path, draw_images) -> None:
    draw_images(small_market / "Market-1501-v15.09.15" / "bounding_box_train", ["0000_c1s1_000001_00.jpg"])
    with pytest.raises(DataError, match="folder:PATH"):
        market1501.read(small_market)


def test_a_subset_is_taken_with_a_note(small_market: Path) -> None:
    notes = market1501.read(small_market).notes
    assert len(notes) == 1
    assert "4 training images (12,936)" in notes[0]


def test_mini_takes_the_lowest_identities_without_distractors(small_market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market1501, "MINI_IDENTITIES", 1)
    files = market1501.read_mini(small_market)
    assert [{item.person_id for item in part} for part in (files.train, files.query, files.gallery)] == [{2}, {1}, {1}]
    assert {item.dataset for item in files.gallery} == {"Market1501Mini"}


@pytest.mark.real_data
@pytest.mark.slow
def test_the_real_market1501_has_its_published_counts(real_market_root: Path) -> None:
    files = market1501.read(real_market_root)
    assert (len(files.train), len(files.query), len(files.gallery)) == (12_936, 3_368, 15_913)
    assert (num_identities(files.train), num_identities(files.query), num_cameras(files.train)) == (751, 750, 6)
    assert Counter(item.person_id == 0 for item in files.gallery)[True] == 2_798
    assert files.notes == ()


@pytest.mark.real_data
@pytest.mark.slow
def test_the_real_mini_has_its_counts(real_market_root: Path) -> None:
    files = market1501.read_mini(real_market_root)
    assert (len(files.train), len(files.query), len(files.gallery)) == (2_967, 686, 3_133)
    assert (max(item.person_id for item in files.train), max(item.person_id for item in files.query)) == (303, 294)
    assert files.notes == ()
