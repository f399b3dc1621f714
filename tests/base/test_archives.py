"""An archive that is made to fill the memory is refused before it is unpacked."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from unplateau.base import archives
from unplateau.base.archives import refuse_bomb
from unplateau.base.errors import DataError, WeightsError
from unplateau.evaluation.features_file import read_embedded
from unplateau.models.weight_files import read_weights
from unplateau.runs.layout import RunFolder
from unplateau.runs.reader import read_average_precision
from unplateau.runs.results_file import read_results


@pytest.fixture
def bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(archives, "_HARMLESS_BYTES", 1 << 20)
    path = tmp_path / "average_precision.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", bytes(4 << 20))
    return path


def test_a_bomb_is_refused_by_all_that_unpack(bomb: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="would unpack to 4,194,304, which fills the memory"):
        refuse_bomb(bomb)
    with pytest.raises(DataError, match="fills the memory"):
        read_embedded(bomb)
    with pytest.raises(DataError, match="fills the memory"):
        read_results(bomb)
    assert read_average_precision(RunFolder(bomb.parent)) == {}
    assert "fills the memory" in caplog.text
    weights = bomb.rename(bomb.with_suffix(".pth"))
    with pytest.raises(WeightsError, match="fills the memory"):
        read_weights(weights)


def test_arrays_that_shrink_well_and_files_that_are_no_archive_are_not_refused(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "zeros.npz", features=np.zeros((512, 512)))
    (tmp_path / "text.npz").write_text("no archive")
    for path in tmp_path.iterdir():
        refuse_bomb(path)
