"""What is odd about the images themselves: unreadable, blank, of extreme size, or there twice. Decodes as many as time allows."""

import hashlib
import os
import random
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image

from unplateau.base.randomness import stream_seed
from unplateau.data.items import Item
from unplateau.data.lint_record import LintFinding, examples

_BLANK_RANGE = 8  # grey levels between darkest and brightest: more than JPEG's own noise on an even surface, less than any scene
_SMALLEST_SIDE = 16  # pixels
_LARGEST_SIDE = 4096
_LONGEST_SHAPE = 6.0  # longer side over shorter; persons are about 2 to 3, Market-1501 is 2


@dataclass(frozen=True, slots=True)
class _Look:
    """What decoding one image told."""

    item: Item
    bytes_hash: bytes
    pixels_hash: bytes
    size: tuple[int, int]
    blank: bool


def lint_pixels(items: Sequence[Item], *, seconds: float, seed: int, clock: Callable[[], float]) -> tuple[LintFinding, ...]:
    """Decode images in a random order until the time is up, and say what is odd about them.

    Args:
        items: images to choose from.
        seconds: time to spend; 0 or less looks at none.
        seed: of the order.
        clock: seconds.
    """
    if seconds <= 0:
        return ()
    looks, unreadable = _look_at(items, seconds, seed, clock)
    of = f"of {len(looks) + len(unreadable):,} images looked at ({len(items):,} in all)"
    return (*_unreadable(unreadable, of), *_odd_ones(looks, of), *_twice(looks, of))


def _look_at(
    items: Sequence[Item], seconds: float, seed: int, clock: Callable[[], float]
) -> tuple[list[_Look], list[tuple[Item, str]]]:
    order = list(items)
    random.Random(stream_seed(seed, "lint")).shuffle(order)
    looks: list[_Look] = []
    unreadable: list[tuple[Item, str]] = []
    end = clock() + seconds
    for item in order:
        if clock() >= end:
            break
        try:
            looks.append(_look(item))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # all that PIL raises on broken files
            unreadable.append((item, str(error).partition("\n")[0]))
    return looks, unreadable


def _look(item: Item) -> _Look:
    content = Path(item.path).read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PIL warns of odd metadata, which is of no consequence here
        with Image.open(BytesIO(content)) as opened:
            image = opened.convert("RGB")
    low, high = image.convert("L").getextrema()
    pixels = image.tobytes() + repr(image.size).encode()
    return _Look(item, _hash(content), _hash(pixels), image.size, int(high) - int(low) <= _BLANK_RANGE)  # type: ignore[arg-type]


def _unreadable(unreadable: list[tuple[Item, str]], of: str) -> Iterator[LintFinding]:
    if unreadable:
        named = [f"{_name(item)}: {reason}" for item, reason in unreadable]
        yield LintFinding(
            "unreadable_images",
            "error",
            f"{len(unreadable):,} {of} cannot be read ({examples(named)}).",
            "Training would stop at them. Copy or unpack them again, or take them out.",
        )


def _odd_ones(looks: list[_Look], of: str) -> Iterator[LintFinding]:
    blank = [_name(look.item) for look in looks if look.blank]
    if blank:
        yield LintFinding(
            "blank_images",
            "warning",
            f"{len(blank):,} {of} are of one colour ({examples(blank)}).",
            "They show nobody. Take them out.",
        )
    extreme = [f"{_name(look.item)}: {look.size[0]}x{look.size[1]}" for look in looks if _is_extreme(look.size)]
    if extreme:
        yield LintFinding(
            "extreme_sizes",
            "warning",
            f"{len(extreme):,} {of} are of an odd size, width x height ({examples(extreme)}).",
            "Are they crops of one person each? They will be resized to INPUT.SIZE_TRAIN and be distorted.",
        )


def _is_extreme(size: tuple[int, int]) -> bool:
    shorter, longer = sorted(size)
    return shorter < _SMALLEST_SIDE or longer > _LARGEST_SIDE or longer > _LONGEST_SHAPE * shorter


def _twice(looks: list[_Look], of: str) -> Iterator[LintFinding]:
    same_bytes = _groups(looks, lambda look: look.bytes_hash)
    same_pixels = [group for group in _groups(looks, lambda look: look.pixels_hash) if len({o.bytes_hash for o in group}) > 1]
    groups = same_bytes + same_pixels
    conflicts = [group for group in groups if len({look.item.person_id for look in group}) > 1]
    plain = [group for group in groups if len({look.item.person_id for look in group}) == 1]
    if conflicts:
        yield LintFinding(
            "same_image_different_identity",
            "warning",
            f"{len(conflicts):,} images, {of}, are there again under another identity ({examples(_pairs(conflicts))}).",
            "One of the labels is wrong, or a training image is in the test set. Take one of each out.",
        )
    if plain:
        yield LintFinding(
            "duplicate_images",
            "info",
            f"{len(plain):,} images, {of}, are there more than once, {len(same_pixels):,} of them in other bytes "
            f"({examples(_pairs(plain))}).",
            "In training they only count double; a query that is in the gallery too is too easy unless its camera is known.",
        )


def _groups(looks: list[_Look], key: Callable[[_Look], bytes]) -> list[list[_Look]]:
    by_key: dict[bytes, list[_Look]] = defaultdict(list)
    for look in looks:
        by_key[key(look)].append(look)
    groups = [sorted(group, key=lambda look: look.item.path) for group in by_key.values() if len(group) > 1]
    return sorted(groups, key=lambda group: group[0].item.path)


def _pairs(groups: list[list[_Look]]) -> list[str]:
    return [f"{_place(group[0].item)} = {_place(group[1].item)}" for group in groups]


def _place(item: Item) -> str:
    return "/".join(Path(item.path).parts[-3:])


def _name(item: Item) -> str:
    return item.path.rpartition(os.sep)[2]


def _hash(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
