"""A run that was killed is continued elsewhere: on other images, with another torch, with another number of processes.

Each is refused with what differs, nothing of the run is touched, and as it was begun it goes on to the undisturbed end.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace

from benchmarks.faults.of_files import KEPT_IMAGES, killed_in_epoch
from benchmarks.faults.of_processes import pair
from benchmarks.faults.stage import EPOCHS, LIMIT_SECONDS, Fault, Played, Stage
from unplateau.base.files import sha256_of
from unplateau.workflows.training import going_on


def _refused(elsewhere: Callable[[Stage], tuple[list[int | None], str]], words: str) -> Callable[[Stage], Played]:
    def play(stage: Stage) -> Played:
        played = killed_in_epoch(stage, stage.rng.randint(2, EPOCHS))
        before = _digests(stage)
        codes, said = elsewhere(stage)
        problems = [] if set(codes) == {2} else [f"elsewhere it ended with {codes}, expected 2"]
        if words not in said or "Results would silently change" not in said:
            problems.append(f"elsewhere it did not say {words!r}: {said[-200:]}")
        if _digests(stage) != before:
            problems.append("the start that was refused has changed the run")
        return replace(played, expected=("killed",), problems=tuple(problems))  # the start elsewhere has written that it was

    return play


def _digests(stage: Stage) -> dict[str, str]:
    """Of what a run goes on from."""
    folder = stage.folder
    paths = (folder.metrics, folder.best_model, folder.history, *folder.checkpoints.iterdir())
    return {path.name: sha256_of(path) for path in paths}


def _started(stage: Stage, plant: Callable[[Callable[[], None]], None] | None) -> tuple[list[int | None], str]:
    process = stage.start(plant, label="elsewhere")
    code = process.wait(LIMIT_SECONDS)
    process.end()
    return [code], process.said()


def _on_other_images(stage: Stage) -> tuple[list[int | None], str]:
    """One image of a person is taken away for as long."""
    images = sorted((stage.lab.root / "Market-1501-v15.09.15" / "bounding_box_train").glob("*.jpg"))
    gone = stage.rng.choice(images)
    kept = stage.lab.place / KEPT_IMAGES / gone.name  # where the harness looks for images to put back
    kept.parent.mkdir(exist_ok=True)
    shutil.move(gone, kept)
    try:
        return _started(stage, None)
    finally:
        shutil.move(kept, gone)


def _with_another_torch(stage: Stage) -> tuple[list[int | None], str]:
    version = stage.rng.choice(("1.13.1", "2.3.0+cu121", "3.0.0"))

    def plant(_: Callable[[], None]) -> None:
        true = going_on.identity
        setattr(going_on, "identity", lambda *given: {**true(*given), "torch": version})  # noqa: B010

    return _started(stage, plant)


def _with_two_processes(stage: Stage) -> tuple[list[int | None], str]:
    processes = pair(stage, (None, None))
    codes = [process.wait(LIMIT_SECONDS) for process in processes]
    for process in processes:
        process.end()
    return codes, processes[0].said()


OF_DISAGREEMENT = (
    Fault("other-data", "killed, continued on other images, then as it was begun", _refused(_on_other_images, "other data")),
    Fault("other-torch", "the same with another torch", _refused(_with_another_torch, "there is torch")),
    Fault("other-processes", "the same with two processes", _refused(_with_two_processes, "there are 2 now")),
)
