"""Ids for images whose persons and cameras are known by words: the user's own folders and tables. Reads no file."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unplateau.data.items import DISTRACTOR, JUNK, UNKNOWN_CAMERA, DatasetFiles, Item

SPLITS = ("train", "query", "gallery")
_FEW = 8  # camera names listed in a note


@dataclass(frozen=True, slots=True)
class Sighting:
    """One image as its source describes it; `camera` is empty where it is unknown."""

    path: str
    person: str
    camera: str
    split: str


def identify(name: str, sightings: Sequence[Sighting], notes: tuple[str, ...] = ()) -> DatasetFiles:
    """Number the persons and cameras of a data set of the user's own.

    Persons that are all numbers keep them, with Market-1501's meaning of -1 (junk, dropped) and of 0 where it stands in the
    gallery only (distractor). Otherwise they are numbered from 1 in the order of their names. Cameras are numbered from 0.

    Args:
        name: of the data set, as reports show it.
        sightings: its images; their order is kept within each split.
        notes: what the reader has to say.
    """
    kept = [sighting for sighting in sightings if sighting.person != str(JUNK)]
    persons, person_notes = _person_ids(kept)
    cameras, camera_notes = _camera_ids(kept)
    parts: dict[str, list[Item]] = {split: [] for split in SPLITS}
    for one in kept:
        parts[one.split].append(Item(one.path, persons[one.person], cameras[one.camera], name))
    train, query, gallery = (tuple(parts[split]) for split in SPLITS)
    said = tuple(f"{name}: {note}" for note in (*notes, *person_notes, *camera_notes))
    return DatasetFiles(name, train, query, gallery, said)


def natural_order(words: Iterable[str]) -> list[str]:
    """Return distinct words in the order a person would put them.

    >>> natural_order(["cam10", "cam2", "cam2"])
    ['cam2', 'cam10']
    """
    return sorted(set(words), key=lambda word: ([(len(run), run) for run in re.findall(r"\d+|\D", word)], word))


def _person_ids(sightings: Sequence[Sighting]) -> tuple[dict[str, int], tuple[str, ...]]:
    words = {one.person for one in sightings}
    if words and all(word.isascii() and word.isdigit() for word in words):
        searched = {int(one.person) for one in sightings if one.split != "gallery"}
        shift = 1 if DISTRACTOR in searched else 0
        note = ("persons are numbered from 0; 1 is added to each, because 0 stands for distractors here.",) if shift else ()
        return {word: int(word) + shift for word in words}, note
    order = natural_order(words)
    return {word: number for number, word in enumerate(order, start=1)}, (
        f"persons are known by name and were numbered in order: {order[0]!r} is 1, {order[-1]!r} is {len(order)}."
        if order
        else "",
    )


def _camera_ids(sightings: Sequence[Sighting]) -> tuple[dict[str, int], tuple[str, ...]]:
    words = {one.camera: _without_zeros(one.camera) for one in sightings}
    order = natural_order(word for word in words.values() if word)
    if not order:
        return dict.fromkeys(words, UNKNOWN_CAMERA), (
            "no camera is known, so a person's images of one camera count as right answers too, which is easier.",
        )
    number = {word: place for place, word in enumerate(order)} | {"": UNKNOWN_CAMERA}
    listed = ", ".join(order[:_FEW]) + (", ..." if len(order) > _FEW else "")
    return {word: number[plain] for word, plain in words.items()}, (f"{len(order)} cameras ({listed}).",)


def _without_zeros(word: str) -> str:
    """Return a number without leading zeros, so that `c01` and `c1` are one camera; any other word as it is."""
    return str(int(word)) if word.isascii() and word.isdigit() else word
