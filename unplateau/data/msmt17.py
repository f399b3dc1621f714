"""MSMT17, versions 1 and 2, by its official list files. Wei et al., Person Transfer GAN to Bridge Domain Gap, CVPR 2018.

Training takes `list_train.txt` and `list_val.txt` together (32,621 images), as published numbers do. The lists number
training and test persons both from 0 although they are different people, so test persons are counted on from the last
training person here, and persons start at 1 (0 stands for distractors).
"""

from dataclasses import replace
from pathlib import Path

from unplateau.base.errors import DataError
from unplateau.data.items import DatasetFiles, Item
from unplateau.data.locate import Place, locate
from unplateau.data.official_counts import count_notes

_LISTS = ("list_train.txt", "list_val.txt", "list_query.txt", "list_gallery.txt")
_FOLDERS = {"MSMT17_V1": ("train", "test"), "MSMT17_V2": ("mask_train_v2", "mask_test_v2")}  # of images
_SOURCE = "the page of MSMT17 at Peking University (release agreement, by e-mail to its authors)"
PLACE_V1 = Place("MSMT17_V1", ("MSMT17_V1", "MSMT17"), ((*_FOLDERS["MSMT17_V1"], *_LISTS),), _SOURCE)
PLACE_V2 = Place("MSMT17_V2", ("MSMT17_V2", "MSMT17"), ((*_FOLDERS["MSMT17_V2"], *_LISTS),), _SOURCE)
PLACE_ANY = Place("MSMT17", ("MSMT17_V1", "MSMT17_V2", "MSMT17"), PLACE_V1.markers + PLACE_V2.markers, _SOURCE)


def read(root: Path) -> DatasetFiles:
    """Read MSMT17, version 1 where both are there. Raises DataNotFoundError and DataError."""
    folder = locate(PLACE_ANY, root)
    version = "MSMT17_V1" if (folder / "train").is_dir() else "MSMT17_V2"
    files = _read_lists(folder, version)
    return replace(files, notes=(*files.notes, f"MSMT17: version {version[-1]}, found at {folder}."))


def read_v1(root: Path) -> DatasetFiles:
    """Read MSMT17 version 1. Raises DataNotFoundError and DataError."""
    return _read_lists(locate(PLACE_V1, root), "MSMT17_V1")


def read_v2(root: Path) -> DatasetFiles:
    """Read MSMT17 version 2, faces masked. Raises DataNotFoundError and DataError."""
    return _read_lists(locate(PLACE_V2, root), "MSMT17_V2")


def _read_lists(folder: Path, version: str) -> DatasetFiles:
    train_images, test_images = (folder / name for name in _FOLDERS[version])
    train_list, held_list, query_list, gallery_list = (folder / name for name in _LISTS)
    train = _read_list(train_list, train_images, version, first=1) + _read_list(held_list, train_images, version, first=1)
    if not train:
        raise DataError(f"{train_list} lists no images. Unpack the archive again, whole.")
    first_test = max(item.person_id for item in train) + 1
    query = _read_list(query_list, test_images, version, first=first_test)
    gallery = _read_list(gallery_list, test_images, version, first=first_test)
    files = DatasetFiles(version, train, query, gallery)
    return replace(files, notes=count_notes(files))


def _read_list(path: Path, images: Path, version: str, *, first: int) -> tuple[Item, ...]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return tuple(_item(line, path, images, version, first) for line in lines if line.strip())


def _item(line: str, path: Path, images: Path, version: str, first: int) -> Item:
    """Read a line such as `0000/0000_000_01_0303morning_0015_0.jpg 0`: the third part of the name is the camera, from 1."""
    try:
        name, person = line.rsplit(maxsplit=1)
        camera = int(Path(name).name.split("_")[2])
        return Item(str(images.absolute() / name), int(person) + first, camera - 1, version)
    except (ValueError, IndexError):
        raise DataError(
            f"{path}: the line {line!r} cannot be read; expected "
            "'0000/0000_000_01_0303morning_0015_0.jpg 0'. Take the list from the archive again."
        ) from None
