from functools import partial
from pathlib import Path

import pytest

from unplateau.base.errors import ConfigError, DataError, DataNotFoundError
from unplateau.config.schema import Config
from unplateau.data import minimarket
from unplateau.data.find import READERS, canonical_name, find_dataset, find_items, find_root
from unplateau.data.lint import lint


def datasets(**keys: object) -> Config:
    return Config.model_validate({"DATASETS": keys})


@pytest.fixture
def second_set(tmp_path: Path, draw_images) -> Path:
    folder = tmp_path / "second"
    draw_images(folder, ["train/1/a_c1.jpg", "train/2/a_c2.jpg", "query/3/a_c1.jpg", "gallery/3/a_c2.jpg", "gallery/0/a_c2.jpg"])
    return folder


def test_the_root_is_the_first_place_that_is_named() -> None:
    both = {"FASTREID_DATASETS": "/one", "REID_DATA": "/two"}
    assert find_root(datasets(ROOT="/mine"), both) == Path("/mine")
    assert find_root(datasets(), both) == Path("/one")
    assert find_root(datasets(), {"REID_DATA": "/two", "FASTREID_DATASETS": ""}) == Path("/two")
    assert find_root(datasets(), {}) == Path("datasets")


@pytest.mark.parametrize(
    ("written", "name"),
    [("market1501", "Market1501"), ("Market-1501", "Market1501"), ("DukeMTMC-reID", "DukeMTMC"), ("veri_776", "VeRi")]
    + [(name, name) for name in READERS]
    + [
        ("Folder:some/where", "folder:some/where"),
        ("csv:C:\\data\\mine.csv", "csv:C:\\data\\mine.csv"),
        ("my.sets:shop", "my.sets:shop"),
    ],
)
def test_names_are_taken_as_people_write_them(written: str, name: str) -> None:
    assert canonical_name(written) == name


def test_an_unknown_name_gets_a_proposal() -> None:
    with pytest.raises(ConfigError, match="'Markt1501'. Did you mean Market1501"):
        canonical_name("Markt1501")


@pytest.mark.parametrize("name", sorted(set(READERS) - {"MiniMarket"}))
def test_no_data_set_is_ever_replaced_by_another(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"DATASETS\.NAMES: \w+ was not found"):
        find_items(datasets(ROOT=str(tmp_path), NAMES=(name,)))


def test_one_data_set_keeps_its_numbers(small_market: Path) -> None:
    found = find_items(datasets(ROOT=str(small_market)))
    assert [(item.person_id, item.camera_id) for item in found.train] == [(2, 0), (2, 1), (7, 0), (7, 1)]
    assert [test.name for test in found.tests] == ["Market1501"]
    assert len(found.notes) == 1


def test_persons_and_cameras_of_several_sets_never_share_an_id(small_market: Path, second_set: Path) -> None:
    names = ("Market1501", f"folder:{second_set}")
    found = find_items(datasets(ROOT=str(small_market), NAMES=names, TESTS=names))
    everything = [*found.train, *(item for test in found.tests for item in test.query + test.gallery)]
    for attribute in ("person_id", "camera_id"):
        market, second = (
            {getattr(item, attribute) for item in everything if (item.dataset == "second") is own}
            - {0 if attribute == "person_id" else -1}
            for own in (False, True)
        )
        assert market and second
        assert not market & second


def test_distractors_stay_distractors_when_sets_are_joined(small_market: Path, second_set: Path) -> None:
    found = find_items(datasets(ROOT=str(small_market), TESTS=("Market1501", f"folder:{second_set}")))
    assert [sum(item.person_id == 0 for item in test.gallery) for test in found.tests] == [1, 1]


def test_a_set_and_its_subset_share_their_numbers(small_market: Path) -> None:
    found = find_items(datasets(ROOT=str(small_market), NAMES=("Market1501", "Market1501Mini"), TESTS=("Market1501Mini",)))
    assert [item.person_id for item in found.train] == [2, 2, 7, 7]
    assert {item.person_id for item in found.tests[0].query} == {1, 3}


def test_two_spellings_of_a_folder_are_one_data_set(second_set: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(second_set.parent)
    found = find_items(datasets(NAMES=("folder:second", f"folder:{second_set}"), TESTS=("folder:./second",)))
    assert len(found.train) == 2
    assert found.tests[0].query[0].person_id == 3


def test_a_relative_folder_is_looked_for_under_the_root_too(second_set: Path) -> None:
    assert len(find_dataset("folder:second", second_set.parent).train) == 2


def test_combine_all_trains_on_persons_of_query_and_gallery_but_not_on_distractors(small_market: Path) -> None:
    found = find_items(datasets(ROOT=str(small_market), COMBINEALL=True))
    assert {item.person_id for item in found.train} == {1, 2, 3, 7}
    assert any("COMBINEALL" in note for note in found.notes)


def test_no_test_set_is_allowed_but_an_empty_one_is_not(tmp_path: Path, draw_images) -> None:
    draw_images(tmp_path / "mine", ["anna/a.jpg", "bob/a.jpg"])
    name = f"folder:{tmp_path / 'mine'}"
    assert find_items(datasets(NAMES=(name,), TESTS=())).tests == ()
    with pytest.raises(DataError, match="has no query and gallery images"):
        find_items(datasets(NAMES=(name,), TESTS=(name,)))


def test_minimarket_is_drawn_once_and_then_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    few = partial(minimarket.render, num_train_identities=3, num_test_identities=2)
    monkeypatch.setattr(minimarket, "render", few)
    found = find_items(datasets(ROOT=str(tmp_path / "nowhere"), NAMES=("MiniMarket",), TESTS=("MiniMarket",)))
    assert found.train and found.tests[0].query
    monkeypatch.setattr(minimarket, "render", None)
    assert find_dataset("MiniMarket", tmp_path / "nowhere").train == found.train
    assert {finding.severity for finding in lint(found, pixel_seconds=5)} <= {"info"}
