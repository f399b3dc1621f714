"""MiniMarket: the same on every run, in Market-1501's layout, and a retrieval problem that is whole."""

import re
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unplateau.data.minimarket import render
from unplateau.data.minimarket.clothes import LOWER_PATTERNS, UPPER_PATTERNS, cloth, rucksack
from unplateau.data.minimarket.person import LOWER_CUTS, UPPER_CUTS, draw_colours, draw_person
from unplateau.data.minimarket.raster import Canvas, Solid, View, draw, plain

NUM_TRAIN, NUM_TEST = 7, 4
PARTS = ("bounding_box_train", "bounding_box_test", "query")
NAME = re.compile(r"(-1|\d{4})_c([1-6])s([1-6])_(\d{6})_(\d{2})\.jpg")


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "MiniMarket"
    render(folder, num_train_identities=NUM_TRAIN, num_test_identities=NUM_TEST)
    return folder


def names(folder: Path) -> list[tuple[int, int]]:
    """Return (person, camera) of every file of a folder; a name that is not Market-1501's fails."""
    matches = [NAME.fullmatch(path.name) for path in sorted(folder.iterdir())]
    assert all(matches), "a file is not named as in Market-1501"
    return [(int(match[1]), int(match[2])) for match in matches if match]


def pixels(folder: Path) -> dict[str, np.ndarray]:
    return {str(path.relative_to(folder)): np.asarray(Image.open(path)) for path in folder.rglob("*.jpg")}


def test_the_folder_has_market_1501s_layout_and_names(market: Path) -> None:
    assert sorted(path.name for path in market.iterdir()) == sorted(PARTS)
    assert all(names(market / part) for part in PARTS)


def test_there_are_as_many_identities_as_asked_for_and_both_sides_are_disjoint(market: Path) -> None:
    train, gallery, query = ({person for person, _ in names(market / part)} for part in PARTS)
    assert len(train) == NUM_TRAIN and len(query) == NUM_TEST
    assert gallery == query | {0, -1}
    assert not train & gallery


def test_every_training_identity_is_seen_by_at_least_two_cameras(market: Path) -> None:
    cameras = defaultdict(set)
    for person, camera in names(market / "bounding_box_train"):
        cameras[person].add(camera)
    assert min(map(len, cameras.values())) >= 2


def test_there_is_one_query_for_each_identity_and_camera(market: Path) -> None:
    assert max(Counter(names(market / "query")).values()) == 1


def test_every_query_has_a_match_from_another_camera(market: Path) -> None:
    gallery = names(market / "bounding_box_test")
    for person, camera in names(market / "query"):
        assert any(other == person and seen_by != camera for other, seen_by in gallery)


def test_distractors_and_junk_are_in_the_gallery_only(market: Path) -> None:
    assert {0, -1} <= {person for person, _ in names(market / "bounding_box_test")}
    assert all(person > 0 for part in ("bounding_box_train", "query") for person, _ in names(market / part))


def test_every_file_decodes_to_a_picture_of_64_by_128_that_is_not_blank(market: Path) -> None:
    for name, picture in pixels(market).items():
        assert picture.shape == (128, 64, 3), name
        assert picture.std() > 8, name


def test_the_same_seed_draws_the_same_pixels(market: Path, tmp_path: Path) -> None:
    render(tmp_path / "again", num_train_identities=NUM_TRAIN, num_test_identities=NUM_TEST)
    first, second = pixels(market), pixels(tmp_path / "again")
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_another_seed_draws_other_persons(market: Path, tmp_path: Path) -> None:
    render(tmp_path / "other", seed=1, num_train_identities=2, num_test_identities=1)
    ours = {picture.tobytes() for picture in pixels(market).values()}
    assert not ours & {picture.tobytes() for picture in pixels(tmp_path / "other").values()}


@pytest.mark.parametrize("counts", [(0, 5), (5, 0), (1400, 200)])
def test_impossible_numbers_of_identities_are_refused(tmp_path: Path, counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="identities"):
        render(tmp_path / "none", num_train_identities=counts[0], num_test_identities=counts[1])
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_the_whole_set_is_drawn_in_seconds(tmp_path: Path) -> None:
    started = time.process_time()
    render(tmp_path / "whole")
    assert time.process_time() - started < 60  # about ten seconds on a core of its own
    assert len(list((tmp_path / "whole" / "bounding_box_train").iterdir())) > 1000
    assert len(list((tmp_path / "whole" / "query").iterdir())) > 150


def test_lookalikes_share_cloth_colours_and_differ_otherwise() -> None:
    colours = draw_colours(np.random.default_rng(0))
    family = [draw_person(np.random.default_rng(number), colours) for number in range(20)]
    assert len({(person.upper.ground, person.upper.second, person.lower.ground) for person in family}) == 1
    assert (
        len({(person.upper.cut, person.upper.pattern, person.lower.cut, person.bag, person.hair_style) for person in family}) > 15
    )


def test_every_cut_is_worn_by_somebody() -> None:
    generator = np.random.default_rng(0)
    crowd = [draw_person(generator, draw_colours(generator)) for _ in range(400)]
    assert {person.upper.cut for person in crowd} == set(UPPER_CUTS)
    assert {person.lower.cut for person in crowd} == set(LOWER_CUTS)


@pytest.mark.parametrize("pattern", sorted({*UPPER_PATTERNS, *LOWER_PATTERNS} - {"plain"}))
@pytest.mark.parametrize("coarseness", [0.0, 1.0])
def test_every_pattern_shows_both_its_colours(pattern: str, coarseness: float) -> None:
    paint = cloth(pattern, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), coarseness)
    assert 0.03 < paint[..., 0].mean() < 0.97


def test_a_rucksacks_pocket_is_on_its_back() -> None:
    paint = rucksack((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), pocket=True)
    middle = paint.shape[1] // 2
    assert paint[:, middle, 0].max() == 0 and paint[:, 0, 0].max() == 1


def seen(solids: list[Solid], heading: float) -> np.ndarray:
    """Return the hue-giving colour in the middle of a canvas as seen with `heading`, brightest channel 1."""
    canvas = Canvas(60, 60)
    draw(canvas, solids, View(heading, 0.0, 50, (30, 55), perspective=0.0))
    colour = canvas.colour_HW3[30, 30]
    return colour / colour.max()


def test_paint_is_wrapped_around_so_that_front_left_and_back_differ() -> None:
    paint = np.zeros((1, 4, 4), np.float32)
    paint[..., 3] = 1
    paint[0, (1, 2), 0] = 1  # red in front
    paint[0, (0, 3), 2] = 1  # blue behind
    column = [Solid((0, 0, 0), (0, 1, 0), (0.3,), paint)]
    assert seen(column, 0.0).tolist() == [1, 0, 0]
    assert seen(column, np.pi).tolist() == [0, 0, 1]


def test_what_is_nearer_hides_what_is_behind_in_any_order_of_drawing() -> None:
    front = Solid((0, 0, 0.3), (0, 1, 0.3), (0.1,), plain((1, 0, 0)))
    behind = Solid((0, 0, -0.3), (0, 1, -0.3), (0.1,), plain((0, 0, 1)))
    for solids in ([front, behind], [behind, front]):
        assert seen(solids, 0.0).tolist() == [1, 0, 0]
        assert seen(solids, np.pi).tolist() == [0, 0, 1]


def test_what_lies_outside_the_canvas_is_left_out_without_an_error() -> None:
    canvas = Canvas(20, 20)
    draw(canvas, [Solid((5, 0, 0), (5, 1, 0), (0.1,), plain((1, 1, 1)))], View(0.0, 0.0, 10, (10, 18)))
    assert not canvas.covered_HW.any()
