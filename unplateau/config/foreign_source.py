"""What a translation reads from and writes to: another code base's values with its defaults, and ours with their lines."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unplateau.config.entries import Entry, decode, shown
from unplateau.config.foreign_defaults import DATASET_NAMES, TRAINING_IMAGES

_TRUE_WORDS = frozenset({"yes", "on", "true", "1"})


@dataclass(frozen=True)
class Translation:
    """Entries in our keys, and what has to be said about them."""

    entries: dict[str, Entry]
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    code_base: str = ""
    """Whose file it was; empty = ours."""


class ForeignSource:
    """Reads another code base's keys, remembers which were read, and collects the translation."""

    def __init__(self, code_base: str, entries: Mapping[str, Entry], defaults: Mapping[str, Any], images: int | None) -> None:
        self.code_base = code_base
        self.entries = entries
        self.defaults = defaults
        self.notes: list[str] = []
        self.problems: list[str] = []
        self._images = images
        self._written: dict[str, Entry] = {}
        self._read: set[str] = set()

    def raw(self, key: str) -> Any:
        """The value as written, or the code base's default."""
        self._read.add(key)
        entry = self.entries.get(key)
        return self.defaults.get(key) if entry is None else entry.raw

    def is_set(self, key: str) -> bool:
        """Whether the file says it."""
        return key in self.entries

    def text(self, key: str) -> str:
        """A word; `('market1501')` is the word in it, and nothing is an empty word."""
        raw = self.raw(key)
        value = decode(raw) if isinstance(raw, str) and raw.strip()[:1] in ("(", "'", '"') else raw
        value = value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value
        return "" if value is None else str(value)

    def flag(self, key: str) -> bool:
        """'yes', 'on' and True are one."""
        return str(self.raw(key)).strip().lower() in _TRUE_WORDS

    def number(self, key: str) -> float:
        """A number; what is none becomes a problem."""
        raw = self.raw(key)
        value = decode(raw) if isinstance(raw, str) else raw
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _bounded(value)
        return float(self._wrong(key, "a number"))

    def numbers(self, key: str) -> list[float]:
        """A list of numbers; a single number is a list of one."""
        raw = self.raw(key)
        value = decode(raw) if isinstance(raw, str) else raw
        items = [
            decode(item) if isinstance(item, str) else item for item in (value if isinstance(value, (list, tuple)) else [value])
        ]
        if all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in items):
            return [_bounded(item) for item in items]
        return list(self._wrong(key, "numbers"))

    def put(self, key: str, value: Any, theirs: str) -> None:
        """Set our `key`, which comes from their key `theirs`."""
        self._written[key] = Entry(value, self.where(theirs))

    def put_if_set(self, key: str, theirs: str) -> None:
        """Set our `key` from theirs where the file says it; otherwise our default holds, since it is about the machine."""
        raw = self.raw(theirs)
        if self.is_set(theirs):
            self.put(key, raw, theirs)

    def refuse(self, key: str, reason: str) -> None:
        """Their `key` is active, matters, and has no counterpart."""
        self.problems.append(f"{self.where(key)}: {key} is {shown(self.raw(key))}, which is refused: {reason}.")

    def where(self, key: str) -> str:
        """The line of their key, or that it is their default."""
        return self.entries[key].where if key in self.entries else f"{self.code_base}'s default of {key}"

    def dataset_names(self) -> list[str]:
        """Their data sets under our names; names we do not know are kept."""
        raw = self.raw("DATASETS.NAMES")
        value = decode(raw) if isinstance(raw, str) else raw
        names = value if isinstance(value, (list, tuple)) else [value]
        return [DATASET_NAMES.get(str(name).lower(), str(name)) for name in names]

    def images_per_epoch(self) -> tuple[int, str]:
        """Training images, and where the number is from."""
        if self._images is not None:
            return self._images, "as given"
        return known_images(self.dataset_names())

    def unread(self) -> Iterator[tuple[str, Entry]]:
        """What was written and no step asked for."""
        return ((key, entry) for key, entry in self.entries.items() if key not in self._read)

    def translation(self, ours: Mapping[str, Entry]) -> Translation:
        """All of it; `ours` are entries already in our keys."""
        return Translation({**self._written, **ours}, tuple(self.notes), tuple(self.problems), self.code_base)

    def _wrong(self, key: str, expected: str) -> Any:
        self.problems.append(f"{self.where(key)}: {key} is {shown(self.raw(key))}, expected {expected}. Correct the value.")
        return self.defaults[key]


def known_images(names: list[str]) -> tuple[int, str]:
    """Return the training images of data sets, Market-1501's where one is not known, and where the number is from.

    >>> known_images(["Market1501"])
    (12936, "Market1501's")
    """
    if names and all(name in TRAINING_IMAGES for name in names):
        return sum(TRAINING_IMAGES[name] for name in names), f"{' and '.join(names)}'s"
    return TRAINING_IMAGES[
        "Market1501"
    ], "Market1501's, since the data set's size is not known; give --images-per-epoch to correct it"


def _bounded(value: float) -> float:
    """Nothing in a configuration is beyond this; it keeps arithmetic with a nonsense number finite."""
    return max(-1e12, min(1e12, value))


TranslationStep = Callable[[ForeignSource], None]
