"""Cloth, hair and skin as paints to be wrapped around solids. No body, no camera.

The palette is small on purpose: colour alone must not tell identities apart.

Shapes: R rows of a paint (from hem to neck), A columns (around the body, front in the middle).
"""

import numpy as np
from numpy.typing import NDArray

from unplateau.data.minimarket.raster import Floats

Colour = tuple[float, float, float]

CLOTH: dict[str, Colour] = {
    "black": (0.10, 0.10, 0.12),
    "white": (0.88, 0.87, 0.85),
    "grey": (0.48, 0.49, 0.50),
    "navy": (0.15, 0.19, 0.36),
    "blue": (0.27, 0.47, 0.72),
    "red": (0.70, 0.16, 0.18),
    "green": (0.24, 0.48, 0.31),
    "khaki": (0.54, 0.49, 0.33),
}
LOWER_CLOTH = ("black", "navy", "grey", "khaki", "blue")
SKIN: tuple[Colour, ...] = ((0.93, 0.76, 0.66), (0.87, 0.68, 0.55), (0.76, 0.56, 0.43), (0.58, 0.40, 0.29), (0.40, 0.27, 0.20))
HAIR: tuple[Colour, ...] = ((0.09, 0.08, 0.08), (0.22, 0.14, 0.09), (0.42, 0.28, 0.16), (0.76, 0.60, 0.36), (0.60, 0.59, 0.58))

UPPER_PATTERNS = (
    "plain", "hoops", "pinstripes", "check", "yoke", "chest band", "print", "open", "dots", "sash", "half and half", "hem band",
)  # fmt: skip
LOWER_PATTERNS = ("plain", "plain", "side stripe", "cuffs", "check", "two-tone")

ROWS, COLUMNS = 48, 72


def cloth(pattern: str, ground: Colour, second: Colour, coarseness: float) -> Floats:
    """Return the paint of a garment.

    Args:
        pattern: one of UPPER_PATTERNS or LOWER_PATTERNS.
        ground: the main colour, RGB in 0..1.
        second: the colour of what is on it.
        coarseness: size of the pattern, 0 (fine) to 1 (coarse).
    """
    up, around = _grid()
    mask = _MASKS[pattern](up, around, coarseness)
    return _two_colours(mask, ground, second)


def face(skin: Colour, hair: Colour) -> Floats:
    """Return the paint of a head: eyes, brows and mouth as they show at a dozen pixels."""
    up, around = _grid()
    paint = _two_colours(np.zeros_like(up, bool), skin, skin)
    eyes = (np.abs(np.abs(around) - 0.40) < 0.16) & (np.abs(up - 0.56) < 0.05)
    brows = (np.abs(np.abs(around) - 0.40) < 0.22) & (np.abs(up - 0.74) < 0.04)
    mouth = (np.abs(around) < 0.25) & (np.abs(up - 0.04) < 0.04)
    paint[eyes, :3] = 0.15
    paint[brows, :3] = 0.5 * np.array(hair) + 0.3 * np.array(skin)
    paint[mouth, :3] = np.array(skin) * (0.82, 0.66, 0.66)
    return paint


def hair_cap(colour: Colour, side_reach: float, nape_reach: float) -> Floats:
    """Return the paint of hair on a head, see-through over the face.

    Args:
        colour: RGB in 0..1.
        side_reach: how far down it grows at the temples, 0 (to the chin) to 1 (not at all).
        nape_reach: the same at the back.
    """
    up, around = _grid()
    paint = _two_colours(np.sin(around * 17 + up * 5) > 0.6, colour, tuple(0.8 * part + 0.03 for part in colour))
    away = np.abs(around)
    lowest = np.interp(away, [0.0, 0.85, 1.15, 1.9, 2.3, np.pi], [0.86, 0.80, side_reach, side_reach, nape_reach, nape_reach])
    paint[..., 3] = up > lowest
    return paint


def rucksack(ground: Colour, second: Colour, pocket: bool) -> Floats:
    """Return the paint of a rucksack: piping, and a pocket on its back."""
    up, around = _grid()
    behind = np.pi - np.abs(around)
    shape = (up < 0.52) & (up > 0.1) & (behind < 0.75) if pocket else (np.abs(up - 0.72) < 0.07) & (behind < 1.1)
    return _two_colours(shape, ground, second)


def _hoops(up: Floats, around: Floats, coarseness: float) -> NDArray[np.bool_]:
    return (up * (7.5 - 4 * coarseness)) % 1 < 0.45


def _pinstripes(up: Floats, around: Floats, coarseness: float) -> NDArray[np.bool_]:
    return (around / (2 * np.pi) * round(16 - 6 * coarseness)) % 1 < 0.38


def _check(up: Floats, around: Floats, coarseness: float) -> NDArray[np.bool_]:
    squares = round(6 - 2.4 * coarseness)
    return (np.floor(up * squares) + np.floor(around / (2 * np.pi) * 2 * squares)) % 2 < 0.5


def _dots(up: Floats, around: Floats, coarseness: float) -> NDArray[np.bool_]:
    squares = round(6 - 2 * coarseness)
    row = up * squares
    shifted = around / (2 * np.pi) * 2 * squares + 0.5 * (np.floor(row) % 2)
    return (row % 1 - 0.5) ** 2 + (shifted % 1 - 0.5) ** 2 < 0.11


def _print(up: Floats, around: Floats, coarseness: float) -> NDArray[np.bool_]:
    front = (np.abs(around) < 0.55 + 0.3 * coarseness) & (np.abs(up - 0.68) < 0.07 + 0.1 * coarseness)
    back = (np.pi - np.abs(around) < 0.8) & (np.abs(up - 0.74) < 0.06 + 0.06 * coarseness)
    return front | back


def _open(up: Floats, around: Floats, coarseness: float) -> NDArray[np.bool_]:
    return np.abs(around) < 0.22 + 0.22 * coarseness + 0.15 * up


def _sash(up: Floats, around: Floats, coarseness: float) -> NDArray[np.bool_]:
    return np.abs(up - 0.58 - 0.30 * np.sin(around)) < 0.09 + 0.07 * coarseness


def _side_stripe(up: Floats, around: Floats, coarseness: float) -> NDArray[np.bool_]:
    return np.abs(np.abs(around) - np.pi / 2) < 0.3 + 0.15 * coarseness


_MASKS = {
    "plain": lambda up, around, coarseness: np.zeros_like(up, bool),
    "hoops": _hoops,
    "pinstripes": _pinstripes,
    "check": _check,
    "dots": _dots,
    "print": _print,
    "open": _open,
    "sash": _sash,
    "yoke": lambda up, around, coarseness: up > 0.62 - 0.14 * coarseness,
    "chest band": lambda up, around, coarseness: np.abs(up - 0.62) < 0.10 + 0.06 * coarseness,
    "half and half": lambda up, around, coarseness: around > 0,
    "hem band": lambda up, around, coarseness: up < 0.22 + 0.14 * coarseness,
    "side stripe": _side_stripe,
    "cuffs": lambda up, around, coarseness: up < 0.14 + 0.1 * coarseness,
    "two-tone": lambda up, around, coarseness: up < 0.45,
}


def _grid() -> tuple[Floats, Floats]:
    """Return height (0 at the hem, 1 at the neck) and azimuth (0 in front, grows to the body's left) of each cell."""
    up = (np.arange(ROWS, dtype=np.float32)[:, None] + 0.5) / ROWS
    around = ((np.arange(COLUMNS, dtype=np.float32)[None] + 0.5) / COLUMNS - 0.5) * 2 * np.float32(np.pi)
    return np.broadcast_to(up, (ROWS, COLUMNS)), np.broadcast_to(around, (ROWS, COLUMNS))


def _two_colours(mask: NDArray[np.bool_], ground: Colour, second: tuple[float, ...]) -> Floats:
    paint = np.empty((ROWS, COLUMNS, 4), np.float32)
    paint[..., :3] = np.where(mask[..., None], np.array(second, np.float32), np.array(ground, np.float32))
    paint[..., 3] = 1
    return paint
