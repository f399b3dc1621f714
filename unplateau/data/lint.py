"""What is odd about the data, seen before a run is spent on it. Here by names and sizes; by decoding images: `lint_pixels`.

The part by names and sizes takes 0.3 s for Market-1501 and is meant to be always on.
"""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from unplateau.data.items import DISTRACTOR, UNKNOWN_CAMERA, Found, Item, RetrievalItems
from unplateau.data.lint_pixels import lint_pixels
from unplateau.data.lint_record import LintFinding, examples, render
from unplateau.data.listing import sizes_of

__all__ = ["LintFinding", "lint", "render"]

_HEADERS = 256  # files whose first bytes are compared with their extension: enough to see a habit, not worth more time
_SIGNATURES = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"BM": "BMP", b"RIFF": "WebP", b"II*\x00": "TIFF", b"MM\x00*": "TIFF"}
_KINDS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".bmp": "BMP", ".webp": "WebP", ".tif": "TIFF", ".tiff": "TIFF"}


def lint(
    found: Found, *, pixel_seconds: float = 0.0, seed: int = 0, clock: Callable[[], float] = time.monotonic
) -> tuple[LintFinding, ...]:
    """Say what is odd about the images of a run.

    Args:
        found: all its images.
        pixel_seconds: time to spend on decoding images, in a random order; 0 leaves that out.
        seed: of that order.
        clock: seconds.

    Returns:
        Findings in a fixed order: training, each test set, files, pixels.
    """
    findings = [*_training(found.train)]
    for test in found.tests:
        findings += [*_without_match(test), *_overlap(found.train, test), *_query_in_gallery(test)]
    items = _all_items(found)
    findings += [*_unknown_cameras(items), *_files(items), *_extensions(items)]
    return (*findings, *lint_pixels(items, seconds=pixel_seconds, seed=seed, clock=clock))


def _all_items(found: Found) -> list[Item]:
    parts = (found.train, *(part for test in found.tests for part in (test.query, test.gallery)))
    return list({item.path: item for part in parts for item in part}.values())


def _training(train: Sequence[Item]) -> Iterator[LintFinding]:
    cameras: dict[int, list[int]] = defaultdict(list)
    for item in train:
        cameras[item.person_id].append(item.camera_id)
    persons = sorted(cameras)
    if persons and persons[-1] - persons[0] + 1 != len(persons):
        yield LintFinding(
            "labels_not_contiguous",
            "info",
            f"{len(persons):,} training identities carry numbers from {persons[0]} to {persons[-1]}, with gaps.",
            "Nothing to do: labels 0..I-1 are given inside.",
        )
    single = [person for person in persons if len(cameras[person]) == 1]
    if single:
        yield LintFinding(
            "single_image_identities",
            "warning",
            f"{len(single):,} of {len(persons):,} training identities have one image (persons {examples(single)}).",
            "They give the triplet loss no positive pair but the image with itself. Leave them out, or add images.",
        )
    yield from _single_camera(cameras)


def _single_camera(cameras: dict[int, list[int]]) -> Iterator[LintFinding]:
    seen = {camera for each in cameras.values() for camera in each} - {UNKNOWN_CAMERA}
    alone = [person for person, each in sorted(cameras.items()) if len(each) > 1 and len(set(each)) == 1]
    if len(seen) > 1 and alone:
        yield LintFinding(
            "single_camera_identities",
            "info",
            f"{len(alone):,} of {len(cameras):,} training identities were seen by one camera (persons {examples(alone)}).",
            "They teach little about change of camera; many of them are a reason for low scores between cameras.",
        )


def _without_match(test: RetrievalItems) -> Iterator[LintFinding]:
    """Apply the camera rule: a gallery image of the query's person and camera is no answer; unknown cameras differ from all."""
    seen: dict[int, set[int]] = defaultdict(set)
    for item in test.gallery:
        seen[item.person_id].add(item.camera_id)
    absent = [item for item in test.query if item.person_id not in seen]
    same_camera = [item for item in test.query if seen.get(item.person_id) == {item.camera_id} != {UNKNOWN_CAMERA}]
    lost = len(absent) + len(same_camera)
    if lost == 0:
        return
    if lost < len(test.query):
        yield _some_without_match(test, absent, same_camera)
    elif len(absent) >= len(same_camera):
        yield _identities_differ(test, absent)
    else:
        yield _one_camera(test, same_camera)


def _some_without_match(test: RetrievalItems, absent: list[Item], same_camera: list[Item]) -> LintFinding:
    return LintFinding(
        "queries_without_match",
        "warning",
        f"{test.name}: {len(absent) + len(same_camera):,} of {len(test.query):,} queries have no right answer in the gallery: "
        f"{len(absent):,} persons not in it, {len(same_camera):,} seen there by the query's own camera only "
        f"({examples(_names(absent + same_camera))}).",
        "They are left out of the scores. Were they meant to count, add gallery images of other cameras.",
    )


def _identities_differ(test: RetrievalItems, absent: list[Item]) -> LintFinding:
    in_gallery = sorted({item.person_id for item in test.gallery})
    return LintFinding(
        "query_identities_not_in_gallery",
        "error",
        f"{test.name}: no query has a right answer: query persons ({examples(sorted({item.person_id for item in absent}))}) do "
        f"not appear in the gallery (persons {examples(in_gallery)}).",
        "Query and gallery must show the same persons under the same numbers. Are the folders of one data set, named alike?",
    )


def _one_camera(test: RetrievalItems, same_camera: list[Item]) -> LintFinding:
    cameras = sorted({item.camera_id for item in (*test.query, *test.gallery)})
    return LintFinding(
        "no_second_camera",
        "error",
        f"{test.name}: no query has a right answer: every person is seen in the gallery by the query's own camera only "
        f"(camera ids {examples(cameras)}; {examples(_names(same_camera))}).",
        "Matches of one camera do not count. If the cameras were misread, leave them out (a CSV without a camera column).",
    )


def _overlap(train: Sequence[Item], test: RetrievalItems) -> Iterator[LintFinding]:
    trained = {item.person_id for item in train}
    shared = sorted({item.person_id for item in (*test.query, *test.gallery)} & trained - {DISTRACTOR})
    if shared:
        yield LintFinding(
            "train_test_overlap",
            "error",
            f"{test.name}: {len(shared):,} of its identities are trained on too (persons {examples(shared)}).",
            "Its scores would be too good. If these are different persons numbered twice, make their names differ.",
        )


def _query_in_gallery(test: RetrievalItems) -> Iterator[LintFinding]:
    gallery = {item.path for item in test.gallery}
    shared = [item for item in test.query if item.path in gallery]
    if shared:
        yield LintFinding(
            "query_in_gallery",
            "warning",
            f"{test.name}: {len(shared):,} images are query and gallery at once ({examples(_names(shared))}).",
            "An image finds itself; with unknown cameras that counts as a right answer. Take it out of one of them.",
        )


def _unknown_cameras(items: Sequence[Item]) -> Iterator[LintFinding]:
    unknown = [item for item in items if item.camera_id == UNKNOWN_CAMERA]
    if unknown:
        yield LintFinding(
            "unknown_cameras",
            "info",
            f"{len(unknown):,} of {len(items):,} images have no known camera ({examples(_names(unknown))}).",
            "Images of the same camera then count as right answers, which is easier. Put c<number> into the names, or use a CSV.",
        )


def _files(items: Sequence[Item]) -> Iterator[LintFinding]:
    sizes = sizes_of([item.path for item in items])
    missing = [item for item, size in zip(items, sizes, strict=True) if size < 0]
    empty = [item for item, size in zip(items, sizes, strict=True) if size == 0]
    for code, word, broken in (("missing_files", "are not there", missing), ("empty_files", "are empty", empty)):
        if broken:
            yield LintFinding(
                code,
                "error",
                f"{len(broken):,} of {len(items):,} image files {word} ({examples(_names(broken))}).",
                "Training would stop at them. Unpack the archive again, or take them out of the lists.",
            )
    doubled = [name for name in _names(items) if name.lower().endswith((".jpg.jpg", ".png.png", ".jpeg.jpeg"))]
    if doubled:
        yield LintFinding(
            "doubled_extension",
            "info",
            f"{len(doubled):,} file names carry their extension twice ({examples(doubled)}).",
            "Nothing to do; Market-1501 has 24 such names, two of them junk.",
        )


def _extensions(items: Sequence[Item]) -> Iterator[LintFinding]:
    step = max(1, len(items) // _HEADERS)
    looked = items[::step]
    wrong = [(item, kind) for item in looked if (kind := _kind(item.path)) and _kind_by_name(item.path) not in ("", kind)]
    if wrong:
        named = [
            f"{name} is {kind}" for name, kind in zip(_names([item for item, _ in wrong]), (k for _, k in wrong), strict=True)
        ]
        yield LintFinding(
            "wrong_extension",
            "info",
            f"{len(wrong):,} of {len(looked):,} files looked at are not what their extension says ({examples(named)}).",
            "Nothing to do here, the content decides; other programs may stumble.",
        )


def _kind(path: str) -> str:
    """Return the format of a file by its first bytes, empty where that is not known or there is no file."""
    try:
        with open(path, "rb") as stream:  # noqa: PTH123  a Path costs more than the read
            start = stream.read(4)
    except OSError:
        return ""
    return next((kind for signature, kind in _SIGNATURES.items() if start.startswith(signature)), "")


def _kind_by_name(path: str) -> str:
    return _KINDS.get(os.path.splitext(path)[1].lower(), "")  # noqa: PTH122


def _names(items: Sequence[Item]) -> list[str]:
    return [item.path.rpartition(os.sep)[2] for item in items]
