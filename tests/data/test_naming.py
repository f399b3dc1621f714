from pathlib import Path

from unplateau.data.items import DatasetFiles, Item
from unplateau.data.naming import named_apart


def _files(name: str) -> DatasetFiles:
    items = (Item("/anywhere/a.jpg", 1, 0, name),)
    return DatasetFiles(name, items, items, items)


def _names(*keys_and_names: tuple[str, str]) -> list[str]:
    return [files.name for files in named_apart({key: _files(name) for key, name in keys_and_names}).values()]


def _folder(*parts: str) -> str:
    return f"folder:{Path(Path.cwd().anchor, *parts)}"


def test_names_that_differ_stay() -> None:
    assert _names(("Market1501", "Market1501"), (_folder("x", "test"), "test")) == ["Market1501", "test"]


def test_folders_of_one_name_get_their_parents_names() -> None:
    assert _names((_folder("x", "a", "test"), "test"), (_folder("x", "b", "test"), "test")) == ["a_test", "b_test"]


def test_as_many_parents_are_named_as_it_takes() -> None:
    assert _names((_folder("a", "x", "test"), "test"), (_folder("b", "x", "test"), "test")) == ["a_x_test", "b_x_test"]


def test_a_folder_called_like_a_known_set_gives_way_to_it() -> None:
    assert _names(("Market1501", "Market1501"), (_folder("x", "Market1501"), "Market1501")) == ["Market1501", "x_Market1501"]


def test_a_table_is_called_without_its_ending() -> None:
    table = f"csv:{Path(Path.cwd().anchor, 'b', 'mine.csv')}"
    assert _names((_folder("a", "mine"), "mine"), (table, "mine")) == ["a_mine", "b_mine"]


def test_functions_that_give_one_name_are_numbered() -> None:
    assert _names(("lab.sets:one", "lab"), ("lab.sets:two", "lab")) == ["lab_1", "lab_2"]


def test_images_carry_the_new_name() -> None:
    sets = named_apart({_folder("a", "test"): _files("test"), _folder("b", "test"): _files("test")})
    assert [files.query[0].dataset for files in sets.values()] == ["a_test", "b_test"]
