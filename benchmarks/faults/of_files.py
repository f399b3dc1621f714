"""Faults of files and disks: damaged checkpoints and models, disks that are full or read-only, images that vanish."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.faults import injecting
from benchmarks.faults.stage import EPOCHS, STEPS_PER_EPOCH, Fault, Played, Stage
from unplateau.base.files import read_json
from unplateau.testing.small_market import Lab

_STEPS = STEPS_PER_EPOCH * EPOCHS
KEPT_IMAGES = "kept_images"


def killed_in_epoch(stage: Stage, epoch: int) -> Played:
    """Begin the run, and kill it in a step of an epoch that is not its first."""
    step = (epoch - 1) * STEPS_PER_EPOCH + stage.rng.randint(2, STEPS_PER_EPOCH)
    process = stage.start(lambda _: injecting.at_step(step, lambda *_: os.kill(os.getpid(), signal.SIGKILL)))
    return stage.ends(process, f"killed at step {step}", ("",))


def _damaged(which: str, *, is_cut: bool) -> Callable[[Stage], Played]:
    """A file of a run that was killed in its third or fourth epoch is damaged; the next start must see it and say so."""

    def play(stage: Stage) -> Played:
        played = killed_in_epoch(stage, stage.rng.randint(3, EPOCHS))
        path = _newest(stage, which)
        (_cut if is_cut else _flip)(path, stage)
        stage.must_say = _must_say(which, path)
        words = f"{path.name} {'cut' if is_cut else 'one bit flipped'}; {played.how}"
        return Played(words, played.code, played.said, ("",), damaged=(path.name,))

    return play


def _must_say(which: str, path: Path) -> tuple[str, ...]:
    """What the next start has to say of a damaged file; one that only a checksum elsewhere can judge is put back quietly."""
    if which == "checkpoint":
        return (f"{path.name} is damaged",)
    if which != "manifest":
        return ()
    try:
        read_json(path)
    except ValueError:
        return (f"{path.name} cannot be read",)
    return ()  # the bit, or what was cut off, is of no meaning, or a checksum is wrong now


def _damaged_line(stage: Stage) -> Played:
    """The newest line of the record is overwritten, as a block of the disk that went bad would do it."""
    played = killed_in_epoch(stage, stage.rng.randint(3, EPOCHS))
    path = stage.folder.metrics
    content = path.read_bytes()
    start = content.rstrip(b"\n").rfind(b"\n") + 1
    place = stage.rng.randint(start, len(content) - 40)
    path.write_bytes(content[:place] + stage.rng.choice((b"\0", b"\xff")) * 32 + content[place + 32 :])
    words = f"{played.how}; overwritten from byte {place - start} of its line on"
    return Played(words, played.code, played.said, ("",), damaged=(path.name,))


def _newest(stage: Stage, which: str) -> Path:
    if which == "checkpoint":
        return stage.folder.checkpoints / read_json(stage.folder.checkpoint_manifest)["checkpoints"][-1]["file"]
    return {
        "manifest": stage.folder.checkpoint_manifest,
        "best": stage.folder.best_model,
        "precision": stage.folder.average_precision,
        "rank lists": stage.folder.rank_lists,
    }[which]


def _cut(path: Path, stage: Stage) -> None:
    size = path.stat().st_size
    os.truncate(path, stage.rng.randint(0, size - 1))


def _flip(path: Path, stage: Stage) -> None:
    content = bytearray(path.read_bytes())
    place = stage.rng.randrange(len(content))
    content[place] ^= 1 << stage.rng.randrange(8)
    with path.open("r+b") as stream:  # in place: hard links see it too
        stream.write(content)


def can_change_disks(scratch: Path) -> bool:
    """Say whether small disks can be mounted here, and files made unchangeable: as root on Linux, and not in every container."""
    scratch.mkdir(parents=True, exist_ok=True)
    tried = scratch / "tried"
    tried.mkdir(exist_ok=True)
    words = (["chattr", "+i"], ["chattr", "-i"], ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs"], ["umount"])
    try:
        return all(subprocess.run([*one, str(tried)], capture_output=True, check=False).returncode == 0 for one in words)
    except FileNotFoundError:
        return False
    finally:
        tried.rmdir()


@contextmanager
def _small_disk(stage: Stage, megabytes: int) -> Iterator[Path]:
    """A disk of its own for the runs of this round."""
    place = stage.lab.place / f"disk_{stage.name}"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()


def _full_disk(stage: Stage) -> Played:
    """The disk fills up at a random moment of the run."""
    room = stage.rng.randint(0, 450) * 1024

    def fill(place: Path) -> None:
        free = shutil.disk_usage(place).free
        (place / "ballast").write_bytes(b"x" * max(0, free - room))

    return _on_small_disk(stage, fill, lambda place: (place / "ballast").unlink(), f"{room // 1024} KB are left")


def _read_only_folder(stage: Stage) -> Played:
    """The run's folder and the files in it become unchangeable at a random moment, for root too (chattr +i)."""
    step, folder = stage.rng.randint(1, _STEPS), str(stage.folder.path)

    def plant(_: Callable[[], None]) -> None:
        injecting.at_step(step, lambda *_: subprocess.run(["chattr", "-R", "+i", folder], check=True) and None)

    try:
        played = stage.ends(stage.start(plant), f"no file can be written from step {step} on", ("",))
    finally:
        subprocess.run(["chattr", "-R", "-i", folder], check=True)
    own = () if played.code == 1 else (f"ended with {played.code}, expected 1",)
    spoken = () if "could not be written to" in played.said else ("said nothing of it",)
    return Played(played.how, played.code, played.said, played.expected, own + spoken)


def _on_small_disk(stage: Stage, trouble: Callable[[Path], None], mend: Callable[[Path], None], words: str) -> Played:
    from benchmarks.faults.stage import problems_of

    step = stage.rng.randint(1, _STEPS)
    with _small_disk(stage, 4) as place:
        (stage.lab.place / "logs" / stage.name).symlink_to(place)

        def plant(tell: Callable[[], None]) -> None:
            injecting.at_step(step, lambda *_: trouble(place))

        played = stage.ends(stage.start(plant), f"{words} from step {step} on", ("disk-full", "completed"))
        mend(place)
        own = () if played.code in (1, 0) else (f"ended with {played.code}, expected 1",)
        spoken = () if played.code == 0 or "disk" in played.said or "The disk is full" in _log(stage) else ("said nothing of it",)
        reason, problems = problems_of(stage, Played(played.how, played.code, played.said, played.expected, own + spoken))
        (stage.lab.place / "logs" / stage.name).unlink()
    return Played(f"{played.how}; left: {reason}", played.code, played.said, (), tuple(problems), is_checked=True)


def _image_trouble(damage: Callable[[Path, Path], None], word: str) -> Callable[[Stage], Played]:
    """An image vanishes or is damaged while it trains from the files themselves; afterwards it is put back."""

    def play(stage: Stage) -> Played:
        stage.others = {"DATALOADER.CACHE": "off"}
        images = sorted(_images(stage.lab).glob("*.jpg"))
        step, troubled = stage.rng.randint(1, _STEPS - STEPS_PER_EPOCH), stage.rng.sample(images, 40)
        kept = stage.lab.place / KEPT_IMAGES
        kept.mkdir(exist_ok=True)
        for path in troubled:
            shutil.copy2(path, kept / path.name)

        def plant(_: Callable[[], None]) -> None:
            injecting.at_step(step, lambda *_: [damage(path, kept) for path in troubled] and None)

        played = stage.ends(stage.start(plant), f"40 images are {word} from step {step} on", ("error",))
        put_back(stage.lab)
        named = any(path.name in played.said or path.name in _log(stage) for path in troubled)
        return Played(played.how, played.code, played.said, played.expected, () if named else ("the image is not named",))

    return play


def put_back(lab: Lab) -> None:
    """Put images back that were to vanish or to be damaged."""
    for kept in sorted((lab.place / KEPT_IMAGES).glob("*.jpg")):
        shutil.copy2(kept, _images(lab) / kept.name)
        kept.unlink()


def _images(lab: Lab) -> Path:
    return lab.root / "Market-1501-v15.09.15" / "bounding_box_train"


def _log(stage: Stage) -> str:
    return stage.folder.log.read_text(encoding="utf-8") if stage.folder.log.exists() else ""


def _loader_dies(stage: Stage) -> Played:
    """One of two processes that decode images is killed."""
    stage.others = {"DATALOADER.CACHE": "off", "DATALOADER.NUM_WORKERS": "2"}
    step = stage.rng.randint(1, _STEPS - 2)

    def kill_child(*_: object) -> None:
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
        if children:
            os.kill(int(stage.rng.choice(children)), signal.SIGKILL)

    process = stage.start(lambda _: injecting.at_step(step, kill_child))
    # a worker that had handed over all its batches is not missed
    return stage.ends(process, f"at step {step}", ("error", "completed"))


def _folder_moved(stage: Stage) -> Played:
    """Somebody moves the folder away, and back when the training has ended."""
    step, path = stage.rng.randint(1, _STEPS), stage.folder.path
    away = path.with_name(f"{path.name}_away")
    process = stage.start(lambda _: injecting.at_step(step, lambda *_: path.rename(away) and None))
    played = stage.ends(process, f"moved away at step {step}", ("",))
    problems = (
        [] if played.code == 1 and "was moved or removed" in played.said else [f"ended with {played.code}, and did not say it"]
    )
    if path.exists():
        problems.append("the run was begun a second time")
        shutil.rmtree(path)
    away.rename(path)
    return replace(played, problems=tuple(problems))


OF_FILES = (
    Fault("checkpoint-cut", "the newest checkpoint is cut", _damaged("checkpoint", is_cut=True)),
    Fault("checkpoint-flipped", "one bit of the newest checkpoint is flipped", _damaged("checkpoint", is_cut=False)),
    Fault("manifest-cut", "the list of checkpoints is cut", _damaged("manifest", is_cut=True)),
    Fault("manifest-flipped", "one bit of the list of checkpoints is flipped", _damaged("manifest", is_cut=False)),
    Fault("best-flipped", "one bit of best_model.pth is flipped", _damaged("best", is_cut=False)),
    Fault("line-damaged", "the newest line of metrics.jsonl is overwritten", _damaged_line),
    Fault("precision-cut", "average_precision.npz is cut", _damaged("precision", is_cut=True)),
    Fault("rank-lists-cut", "rank_lists.json is cut", _damaged("rank lists", is_cut=True)),
    Fault("full-disk", "the disk is full (a tmpfs of 4 MB)", _full_disk, needs_root=True),
    Fault("read-only", "the folder of the run cannot be written to any more (chattr +i)", _read_only_folder, needs_root=True),
    Fault("folder-moved", "the folder of the run is moved away", _folder_moved),
    Fault("image-vanishes", "images vanish", _image_trouble(lambda path, _: path.unlink(), "gone")),
    Fault("image-damaged", "images are cut", _image_trouble(lambda path, _: os.truncate(path, path.stat().st_size // 3), "cut")),
    Fault("loader-dies", "SIGKILL of a process that decodes images", _loader_dies),
)
