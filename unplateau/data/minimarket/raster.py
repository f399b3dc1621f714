"""A small renderer: round solids, lit from one side, hidden surfaces removed by depth. Knows nothing of persons.

Every solid is a tapered cylinder around a straight axis, painted by a picture wrapped around it, so one description of a
body is right from the front, the side and the back. Nothing here is random.

Shapes: H canvas height, W canvas width, R rows of a paint (along the axis), A columns of a paint (around it).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Point = tuple[float, float, float]

_FAR = -1e9


@dataclass(frozen=True)
class Solid:
    """A tapered cylinder in a body's own frame: x to its left, y up, z to its front, in body heights.

    `widths` are half widths from `start` to `end`, evenly spaced; `flatness` is depth over width; `paint_RA4` is wrapped
    around with its middle column in front (RGB and opacity in 0..1, row 0 at `start`); `boxiness` 2 is round, 6 almost a box.
    """

    start: Point
    end: Point
    widths: tuple[float, ...]
    paint_RA4: Floats
    flatness: float = 1.0
    rounded: bool = True
    boxiness: float = 2.0
    turn: float = 0.0


@dataclass(frozen=True)
class View:
    """From where a body is seen: angles in radians, `scale` in pixels per body height, `feet` in pixels (x, y).

    `heading` 0 walks towards the camera, pi/2 to the right. `pitch` is how far the camera looks down; `perspective` is how
    much nearer parts grow. `light` is a unit vector (right, down, towards the camera); `ambient` is the light in the shade.
    """

    heading: float
    pitch: float
    scale: float
    feet: tuple[float, float]
    perspective: float = 0.1
    light: Point = (-0.4, -0.6, 0.69)
    ambient: float = 0.55


@dataclass
class Canvas:
    """What has been drawn: opaque colour, coverage and depth of each pixel."""

    height: int
    width: int
    colour_HW3: Floats = field(init=False)
    covered_HW: NDArray[np.bool_] = field(init=False)
    depth_HW: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.colour_HW3 = np.zeros((self.height, self.width, 3), np.float32)
        self.covered_HW = np.zeros((self.height, self.width), bool)
        self.depth_HW = np.full((self.height, self.width), _FAR, np.float32)


@dataclass(frozen=True)
class _Projected:
    """A solid on the screen: axis ends in pixels and depth, half widths and half depths in pixels."""

    x: tuple[float, float]
    y: tuple[float, float]
    depth: tuple[float, float]
    half_widths: tuple[float, ...]
    depth_share: float


def draw(canvas: Canvas, solids: Sequence[Solid], view: View) -> None:
    """Draw all solids onto the canvas as seen in `view`; what is nearer hides what is behind, in any order."""
    for solid in solids:
        _draw_one(canvas, solid, view)


def plain(colour: Sequence[float]) -> Floats:
    """Return the paint of one opaque colour."""
    return np.array([[[*colour[:3], 1.0]]], np.float32)


def _draw_one(canvas: Canvas, solid: Solid, view: View) -> None:
    on_screen = _project(solid, view)
    box = _bounds(on_screen, canvas)
    if box is None:
        return
    along, across, beyond = _axis_coordinates(on_screen, box)
    covered, facing = _surface(solid, on_screen, across, beyond)
    inside = np.flatnonzero(covered)
    along, across, beyond, facing = (values.ravel().take(inside) for values in (along, across, beyond, facing))
    rows, columns = np.divmod(inside, box[3] - box[2])
    pixels = (rows + box[0]) * canvas.width + columns + box[2]
    depth = _lerp(on_screen.depth, along) + _lerp(on_screen.half_widths, along) * facing * on_screen.depth_share
    paint = _painted(solid, view, along, across)
    nearer = np.flatnonzero((depth > canvas.depth_HW.ravel().take(pixels)) & (paint[:, 3] > 0.5))
    light = _light(on_screen, view, across[nearer], beyond[nearer], facing[nearer])
    pixels = pixels[nearer]
    canvas.colour_HW3.reshape(-1, 3)[pixels] = paint[nearer, :3] * light[:, None]
    canvas.depth_HW.reshape(-1)[pixels] = depth[nearer]
    canvas.covered_HW.reshape(-1)[pixels] = True


def _surface(solid: Solid, on_screen: _Projected, across: Floats, beyond: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Return where the solid is seen, and how much its surface faces the camera there (0..1)."""
    squared: Floats = across**2 if solid.boxiness == 2 else np.abs(across) ** solid.boxiness
    if solid.rounded:
        squared = squared + beyond**2
        return squared < 1, np.sqrt(np.maximum(1 - squared, 0))
    within_ends = np.abs(beyond) < 0.5 / max(on_screen.half_widths)
    return (squared < 1) & within_ends, np.sqrt(np.maximum(1 - squared, 0))


def _lerp(values: Sequence[float], along: Floats) -> Floats:
    """Return evenly spaced `values` interpolated at `along` (0..1)."""
    if len(values) == 1:
        return np.full_like(along, values[0])
    if len(values) == 2:
        return np.float32(values[0]) + along * np.float32(values[1] - values[0])
    return np.interp(along * (len(values) - 1), range(len(values)), values).astype(np.float32)


def _project(solid: Solid, view: View) -> _Projected:
    (x0, y0, z0, grown0), (x1, y1, z1, grown1) = (_on_screen(point, view) for point in (solid.start, solid.end))
    angle = view.heading + solid.turn
    wide, deep = math.cos(angle) ** 2, math.sin(angle) ** 2
    seen_width = math.sqrt(wide + solid.flatness**2 * deep)
    seen_depth = math.sqrt(deep + solid.flatness**2 * wide)
    last = max(len(solid.widths) - 1, 1)
    pixels = [view.scale * seen_width * (grown0 + (grown1 - grown0) * k / last) for k in range(len(solid.widths))]
    half_widths = tuple(max(width * scale, 0.5) for width, scale in zip(solid.widths, pixels, strict=True))
    return _Projected((x0, x1), (y0, y1), (z0, z1), half_widths, seen_depth / seen_width)


def _on_screen(point: Point, view: View) -> tuple[float, float, float, float]:
    x, y, z = point
    right = x * math.cos(view.heading) + z * math.sin(view.heading)
    forward = -x * math.sin(view.heading) + z * math.cos(view.heading)
    nearness = y * math.sin(view.pitch) + forward * math.cos(view.pitch)
    up = y * math.cos(view.pitch) - forward * math.sin(view.pitch)
    grown = 1 + view.perspective * nearness
    pixels = view.scale * grown
    return view.feet[0] + pixels * right, view.feet[1] - pixels * up, view.scale * nearness, grown


def _bounds(on_screen: _Projected, canvas: Canvas) -> tuple[int, int, int, int] | None:
    reach = max(on_screen.half_widths) + 1
    left, right = max(int(min(on_screen.x) - reach), 0), min(int(max(on_screen.x) + reach) + 1, canvas.width)
    top, bottom = max(int(min(on_screen.y) - reach), 0), min(int(max(on_screen.y) + reach) + 1, canvas.height)
    return (top, bottom, left, right) if top < bottom and left < right else None


def _axis_coordinates(on_screen: _Projected, box: tuple[int, int, int, int]) -> tuple[Floats, Floats, Floats]:
    """Return for each pixel: place along the axis (0..1), and offset across and beyond the ends in half widths."""
    top, bottom, left, right = box
    rows = np.arange(top, bottom, dtype=np.float32)[:, None] + (0.5 - on_screen.y[0])
    columns = np.arange(left, right, dtype=np.float32)[None] + (0.5 - on_screen.x[0])
    axis_x, axis_y, length, side = _axis(on_screen)
    distance = columns * axis_x + rows * axis_y
    along = np.clip(distance / length, 0, 1)
    side = 1 if axis_y <= 0 else -1  # "across" always grows to the right of the picture
    half = _lerp(on_screen.half_widths, along)
    across = (rows * axis_x - columns * axis_y) * side / half
    return along, across, (distance - along * length) / half


def _axis(on_screen: _Projected) -> tuple[float, float, float, int]:
    """Return the axis' direction and length in pixels, and the sign that makes "across" grow to the picture's right."""
    x, y = on_screen.x[1] - on_screen.x[0], on_screen.y[1] - on_screen.y[0]
    length = max(math.hypot(x, y), 1e-3)
    return x / length, y / length, length, 1 if y <= 0 else -1


def _painted(solid: Solid, view: View, along: Floats, across: Floats) -> Floats:
    rows, columns = solid.paint_RA4.shape[:2]
    if rows == columns == 1:
        return np.broadcast_to(solid.paint_RA4[0], (len(along), 4))
    azimuth = np.arcsin(np.clip(across, -1, 1)) - view.heading - solid.turn
    column = np.floor((azimuth / (2 * np.pi) + 0.5) * columns).astype(np.intp) % columns
    row = np.minimum((along * rows).astype(np.intp), rows - 1)
    painted: Floats = solid.paint_RA4[row, column]
    return painted


def _light(on_screen: _Projected, view: View, across: Floats, beyond: Floats, facing: Floats) -> Floats:
    """Return the light each pixel gives back: ambient plus Lambert's cosine, darker where the surface turns away."""
    axis_x, axis_y, _, side = _axis(on_screen)
    right, down, forward = view.light
    cosine = across * side * (-axis_y * right + axis_x * down) + beyond * (axis_x * right + axis_y * down) + facing * forward
    shade: Floats = (view.ambient + (1 - view.ambient) * 1.25 * np.maximum(cosine, 0)) * (0.72 + 0.28 * facing)
    return shade
