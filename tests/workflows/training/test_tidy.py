"""What killed processes left half written goes, but not from under one that is at work."""

from pathlib import Path

from unplateau.base.locks import FileLock
from unplateau.runs.layout import RunFolder
from unplateau.workflows.training.tidy import has_leftovers, tidy_launcher, tidy_run


def _half_written(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".{name}.4711.part"
    path.write_text("half")
    return path


def _run(top: Path, name: str) -> RunFolder:
    folder = RunFolder(top / name)
    folder.path.mkdir()
    folder.metrics.touch()
    return folder


def test_a_launcher_tidies_its_own_files_and_those_of_runs_that_nobody_trains(tmp_path: Path) -> None:
    done, busy = _run(tmp_path, "done"), _run(tmp_path, "busy")
    gone = [_half_written(place, "x") for place in (tmp_path, tmp_path / "launcher", done.path, done.checkpoints)]
    kept = [_half_written(busy.path, "metrics.jsonl"), _half_written(tmp_path / "elsewhere", "x")]
    lock = FileLock(busy.lock)
    assert lock.acquire()
    tidy_launcher(tmp_path, tmp_path / "launcher")
    assert not any(path.exists() for path in gone) and all(path.exists() for path in kept)
    lock.release()
    tidy_run(busy)
    assert not has_leftovers(busy)


def test_a_run_in_a_folder_that_cannot_be_written_to_stays_as_it_is(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()
    tidy_run(RunFolder(place / "run"))  # its folder cannot be made
    assert list(tmp_path.iterdir()) == [place]
