"""The six places the cameras look at, each drawn once as a wide picture from which backgrounds are cropped.

No person and no camera effect is in it. A scene is one square's corner: paving, lawn, brick wall, shop front, road, plaza.

Shapes: H and W of the wide picture, C colours (RGB in 0..1).
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from unplateau.data.minimarket.clothes import Colour
from unplateau.data.minimarket.raster import Floats

HEIGHT, WIDTH = 176, 512
_OVER = 2  # drawn larger and scaled down, for smooth edges


def draw_scene(camera: int, generator: np.random.Generator) -> Floats:
    """Return the wide background of `camera` (0..5), float32 (HEIGHT, WIDTH, 3) in 0..1."""
    scene_HWC = _SCENES[camera](generator)
    picture = Image.fromarray((np.clip(scene_HWC, 0, 1) * 255).astype(np.uint8))
    small = picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(0.6))
    return np.asarray(small, np.float32) / 255


def _paved_square(generator: np.random.Generator) -> Floats:
    scene = _ground(generator, (0.62, 0.60, 0.57), (0.46, 0.44, 0.42), horizon=0.02, tile=0.5)
    _band(scene, _grain(generator, (0.35, 0.46, 0.24), 0.10, 3), 0.0, 0.16)
    with _Pencil(scene) as pencil:
        for x in np.arange(0.03, 1.0, 0.11) + generator.uniform(-0.02, 0.02, 9):
            _bicycle(pencil, float(x), 0.27, 0.10, generator)
    return scene


def _lawn(generator: np.random.Generator) -> Floats:
    scene = _grain(generator, (0.36, 0.45, 0.22), 0.12, 4)
    _band(scene, _grain(generator, (0.14, 0.22, 0.11), 0.10, 5), 0.0, 0.33)
    _band(scene, _ground(generator, (0.60, 0.55, 0.47), (0.50, 0.46, 0.40), horizon=0.1, tile=2.0), 0.62, 1.0)
    with _Pencil(scene) as pencil:
        for x in np.arange(0.05, 1.0, 0.14) + generator.uniform(-0.03, 0.03, 7):
            pencil.box(float(x), 0.0, float(x) + 0.022, 0.50, (0.27, 0.21, 0.16))
            pencil.box(float(x) + 0.015, 0.0, float(x) + 0.022, 0.50, (0.18, 0.14, 0.11))
    return scene


def _brick_wall(generator: np.random.Generator) -> Floats:
    scene = _bricks(generator)
    _band(scene, _ground(generator, (0.55, 0.55, 0.54), (0.42, 0.42, 0.42), horizon=0.25, tile=0.9), 0.64, 1.0)
    with _Pencil(scene) as pencil:
        pencil.box(0.0, 0.62, 1.0, 0.66, (0.36, 0.35, 0.34))
        for x in (0.12, 0.45, 0.78):
            pencil.box(x, 0.02, x + 0.10, 0.40, (0.80, 0.79, 0.76))
            pencil.box(x + 0.008, 0.05, x + 0.092, 0.37, (0.22, 0.27, 0.31))
            pencil.box(x + 0.046, 0.05, x + 0.054, 0.37, (0.80, 0.79, 0.76))
        for x in (0.31, 0.66, 0.93):
            pencil.box(x, 0.0, x + 0.012, 0.66, (0.45, 0.46, 0.47))
    return scene


def _shop_front(generator: np.random.Generator) -> Floats:
    scene = _grain(generator, (0.13, 0.15, 0.17), 0.05, 24)
    with _Pencil(scene) as pencil:
        for x in np.arange(0.0, 1.0, 0.085):
            _shop_window(pencil, float(x), generator)
        pencil.box(0.0, 0.66, 1.0, 0.71, (0.42, 0.43, 0.44))
    _band(scene, _ground(generator, (0.66, 0.65, 0.62), (0.52, 0.51, 0.50), horizon=0.3, tile=0.7), 0.71, 1.0)
    return scene


def _road(generator: np.random.Generator) -> Floats:
    scene = _grain(generator, (0.33, 0.34, 0.36), 0.05, 2)
    _band(scene, _grain(generator, (0.55, 0.54, 0.52), 0.03, 40), 0.0, 0.18)
    with _Pencil(scene) as pencil:
        for x in np.arange(0.02, 1.0, 0.21):
            _car(pencil, float(x), 0.36, generator)
        for x in np.arange(-0.1, 1.0, 0.075):
            pencil.shape(((x + 0.05, 0.62), (x + 0.085, 0.62), (x + 0.05, 0.94), (x, 0.94)), (0.78, 0.78, 0.75))
        pencil.box(0.0, 0.50, 1.0, 0.52, (0.62, 0.61, 0.58))
    return scene


def _plaza(generator: np.random.Generator) -> Floats:
    scene = _ground(generator, (0.70, 0.63, 0.52), (0.60, 0.52, 0.42), horizon=0.05, tile=0.35)
    _band(scene, _grain(generator, (0.50, 0.46, 0.40), 0.03, 40), 0.0, 0.2)
    dapple = _smooth_noise(generator, scene.shape[0], scene.shape[1], 34)
    scene *= 1 - 0.32 * np.clip(1.5 * dapple, 0, 1)[..., None]  # the shade of trees outside the picture
    with _Pencil(scene) as pencil:
        for y in (0.30, 0.38, 0.46):
            pencil.box(0.0, y, 1.0, y + 0.018, (0.72, 0.73, 0.74))
        for x in np.arange(0.0, 1.0, 0.09):
            pencil.box(float(x), 0.28, float(x) + 0.010, 0.56, (0.66, 0.67, 0.68))
    return scene


_SCENES: tuple[Callable[[np.random.Generator], Floats], ...] = (_paved_square, _lawn, _brick_wall, _shop_front, _road, _plaza)


class _Pencil:
    """Draws shapes onto a scene in place; places are shares of its width and height."""

    def __init__(self, scene_HWC: Floats) -> None:
        self._scene = scene_HWC
        self._picture = Image.fromarray((np.clip(scene_HWC, 0, 1) * 255).astype(np.uint8))
        self._draw = ImageDraw.Draw(self._picture)

    def __enter__(self) -> "_Pencil":
        return self

    def __exit__(self, *_: object) -> None:
        self._scene[:] = np.asarray(self._picture, np.float32) / 255

    def shape(self, corners: tuple[tuple[float, float], ...], colour: Colour) -> None:
        self._draw.polygon([self._pixel(x, y) for x, y in corners], fill=_bytes(colour))

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self.shape(((left, top), (right, top), (right, bottom), (left, bottom)), colour)

    def line(self, points: tuple[tuple[float, float], ...], colour: Colour, width: int = 2) -> None:
        self._draw.line([self._pixel(x, y) for x, y in points], fill=_bytes(colour), width=width)

    def ring(self, x: float, y: float, radius: float, colour: Colour, width: int = 2) -> None:
        (px, py), r = self._pixel(x, y), radius * HEIGHT * _OVER
        self._draw.ellipse((px - r, py - r, px + r, py + r), outline=_bytes(colour), width=width)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        (px, py), r = self._pixel(x, y), radius * HEIGHT * _OVER
        self._draw.ellipse((px - r, py - r, px + r, py + r), fill=_bytes(colour))

    def _pixel(self, x: float, y: float) -> tuple[float, float]:
        return x * WIDTH * _OVER, y * HEIGHT * _OVER


def _bicycle(pencil: _Pencil, x: float, y: float, size: float, generator: np.random.Generator) -> None:
    frame: Colour = tuple(generator.choice([(0.15, 0.15, 0.17), (0.55, 0.15, 0.15), (0.2, 0.3, 0.5), (0.6, 0.6, 0.62)]))
    for wheel in (x, x + 0.055):
        pencil.ring(wheel, y, size * 0.8, (0.12, 0.12, 0.13), 3)
    hub, saddle, bar = (x, y), (x + 0.018, y - 0.11), (x + 0.046, y - 0.12)
    pencil.line((hub, saddle, bar, (x + 0.055, y)), frame, 3)
    pencil.line((saddle, (x + 0.025, y), bar), frame, 3)
    pencil.line(((x + 0.010, y - 0.135), (x + 0.024, y - 0.135)), (0.1, 0.1, 0.1), 5)


def _car(pencil: _Pencil, x: float, y: float, generator: np.random.Generator) -> None:
    paint: Colour = tuple(generator.choice([(0.75, 0.75, 0.76), (0.15, 0.16, 0.2), (0.5, 0.12, 0.12), (0.35, 0.4, 0.46)]))
    pencil.shape(((x + 0.03, y - 0.12), (x + 0.055, y - 0.25), (x + 0.125, y - 0.25), (x + 0.155, y - 0.12)), (0.16, 0.18, 0.2))
    pencil.shape(
        ((x, y), (x, y - 0.10), (x + 0.03, y - 0.14), (x + 0.155, y - 0.14), (x + 0.185, y - 0.09), (x + 0.185, y)), paint
    )
    for wheel in (x + 0.04, x + 0.145):
        pencil.disc(wheel, y, 0.065, (0.08, 0.08, 0.08))
        pencil.disc(wheel, y, 0.03, (0.5, 0.5, 0.5))


def _shop_window(pencil: _Pencil, x: float, generator: np.random.Generator) -> None:
    level = float(generator.uniform(0.12, 0.34))
    pencil.box(x + 0.006, 0.03, x + 0.080, 0.62, (level, level * 1.05, level * 1.12))
    pencil.shape(((x + 0.05, 0.03), (x + 0.068, 0.03), (x + 0.03, 0.62), (x + 0.012, 0.62)), (level + 0.07,) * 3)
    if generator.random() < 0.4:
        poster: Colour = tuple(generator.choice([(0.75, 0.72, 0.6), (0.6, 0.25, 0.22), (0.25, 0.4, 0.55), (0.8, 0.8, 0.8)]))
        pencil.box(x + 0.02, 0.15, x + 0.058, 0.42, poster)
        pencil.box(x + 0.026, 0.20, x + 0.052, 0.27, (0.3, 0.3, 0.3))
    pencil.box(x, 0.0, x + 0.006, 0.70, (0.62, 0.63, 0.64))


def _ground(generator: np.random.Generator, colour: Colour, joint: Colour, *, horizon: float, tile: float) -> Floats:
    """Return paving in perspective: rows nearer the bottom are nearer the camera."""
    height, width = HEIGHT * _OVER, WIDTH * _OVER
    rows = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height
    nearness = np.maximum(rows - horizon + 0.35, 0.05)
    across = (np.arange(width, dtype=np.float32)[None] / width - 0.5) * 14 / nearness
    away = 9 / nearness
    shifted = across / tile / 2 + 0.5 * (np.floor(away / tile) % 2)
    joints = (shifted % 1 < 0.07) | ((away / tile) % 1 < 0.12)
    tint = 1 + 0.10 * np.sin(np.floor(shifted) * 12.9 + np.floor(away / tile) * 78.2)[..., None]
    base = _grain(generator, colour, 0.04, 2) * tint
    return np.where(joints[..., None], np.array(joint, np.float32), base).astype(np.float32)


def _bricks(generator: np.random.Generator) -> Floats:
    rows = np.arange(HEIGHT * _OVER)[:, None]
    columns = np.arange(WIDTH * _OVER)[None]
    course = rows // 14
    along = columns + 15 * (course % 2)
    mortar = (rows % 14 < 2) | (along % 30 < 2)
    tint = 1 + 0.14 * np.sin(course * 37.7 + (along // 30) * 91.3)[..., None]
    wall = _grain(generator, (0.52, 0.30, 0.23), 0.04, 2) * tint
    return np.where(mortar[..., None], np.array((0.60, 0.56, 0.52), np.float32), wall).astype(np.float32)


def _grain(generator: np.random.Generator, colour: Colour, strength: float, size: int) -> Floats:
    noise = _smooth_noise(generator, HEIGHT * _OVER, WIDTH * _OVER, size)
    fine = generator.standard_normal((HEIGHT * _OVER, WIDTH * _OVER), dtype=np.float32) * 0.3 * strength
    return np.array(colour, np.float32) * (1 + strength * 2 * noise + fine)[..., None]


def _smooth_noise(generator: np.random.Generator, height: int, width: int, size: int) -> Floats:
    """Return noise of about unit range with blobs of `size` pixels."""
    coarse = generator.standard_normal((height // size + 2, width // size + 2), dtype=np.float32)
    picture = Image.fromarray(coarse, mode=None).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(picture, np.float32)


def _band(scene: Floats, other: Floats, top: float, bottom: float) -> None:
    rows = slice(round(top * scene.shape[0]), round(bottom * scene.shape[0]))
    scene[rows] = other[rows]


def _bytes(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (min(max(round(255 * part), 0), 255) for part in colour)
    return red, green, blue
