import sys
from pathlib import Path

import pytest

from unplateau.base.errors import ConfigError, DataError
from unplateau.data.find import find_dataset
from unplateau.data.items import DatasetFiles, Item


def own(root: Path) -> DatasetFiles:
    return DatasetFiles("own", (Item(str(root / "a.jpg"), 1, 0, "own"),), (), (Item("b.jpg", 0, 0, "own"),))


def numbered_from_zero(root: Path) -> DatasetFiles:
    return DatasetFiles("own", (Item(str(root / "a.jpg"), 0, 0, "own"),), (), ())


def of_plain_tuples(root: Path) -> DatasetFiles:
    return DatasetFiles("own", ((str(root / "a.jpg"), 1, 0),), (), ())  # type: ignore[arg-type]


def a_list(root: Path) -> list[str]:
    return [str(root)]


def test_the_users_own_function_is_called_with_the_root(tmp_path: Path) -> None:
    assert find_dataset(f"{__name__}:own", tmp_path).train[0].path == str(tmp_path / "a.jpg")


def test_a_module_in_the_working_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "from unplateau.data.items import DatasetFiles\ndef read(root):\n    return DatasetFiles('shop', (), (), ())\n"
    (tmp_path / "shop_of_the_test.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    path_before = list(sys.path)
    assert find_dataset("shop_of_the_test:read", tmp_path).name == "shop"
    assert sys.path == path_before


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("a_list", "returned list; expected unplateau.data.items.DatasetFiles"),
        ("of_plain_tuples", "of type tuple; expected unplateau.data.items.Item"),
        ("numbered_from_zero", "1 train images with a person below 1"),
    ],
)
def test_what_it_returns_is_looked_over(tmp_path: Path, function: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_dataset(f"{__name__}:{function}", tmp_path)


def test_a_function_that_is_not_there_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    for name in ("no_such_module:read", f"{__name__}:no_such_function"):
        with pytest.raises(ConfigError, match="no module|no function"):
            find_dataset(name, tmp_path)
