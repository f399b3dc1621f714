"""One crop, as a detector would cut it: a person before a scene, now and then another person or a post in the way.

Shapes: H 128 and W 64 pixels of the final crop.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from unplateau.data.minimarket.belongings import belongings
from unplateau.data.minimarket.body import Paints, Pose, body
from unplateau.data.minimarket.camera import Camera, develop
from unplateau.data.minimarket.person import Person
from unplateau.data.minimarket.raster import Canvas, Floats, View, draw
from unplateau.data.minimarket.scene import WIDTH as SCENE_WIDTH

HEIGHT, WIDTH = 128, 64
_OVER = 2  # drawn larger and scaled down, for smooth edges
_PASSER_BY_SHARE = 0.14
_OBSTACLE_SHARE = 0.08


@dataclass(frozen=True)
class Dressed:
    """A person with its paints, made once for all its pictures."""

    person: Person
    paints: Paints


@dataclass(frozen=True)
class Shot:
    """What the pictures of one walk past one camera share: where, which way, with what arms."""

    camera: Camera
    scene_HWC: Floats
    heading: float
    phase: float
    stride: float
    elbows: tuple[float, float]
    left: float  # where in the scene, as a share of its width
    zoom: float  # of the scene


@dataclass(frozen=True)
class Box:
    """How a detector's box sits on the person: its height's share of the crop, and its feet's place (x, y in shares)."""

    share: float
    feet_x: float
    feet_y: float


def draw_shot(camera: Camera, scene_HWC: Floats, generator: np.random.Generator) -> Shot:
    """Return one walk past `camera`: direction, pace and place are drawn."""
    heading = float(generator.choice(camera.headings)) + float(generator.normal(0, 0.25))
    bent = generator.random() < 0.15
    elbows = (1.9 if bent else 0.3, 0.25) if generator.random() < 0.5 else (0.25, 1.9 if bent else 0.3)
    standing = generator.random() < 0.12
    return Shot(
        camera=camera,
        scene_HWC=scene_HWC,
        heading=heading,
        phase=float(generator.uniform(0, 2 * np.pi)),
        stride=0.08 if standing else float(generator.uniform(0.55, 1.0)),
        elbows=elbows,
        left=float(generator.uniform(0.02, 0.80)),
        zoom=float(generator.uniform(0.85, 1.25)),
    )


def detected_box(generator: np.random.Generator, looseness: float = 1.0) -> Box:
    """Return a detector's box: about right, sometimes too tight or too wide; `looseness` scales its errors."""
    return Box(
        share=float(np.clip(generator.normal(0.91, 0.045 * looseness), 0.5, 1.6)),
        feet_x=0.5 + float(generator.normal(0, 0.05 * looseness)),
        feet_y=0.965 + float(generator.normal(0, 0.025 * looseness)),
    )


def take_picture(
    shot: Shot, dressed: Dressed | None, box: Box, passers_by: Sequence[Dressed], generator: np.random.Generator
) -> Image.Image:
    """Return one crop of a shot.

    Args:
        shot: the walk it is taken from.
        dressed: who walks there; None takes the empty scene.
        box: where the detector's box lies.
        passers_by: who may come into the picture.
        generator: draws the moment of the walk and all that happens by chance.
    """
    picture = _background(shot, box, generator)
    for who, where in _walkers(dressed, box, passers_by, generator):
        picture = _with_walker(picture, shot, who, where, generator)
    if generator.random() < _OBSTACLE_SHARE:
        picture = _with_obstacle(picture, generator)
    return develop(picture, shot.camera, generator)


def _walkers(
    dressed: Dressed | None, box: Box, passers_by: Sequence[Dressed], generator: np.random.Generator
) -> list[tuple[Dressed, Box]]:
    """Return who is in the picture and where, from back to front."""
    walkers = [] if dressed is None else [(dressed, box)]
    if not passers_by or generator.random() >= _PASSER_BY_SHARE:
        return walkers
    in_front = generator.random() < 0.3
    stranger = passers_by[int(generator.integers(len(passers_by)))]
    side = float(generator.choice((-1, 1)))
    if in_front:
        aside = Box(box.share * 1.08, box.feet_x + side * float(generator.uniform(0.42, 0.6)), box.feet_y + 0.05)
        return [*walkers, (stranger, aside)]
    farness = float(generator.uniform(0.55, 0.85))
    feet_x = box.feet_x + side * float(generator.uniform(0.25, 0.5))
    return [(stranger, Box(box.share * farness, feet_x, box.feet_y - 0.5 * (1 - farness))), *walkers]


def _background(shot: Shot, box: Box, generator: np.random.Generator) -> Floats:
    """Return the part of the scene behind the person, with the feet on its ground."""
    scene = Image.fromarray((shot.scene_HWC * 255).astype(np.uint8))
    height = HEIGHT / shot.zoom / (0.8 + 0.2 * box.share / 0.91)
    width = height * WIDTH / HEIGHT
    feet_y = shot.camera.ground * shot.scene_HWC.shape[0] + float(generator.normal(0, 2))
    top = float(np.clip(feet_y - box.feet_y * height, 0, shot.scene_HWC.shape[0] - height))
    left = float(np.clip(shot.left * SCENE_WIDTH + generator.normal(0, 10), 0, SCENE_WIDTH - width))
    cut = scene.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))
    return np.asarray(cut, np.float32) / 255


def _with_walker(picture: Floats, shot: Shot, dressed: Dressed, box: Box, generator: np.random.Generator) -> Floats:
    """Return the picture with one person and its shadow on the ground drawn over it."""
    pose = Pose(
        phase=shot.phase + float(generator.uniform(0, np.pi)),
        stride=shot.stride * float(generator.uniform(0.85, 1.1)),
        elbows=shot.elbows,
        head_turn=float(generator.normal(0, 0.25)),
    )
    view = _view(shot.camera, shot.heading + float(generator.normal(0, 0.12)), box)
    canvas = Canvas(HEIGHT * _OVER, _canvas_width(shot.camera))
    draw(canvas, [*body(dressed.person, pose, dressed.paints), *belongings(dressed.person, pose)], view)
    colour, opacity = _scaled_down(canvas)
    shadowed = picture * (1 - _shadow(shot.camera, box))[..., None]
    return shadowed * (1 - opacity) + colour * (1 + _folds(generator)[..., None])


def _view(camera: Camera, heading: float, box: Box) -> View:
    return View(
        heading=heading,
        pitch=camera.pitch,
        scale=box.share * HEIGHT * _OVER / (1 + camera.perspective * 0.6),
        feet=(box.feet_x * _canvas_width(camera), box.feet_y * HEIGHT * _OVER),
        perspective=camera.perspective,
        light=camera.light,
        ambient=camera.ambient,
    )


def _canvas_width(camera: Camera) -> int:
    return round(WIDTH * _OVER / camera.stretch)  # narrower than the crop, to be stretched to it


def _scaled_down(canvas: Canvas) -> tuple[Floats, Floats]:
    """Return the canvas at the crop's size: colour times opacity (H, W, 3), and opacity (H, W, 1)."""
    layers = np.concatenate([np.clip(canvas.colour_HW3, 0, 1), canvas.covered_HW[..., None]], 2)
    small = Image.fromarray((layers * 255 + 0.5).astype(np.uint8), "RGBa").resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    scaled = np.asarray(small, np.float32) / 255
    return scaled[..., :3], scaled[..., 3:]


def _shadow(camera: Camera, box: Box) -> Floats:
    """Return how much of the light the person takes from the ground: a soft ellipse at the feet, away from the sun."""
    rows = np.arange(HEIGHT, dtype=np.float32)[:, None] - box.feet_y * HEIGHT
    columns = np.arange(WIDTH, dtype=np.float32)[None] - box.feet_x * WIDTH
    away = -camera.light[0]
    contact = 0.55 * np.exp(-((columns / (13 * box.share)) ** 2) - (rows / 3.2) ** 2)
    cast = np.exp(-(((columns - 14 * away) / (16 * box.share)) ** 2) - ((rows + 2 + 4 * abs(away)) / 4.0) ** 2)
    return np.maximum(contact, (1 - camera.ambient) * 0.9 * cast).astype(np.float32)


def _folds(generator: np.random.Generator) -> Floats:
    """Return a change of brightness as the folds of cloth make it, a few per cent, (H, W)."""
    coarse = Image.fromarray(generator.standard_normal((22, 16), dtype=np.float32))
    folds = np.asarray(coarse.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)
    return 0.11 * folds


def _with_obstacle(picture: Floats, generator: np.random.Generator) -> Floats:
    """Return the picture with a post, a railing or a hedge before the person."""
    image = Image.fromarray((np.clip(picture, 0, 1) * 255).astype(np.uint8))
    pencil = ImageDraw.Draw(image)
    kind = generator.choice(("post", "railing", "hedge"))
    grey = int(generator.integers(70, 190))
    if kind == "post":
        x, half = int(generator.integers(4, 60)), int(generator.integers(2, 5))
        for offset in range(-half, half + 1):
            level = int(grey * (1 - 0.5 * abs(offset + 1) / (half + 1)))
            pencil.line((x + offset, 0, x + offset, HEIGHT), fill=(level, level, level))
    elif kind == "railing":
        top = int(generator.integers(84, 100))
        for y in (top, top + 9, top + 18):
            pencil.line((0, y, WIDTH, y), fill=(grey, grey, grey), width=2)
        for x in range(int(generator.integers(0, 20)), WIDTH, 22):
            pencil.line((x, top, x, HEIGHT), fill=(grey - 20,) * 3, width=3)
    else:
        _hedge(pencil, int(generator.integers(90, 108)), generator)
    return np.asarray(image, np.float32) / 255


def _hedge(pencil: ImageDraw.ImageDraw, top: int, generator: np.random.Generator) -> None:
    for x, y, tone in zip(generator.integers(-2, 66, 160), generator.integers(top, 132, 160), generator.random(160), strict=True):
        shade = 0.5 + 0.6 * float(tone)
        pencil.ellipse((x - 3, y - 2, x + 3, y + 3), fill=(int(48 * shade), int(84 * shade), int(40 * shade)))
