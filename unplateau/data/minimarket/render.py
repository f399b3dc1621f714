"""MiniMarket as a folder of files in Market-1501's own layout and names. Which pictures there are; not what is in them.

Every picture has a random stream of its own, made from the seed and the picture's place, so the set is the same on
every run, and no picture depends on those drawn before it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unplateau.base.randomness import stream_seed
from unplateau.data.minimarket.body import make_paints
from unplateau.data.minimarket.camera import CAMERAS
from unplateau.data.minimarket.person import draw_colours, draw_person
from unplateau.data.minimarket.picture import Box, Dressed, Shot, detected_box, draw_shot, take_picture
from unplateau.data.minimarket.raster import Floats
from unplateau.data.minimarket.scene import draw_scene

VERSION = "1"
"""Goes into the name of the cache folder; raised whenever any pixel changes."""

NUM_TRAIN_IDENTITIES = 180
NUM_TEST_IDENTITIES = 50
_FAMILY_SIZE = 3  # identities that share their cloth colours
_NUM_CAMERAS = len(CAMERAS)
_MAX_IDENTITIES = 1500  # Market-1501's own range of numbers
_JPEG_QUALITY = 90
_DISTRACTORS_PER_TEST_IDENTITY = 1.0
_JUNK_PER_TEST_IDENTITY = 0.3


@dataclass(frozen=True)
class _Place:
    """The name of one picture: Market-1501's person number, camera (from 1), sequence, frame and box."""

    person_id: int
    camera: int
    sequence: int
    frame: int
    box: int

    def name(self) -> str:
        person = "-1" if self.person_id < 0 else f"{self.person_id:04d}"
        return f"{person}_c{self.camera}s{self.sequence}_{self.frame:06d}_{self.box:02d}.jpg"


def render(
    folder: Path,
    *,
    seed: int = 0,
    num_train_identities: int = NUM_TRAIN_IDENTITIES,
    num_test_identities: int = NUM_TEST_IDENTITIES,
) -> None:
    """Draw MiniMarket into `folder`: bounding_box_train, bounding_box_test and query, as Market-1501 has them.

    Who keeps the result must see to it that a drawing that was broken off is not taken for the whole.

    Args:
        folder: the data set's own folder, such as `.../MiniMarket`.
        seed: of everything that is drawn.
        num_train_identities: persons to train on.
        num_test_identities: persons of query and gallery; distractors and junk are added in proportion.

    Raises:
        ValueError: there are fewer than one identity on a side, or more than 1500 in all.
    """
    if min(num_train_identities, num_test_identities) < 1 or num_train_identities + num_test_identities > _MAX_IDENTITIES:
        raise ValueError(
            f"MiniMarket was asked for {num_train_identities} training and {num_test_identities} test identities; "
            f"each must be at least 1 and their sum at most {_MAX_IDENTITIES}."
        )
    _draw_all(folder, _Studio(seed, num_train_identities, num_test_identities))


class _Studio:
    """The identities and scenes of one seed."""

    def __init__(self, seed: int, num_train: int, num_test: int) -> None:
        self.seed = seed
        order = self.stream("identity numbers").permutation(num_train + num_test) + 1
        self.train_ids = [int(number) for number in order[:num_train]]
        self.test_ids = [int(number) for number in order[num_train:]]
        self.scenes = [draw_scene(camera, self.stream("scene", camera)) for camera in range(_NUM_CAMERAS)]
        self.strangers = [self.dressed("stranger", number) for number in range(40)]

    def stream(self, purpose: str, *position: int) -> np.random.Generator:
        return np.random.default_rng(stream_seed(self.seed, f"minimarket {purpose}", *position))

    def dressed(self, purpose: str, number: int) -> Dressed:
        """Return person `number`; persons of one family share their cloth colours."""
        colours = draw_colours(self.stream(f"{purpose} colours", number // _FAMILY_SIZE))
        person = draw_person(self.stream(purpose, number), colours)
        return Dressed(person, make_paints(person))

    def scene(self, camera: int) -> Floats:
        return self.scenes[camera]


def _draw_all(folder: Path, studio: _Studio) -> None:
    for part in ("bounding_box_train", "bounding_box_test", "query"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number, person_id in enumerate(studio.train_ids):
        _draw_identity(folder, studio, person_id, ("train", number))
    for number, person_id in enumerate(studio.test_ids):
        _draw_identity(folder, studio, person_id, ("test", number))
    _draw_distractors(folder / "bounding_box_test", studio, round(len(studio.test_ids) * _DISTRACTORS_PER_TEST_IDENTITY))
    _draw_junk(folder / "bounding_box_test", studio, round(len(studio.test_ids) * _JUNK_PER_TEST_IDENTITY))


def _draw_identity(folder: Path, studio: _Studio, person_id: int, who: tuple[str, int]) -> None:
    """Draw all pictures of one identity; of a test identity, one of each camera becomes a query."""
    dressed = studio.dressed(*who)
    for place, shot in _places(studio, person_id, who):
        part = "bounding_box_train"
        if who[0] == "test":
            part = "query" if place.box == 0 else "bounding_box_test"
        generator = studio.stream("picture", person_id, place.camera, place.sequence, place.frame, place.box)
        picture = take_picture(shot, dressed, detected_box(generator), studio.strangers, generator)
        picture.save(folder / part / place.name(), quality=_JPEG_QUALITY)


def _places(studio: _Studio, person_id: int, who: tuple[str, int]) -> Iterator[tuple[_Place, Shot]]:
    """Yield the pictures of one identity: 4 or 5 cameras, one or two pictures of a walk past each, sometimes a second walk."""
    generator = studio.stream(f"{who[0]} walks", who[1])
    cameras = generator.choice(_NUM_CAMERAS, int(generator.integers(4, 6)), replace=False)
    for camera in sorted(int(index) for index in cameras):
        first_walk = True
        for sequence in range(1, 2 + int(generator.random() < 0.25)):
            shot = draw_shot(CAMERAS[camera], studio.scene(camera), generator)
            frame = int(generator.integers(1, 90000))
            second = who[0] == "test" or generator.random() < 0.5
            for step in range(1 + int(first_walk and second)):
                box = 0 if first_walk and step == 0 else 1 + step
                yield _Place(person_id, camera + 1, sequence, frame + 25 * step, box), shot
            first_walk = False


def _draw_distractors(folder: Path, studio: _Studio, count: int) -> None:
    """Draw persons nobody looks for, and false alarms of the detector, as `0000`."""
    for number in range(count):
        generator = studio.stream("distractor", number)
        camera = int(generator.integers(_NUM_CAMERAS))
        shot = draw_shot(CAMERAS[camera], studio.scene(camera), generator)
        dressed = studio.dressed("passer-by", number) if generator.random() < 0.75 else None
        place = _Place(0, camera + 1, 1 + number % 6, int(generator.integers(1, 90000)), number % 90)
        take_picture(shot, dressed, detected_box(generator), studio.strangers, generator).save(
            folder / place.name(), quality=_JPEG_QUALITY
        )


def _draw_junk(folder: Path, studio: _Studio, count: int) -> None:
    """Draw boxes too poor to count either way, of test identities, as `-1`."""
    for number in range(count):
        generator = studio.stream("junk", number)
        camera = int(generator.integers(_NUM_CAMERAS))
        shot = draw_shot(CAMERAS[camera], studio.scene(camera), generator)
        dressed = studio.dressed("test", number % len(studio.test_ids))
        sound = detected_box(generator)
        poor = Box(sound.share * 1.5, sound.feet_x + float(generator.choice((-0.3, 0.3))), sound.feet_y + 0.45)
        place = _Place(-1, camera + 1, 1 + number % 6, int(generator.integers(1, 90000)), number % 90)
        take_picture(shot, dressed, poor, studio.strangers, generator).save(folder / place.name(), quality=_JPEG_QUALITY)
