from collections import Counter
from pathlib import Path

import pytest

from unplateau.base.errors import DataError, DataNotFoundError
from unplateau.data import market1501_mini
from unplateau.data.flat_sets import DUKEMTMC, MARKET1501, VERI
from unplateau.data.items import num_cameras, num_identities
from unplateau.data.market1501_mini import read_mini


def test_person_and_camera_are_those_of_the_file_name_and_cameras_start_at_zero(small_market: Path) -> None:
    files = MARKET1501.read(small_market)
    assert [(item.person_id, item.camera_id) for item in files.train] == [(2, 0), (2, 1), (7, 0), (7, 1)]
    assert [(item.person_id, item.camera_id) for item in files.query] == [(1, 0), (3, 1)]
    assert {item.dataset for item in files.train} == {"Market1501"}
    assert all(Path(item.path).is_file() for item in files.train + files.query + files.gallery)


def test_junk_is_dropped_and_distractors_stay_in_the_gallery(small_market: Path) -> None:
    assert sorted(item.person_id for item in MARKET1501.read(small_market).gallery) == [0, 1, 3]


def test_the_order_is_that_of_the_names(small_market: Path) -> None:
    names = [Path(item.path).name for item in MARKET1501.read(small_market).train]
    assert names == sorted(names)


def test_a_copy_that_counts_cameras_from_zero_keeps_its_numbers(tmp_path: Path, draw_images) -> None:
    for folder, names in (("bounding_box_train", ["1_c0_0.jpg", "1_c1_0.jpg"]), ("query", ["2_c0_0.jpg"])):
        draw_images(tmp_path / "market1501" / folder, names)
    draw_images(tmp_path / "market1501" / "bounding_box_test", ["2_c1_0.jpg"])
    assert [item.camera_id for item in MARKET1501.read(tmp_path).train] == [0, 1]


@pytest.mark.parametrize("name", ["Market-1501-v15.09.15", "market1501", "Market1501", "MARKET-1501"])
def test_the_folder_may_go_by_other_names(small_market: Path, name: str) -> None:
    (small_market / "Market-1501-v15.09.15").rename(small_market / name)
    assert len(MARKET1501.read(small_market).train) == 4


def test_the_root_may_be_the_data_set_itself_or_hold_it_unpacked_into_itself(small_market: Path) -> None:
    folder = small_market / "Market-1501-v15.09.15"
    assert len(MARKET1501.read(folder).train) == 4
    folder.rename(small_market / "inner")
    folder.mkdir()
    (small_market / "inner").rename(folder / "Market-1501-v15.09.15")
    assert len(MARKET1501.read(small_market).train) == 4


def test_missing_data_say_where_was_looked_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "Market-1501-v15.09.15.zip").write_bytes(b"")
    with pytest.raises(DataNotFoundError) as raised:
        MARKET1501.read(tmp_path)
    message = str(raised.value)
    for part in (str(tmp_path), "DATASETS.ROOT", "FASTREID_DATASETS", "D:\\datasets", "minimarket_demo.yml", "unpack it"):
        assert part in message


def test_an_incomplete_copy_says_what_is_missing(small_market: Path) -> None:
    (small_market / "Market-1501-v15.09.15" / "query").rename(small_market / "elsewhere")
    with pytest.raises(DataNotFoundError, match="is there, without query"):
        MARKET1501.read(small_market)


def test_an_empty_folder_says_what_was_expected(small_market: Path) -> None:
    for image in (small_market / "Market-1501-v15.09.15" / "bounding_box_test").glob("*.jpg"):
        image.unlink()
    with pytest.raises(DataError, match=r"no images but 1 other entries, such as 'Thumbs.db'"):
        MARKET1501.read(small_market)


def test_names_that_cannot_be_read_are_counted_with_an_example(small_market: Path, draw_images) -> None:
    draw_images(small_market / "Market-1501-v15.09.15" / "query", ["holiday.jpg"])
    with pytest.raises(DataError, match=r"1 of 3 image names .* 'holiday.jpg'"):
        MARKET1501.read(small_market)


def test_a_distractor_that_is_trained_on_is_refused(small_market: Path, draw_images) -> None:
    draw_images(small_market / "Market-1501-v15.09.15" / "bounding_box_train", ["0000_c1s1_000001_00.jpg"])
    with pytest.raises(DataError, match="folder:PATH"):
        MARKET1501.read(small_market)


def test_a_subset_is_taken_with_a_note(small_market: Path) -> None:
    notes = MARKET1501.read(small_market).notes
    assert len(notes) == 1
    assert "4 training images (12,936)" in notes[0]


def test_mini_takes_the_lowest_identities_without_distractors(small_market: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market1501_mini, "MINI_IDENTITIES", 1)
    files = read_mini(small_market)
    assert [{item.person_id for item in part} for part in (files.train, files.query, files.gallery)] == [{2}, {1}, {1}]
    assert {item.dataset for item in files.gallery} == {"Market1501Mini"}


@pytest.mark.real_data
@pytest.mark.slow
def test_the_real_market1501_has_its_published_counts(real_market_root: Path) -> None:
    files = MARKET1501.read(real_market_root)
    assert (len(files.train), len(files.query), len(files.gallery)) == (12_936, 3_368, 15_913)
    assert (num_identities(files.train), num_identities(files.query), num_cameras(files.train)) == (751, 750, 6)
    assert Counter(item.person_id == 0 for item in files.gallery)[True] == 2_798
    assert files.notes == ()


@pytest.mark.real_data
@pytest.mark.slow
def test_the_real_mini_has_its_counts(real_market_root: Path) -> None:
    files = read_mini(real_market_root)
    assert (len(files.train), len(files.query), len(files.gallery)) == (2_967, 686, 3_133)
    assert (max(item.person_id for item in files.train), max(item.person_id for item in files.query)) == (303, 294)
    assert files.notes == ()


def test_veri_is_read_from_its_official_folders(tmp_path: Path, draw_images) -> None:
    draw_images(tmp_path / "VeRi" / "image_train", ["0001_c001_00016450_0.jpg", "0001_c020_00016460_0.jpg"])
    draw_images(tmp_path / "VeRi" / "image_query", ["0002_c002_00030600_0.jpg"])
    draw_images(tmp_path / "VeRi" / "image_test", ["0002_c003_00030605_1.jpg"])
    files = VERI.read(tmp_path)
    assert [(item.person_id, item.camera_id) for item in files.train] == [(1, 0), (1, 19)]
    assert [(item.person_id, item.camera_id) for item in files.gallery] == [(2, 2)]


def test_dukemtmc_is_read_from_its_official_folders(tmp_path: Path, draw_images) -> None:
    draw_images(tmp_path / "DukeMTMC-reID" / "bounding_box_train", ["0001_c2_f0046182.jpg", "0001_c8_f0046302.jpg"])
    draw_images(tmp_path / "DukeMTMC-reID" / "query", ["0005_c2_f0046985.jpg"])
    draw_images(tmp_path / "DukeMTMC-reID" / "bounding_box_test", ["0005_c5_f0051341.jpg"])
    files = DUKEMTMC.read(tmp_path)
    assert [(item.person_id, item.camera_id) for item in files.train] == [(1, 1), (1, 7)]
    assert "2 training images (16,522)" in files.notes[0]
