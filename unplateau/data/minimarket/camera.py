"""The six cameras: where each stands, how its light falls, and what its optics, sensor and encoder do to a picture.

What a camera does is the same for all persons, so it tells nothing of an identity; it only hides what does.
"""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image, ImageFilter

from unplateau.data.minimarket.raster import Floats, Point


@dataclass(frozen=True)
class Camera:
    """One camera.

    `gains` multiply R, G, B; `gamma` above 1 darkens; `saturation` 1 keeps colours; `haze` is light added everywhere;
    `blur` is in pixels of the final picture; `noise` a standard deviation in 0..1; `quality` that of its JPEG encoder.
    `pitch` (radians) looks down; `stretch` widens persons, as boxes of another shape scaled to 128 x 64 do; `headings` are
    the ways people walk there (0 towards the camera, pi/2 to the right); `ground` is where feet stand in the scene's height.
    """

    gains: Point
    gamma: float
    saturation: float
    haze: float
    blur: float
    noise: float
    quality: int
    pitch: float
    perspective: float
    stretch: float
    light: Point
    ambient: float
    headings: tuple[float, ...]
    ground: float


_QUARTER = float(np.pi / 2)
CAMERAS = (
    Camera((1.00, 1.00, 1.01), 1.00, 1.00, 0.02, 0.30, 0.010, 85, 0.20, 0.08, 1.22, (-0.45, -0.60, 0.66), 0.58,
           (0.0, 0.5, _QUARTER, -_QUARTER, 3.1), 0.86),
    Camera((0.94, 1.02, 0.89), 1.06, 0.89, 0.04, 0.42, 0.012, 80, 0.12, 0.05, 1.18, (0.55, -0.50, 0.67), 0.62,
           (_QUARTER, -_QUARTER, 2.4, -0.7), 0.88),
    Camera((1.10, 0.98, 0.83), 0.97, 0.96, 0.03, 0.38, 0.014, 75, 0.10, 0.04, 1.25, (-0.20, -0.75, 0.63), 0.54,
           (0.0, 0.4, -0.5, _QUARTER, 3.1), 0.86),
    Camera((0.89, 0.96, 1.09), 1.10, 0.87, 0.05, 0.47, 0.016, 70, 0.16, 0.08, 1.16, (0.30, -0.65, 0.70), 0.66,
           (_QUARTER, -_QUARTER, 0.8, -2.5), 0.89),
    Camera((0.98, 0.94, 1.03), 1.17, 0.94, 0.01, 0.55, 0.022, 65, 0.24, 0.12, 1.20, (0.65, -0.35, 0.67), 0.52,
           (0.0, 3.1, 2.7, -0.4, _QUARTER), 0.87),
    Camera((1.10, 1.07, 1.00), 0.87, 0.82, 0.06, 0.38, 0.011, 75, 0.28, 0.13, 1.20, (-0.60, -0.55, 0.58), 0.62,
           (3.1, 2.6, -2.7, _QUARTER, -_QUARTER), 0.85),
)  # fmt: skip


def develop(picture_HWC: Floats, camera: Camera, generator: np.random.Generator) -> Image.Image:
    """Return what the camera delivers of a scene: its colours, its optics, its sensor's noise, its encoder's blocks.

    Args:
        picture_HWC: float32 (128, 64, 3) in 0..1, what stood before the camera.
        camera: one of CAMERAS.
        generator: draws exposure, white balance, focus and noise.
    """
    exposed = _tones(picture_HWC, camera, generator)
    blurred = _blurred(_to_image(exposed), camera.blur * float(generator.uniform(0.6, 1.5)), generator)
    noise = generator.standard_normal(picture_HWC.shape, dtype=np.float32) * camera.noise
    return _encoded(_to_image(np.asarray(blurred, np.float32) / 255 + noise), camera.quality)


def _tones(picture_HWC: Floats, camera: Camera, generator: np.random.Generator) -> Floats:
    exposure = float(np.exp(generator.normal(0, 0.08)))
    balance = np.exp(generator.normal(0, 0.02, 3))
    gains = (np.array(camera.gains) * balance * exposure).astype(np.float32)
    toned = np.clip(picture_HWC * gains, 1e-3, 1.2) ** np.float32(camera.gamma)
    grey = toned @ np.array((0.30, 0.59, 0.11), np.float32)
    toned = grey[..., None] + camera.saturation * (toned - grey[..., None])
    return camera.haze + (1 - camera.haze) * toned


def _blurred(picture: Image.Image, radius: float, generator: np.random.Generator) -> Image.Image:
    if generator.random() < 0.10:  # a crop from far away: fewer pixels, enlarged
        share = float(generator.uniform(0.5, 0.75))
        small = picture.resize((round(64 * share), round(128 * share)), Image.Resampling.BOX)
        picture = small.resize((64, 128), Image.Resampling.BICUBIC)
    return picture.filter(ImageFilter.GaussianBlur(radius))


def _encoded(picture: Image.Image, quality: int) -> Image.Image:
    stream = BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def _to_image(picture_HWC: Floats) -> Image.Image:
    return Image.fromarray((np.clip(picture_HWC, 0, 1) * 255 + 0.5).astype(np.uint8))
