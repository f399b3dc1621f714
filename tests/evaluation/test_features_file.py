"""Feature files: what was written is read, foreign names are understood, and what could run code is refused."""

from pathlib import Path

import numpy as np
import pytest

from unplateau.base.errors import DataError, DataNotFoundError
from unplateau.evaluation import Embedded
from unplateau.evaluation.features_file import read_embedded, read_query_and_gallery, write_embedded


def test_what_was_written_is_read(tmp_path: Path) -> None:
    embedded = Embedded(np.random.default_rng(0).random((4, 3)), np.arange(4), np.array([0, 1, -1, 2]))
    write_embedded(tmp_path / "features.npz", embedded)
    again = read_embedded(tmp_path / "features.npz")
    np.testing.assert_array_equal(again.features_ND, embedded.features_ND)
    np.testing.assert_array_equal(again.person_ids_N, embedded.person_ids_N)
    np.testing.assert_array_equal(again.camera_ids_N, embedded.camera_ids_N)


def test_a_folder_of_arrays_with_foreign_names_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "feats.npy", np.eye(3))
    np.save(tmp_path / "pids.npy", np.arange(3))
    embedded = read_embedded(tmp_path)
    assert embedded.person_ids_N.tolist() == [0, 1, 2]
    assert embedded.camera_ids_N.tolist() == [-1, -1, -1]


def test_query_and_gallery_may_share_a_file(tmp_path: Path) -> None:
    arrays = {"query_features": np.eye(2), "query_person_ids": [1, 2], "gallery_features": np.eye(2)}
    np.savez(tmp_path / "both.npz", **arrays, gallery_person_ids=[2, 1], gallery_camera_ids=[5, 6])
    query, gallery = read_query_and_gallery(tmp_path / "both.npz")
    assert query.person_ids_N.tolist() == [1, 2]
    assert gallery.camera_ids_N.tolist() == [5, 6]


def test_a_file_that_could_run_code_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "pickled.npz", features=np.array([{"a": 1}], dtype=object), person_ids=[1])
    with pytest.raises(DataError, match="pickled"):
        read_embedded(tmp_path / "pickled.npz")


def test_files_that_are_not_features_are_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "alone.npy", np.eye(3))
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "no_ids.npz", features=np.eye(3))
    for name, reason in (("text.npz", "plain arrays"), ("alone.npy", "plain arrays"), ("empty", "no arrays")):
        with pytest.raises(DataError, match=reason):
            read_embedded(tmp_path / name)
    with pytest.raises(DataError, match="person_ids"):
        read_embedded(tmp_path / "no_ids.npz")
    with pytest.raises(DataNotFoundError):
        read_embedded(tmp_path / "nowhere.npz")
