import shutil
from dataclasses import replace
from pathlib import Path

from unplateau.data.fingerprint import fingerprint, fingerprint_found
from unplateau.data.flat_sets import MARKET1501
from unplateau.data.items import Found, RetrievalItems


def test_the_fingerprint_does_not_depend_on_the_folder_or_the_order(small_market: Path, tmp_path: Path) -> None:
    shutil.copytree(small_market / "Market-1501-v15.09.15", tmp_path / "elsewhere" / "market1501")
    here, there = MARKET1501.read(small_market).train, MARKET1501.read(tmp_path / "elsewhere").train
    assert here[0].path != there[0].path
    assert fingerprint(here) == fingerprint(tuple(reversed(there)))


def test_the_fingerprint_sees_another_size_person_camera_name_and_a_lost_image(small_market: Path) -> None:
    items = MARKET1501.read(small_market).train
    first = items[0]
    others = [
        (replace(first, person_id=99), *items[1:]),
        (replace(first, camera_id=5), *items[1:]),
        items[1:],
        (*items, first),
    ]
    seen = {fingerprint(items), *(fingerprint(other) for other in others)}
    Path(first.path).write_bytes(Path(first.path).read_bytes() + b"x")
    seen.add(fingerprint(items))
    assert len(seen) == 6


def test_moving_an_image_from_query_to_gallery_is_seen(small_market: Path) -> None:
    files = MARKET1501.read(small_market)
    apart = Found(files.train, (RetrievalItems("x", files.query, files.gallery),))
    moved = Found(files.train, (RetrievalItems("x", files.query[1:], (*files.gallery, files.query[0])),))
    assert fingerprint_found(apart) != fingerprint_found(moved)
