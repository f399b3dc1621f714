"""From the names in a configuration to images: the table of data sets, and several of them in one run.

Reading one data set is in its own file (`flat_sets`, `folder`, `table`, ...); where it lies, in `locate`.
"""

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from unplateau.base.errors import ConfigError, DataError, DataNotFoundError
from unplateau.config.schema import Config
from unplateau.data import cuhk03, drawn, msmt17
from unplateau.data.fingerprint import fingerprint, fingerprint_found
from unplateau.data.flat_sets import FLAT_READERS
from unplateau.data.folder import read_folder
from unplateau.data.items import DISTRACTOR, UNKNOWN_CAMERA, DatasetFiles, Found, Item, RetrievalItems
from unplateau.data.locate import find_root
from unplateau.data.market1501_mini import read_mini
from unplateau.data.naming import named_apart
from unplateau.data.own_set import read_own
from unplateau.data.table import read_table

__all__ = ["READERS", "canonical_name", "find_dataset", "find_items", "find_root", "fingerprint", "fingerprint_found"]

READERS: dict[str, Callable[[Path], DatasetFiles]] = {
    **FLAT_READERS,
    "Market1501Mini": read_mini,
    "MiniMarket": drawn.read_minimarket,
    "MSMT17": msmt17.read,
    "MSMT17_V1": msmt17.read_v1,
    "MSMT17_V2": msmt17.read_v2,
    "CUHK03": cuhk03.read_labeled,
    "CUHK03Labeled": cuhk03.read_labeled,
    "CUHK03Detected": cuhk03.read_detected,
}
_ALSO_CALLED = {"dukemtmcreid": "DukeMTMC", "veri776": "VeRi", "market": "Market1501", "cuhk03np": "CUHK03", "msmt": "MSMT17"}
_SAME_PERSONS = {  # data sets that share their persons and cameras, and so their ids
    "Market1501Mini": "Market1501",
    "MSMT17_V1": "MSMT17",
    "MSMT17_V2": "MSMT17",
    "CUHK03Labeled": "CUHK03",
    "CUHK03Detected": "CUHK03",
}
_OWN_FUNCTION = re.compile(r"([A-Za-z_][\w.]*):([A-Za-z_]\w*)")


def find_items(config: Config) -> Found:
    """Return all images a configuration trains and tests on.

    The persons and cameras of the first data set keep their numbers; those of the next are counted on from there, so that no
    two data sets share one.

    Raises:
        ConfigError: a name is not known.
        DataNotFoundError: a data set is not there.
        DataError: a data set cannot be used for what it is asked for.
    """
    root = find_root(config)
    train_names, test_names = (
        tuple(dict.fromkeys(_absolute(canonical_name(name), root) for name in names))
        for names in (config.DATASETS.NAMES, config.DATASETS.TESTS)
    )
    read = {name: _read(name, root, key="NAMES") for name in train_names}
    read |= {name: _read(name, root, key="TESTS") for name in test_names if name not in read}
    sets = _made_distinct(named_apart(read))
    train, train_notes = _training([sets[name] for name in train_names], combine=config.DATASETS.COMBINEALL)
    tests = tuple(_test(sets[name]) for name in test_names)
    notes = (*(note for files in sets.values() for note in files.notes), *train_notes)
    return Found(train, tests, notes)


def find_dataset(name: str, root: Path) -> DatasetFiles:
    """Return one data set as it lies on disk.

    Args:
        name: of the table above, without regard to case; `folder:PATH`, `csv:FILE`, or `package.module:function`.
        root: the folder that holds the data sets.

    Raises:
        ConfigError: the name is not known.
        DataNotFoundError, DataError: see `find_items`.
    """
    name = _absolute(canonical_name(name), root)
    kind, _, place = name.partition(":")
    if kind == "folder":
        return read_folder(Path(place))
    if kind == "csv":
        return read_table(Path(place))
    if place:
        return read_own(name, root)
    return READERS[name](root)


def canonical_name(name: str) -> str:
    """Return a data set's name as the table spells it; paths and functions of the user's own as they are.

    >>> canonical_name("market-1501")
    'Market1501'

    Raises:
        ConfigError: it is not known.
    """
    kind, _, place = name.strip().partition(":")
    if kind.lower() in ("folder", "csv") and place.strip():
        return f"{kind.lower()}:{place.strip()}"
    if _OWN_FUNCTION.fullmatch(name.strip()):
        return name.strip()
    spellings = {_plain(known): known for known in READERS} | _ALSO_CALLED
    if _plain(name) in spellings:
        return spellings[_plain(name)]
    close = difflib.get_close_matches(_plain(name), spellings, n=1, cutoff=0.6)
    hint = f" Did you mean {spellings[close[0]]}?" if close else ""
    raise ConfigError(
        [
            f"DATASETS.NAMES and DATASETS.TESTS: there is no data set {name!r}.{hint} Known are {', '.join(READERS)}, "
            "and for data of your own folder:PATH, csv:FILE or package.module:function."
        ]
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _read(name: str, root: Path, *, key: str) -> DatasetFiles:
    try:
        return find_dataset(name, root)
    except DataNotFoundError as error:
        raise DataNotFoundError(f"DATASETS.{key}: {error}") from error


def _absolute(name: str, root: Path) -> str:
    """Return the name with its path made absolute, so that two spellings of one folder are one data set."""
    kind, _, place = name.partition(":")
    if kind not in ("folder", "csv"):
        return name
    path = Path(place).expanduser()
    return f"{kind}:{(path if path.exists() or not (root / path).exists() else root / path).resolve()}"


@dataclass(frozen=True)
class _Offset:
    """What is added to the ids of a data set."""

    person: int
    camera: int


def _made_distinct(sets: dict[str, DatasetFiles]) -> dict[str, DatasetFiles]:
    offsets: dict[str, _Offset] = {}
    following = _Offset(0, 0)
    for family in dict.fromkeys(_SAME_PERSONS.get(name, name) for name in sets):
        members = [files for name, files in sets.items() if _SAME_PERSONS.get(name, name) == family]
        items = [item for files in members for item in (*files.train, *files.query, *files.gallery)]
        offsets[family] = following
        following = _Offset(
            following.person + max((item.person_id for item in items), default=0),
            following.camera + max((item.camera_id for item in items), default=UNKNOWN_CAMERA) + 1,
        )
    return {name: _moved(files, offsets[_SAME_PERSONS.get(name, name)]) for name, files in sets.items()}


def _moved(files: DatasetFiles, offset: _Offset) -> DatasetFiles:
    if offset == _Offset(0, 0):
        return files
    train, query, gallery = (
        tuple(_moved_item(item, offset) for item in part) for part in (files.train, files.query, files.gallery)
    )
    return replace(files, train=train, query=query, gallery=gallery)


def _moved_item(item: Item, offset: _Offset) -> Item:
    person = item.person_id + offset.person if item.person_id > DISTRACTOR else item.person_id
    camera = item.camera_id + offset.camera if item.camera_id != UNKNOWN_CAMERA else UNKNOWN_CAMERA
    return Item(item.path, person, camera, item.dataset)


def _training(sets: list[DatasetFiles], *, combine: bool) -> tuple[tuple[Item, ...], tuple[str, ...]]:
    for files in sets:
        if not files.train:
            raise DataError(f"DATASETS.NAMES: {files.name} has no training images. Name it in DATASETS.TESTS alone.")
    parts = [files.train for files in sets]
    notes: tuple[str, ...] = ()
    if combine:
        parts += [part for files in sets for part in (files.query, files.gallery)]
        notes = ("DATASETS.COMBINEALL: query and gallery are trained on; a score on them says nothing about new persons.",)
    return _each_once(item for part in parts for item in part if item.person_id > DISTRACTOR), notes


def _each_once(items: Iterable[Item]) -> tuple[Item, ...]:
    return tuple({item.path: item for item in items}.values())


def _test(files: DatasetFiles) -> RetrievalItems:
    if not files.query or not files.gallery:
        lacking = " and ".join(part for part in ("query", "gallery") if not getattr(files, part))
        raise DataError(
            f"DATASETS.TESTS: {files.name} has no {lacking} images, so nothing can be retrieved from it. Give it a query and a "
            "gallery folder, or name another test set; training alone works with DATASETS.TESTS []."
        )
    return RetrievalItems(files.name, files.query, files.gallery)
