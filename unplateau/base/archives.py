"""ZIP archives (`.npz`, and what torch.save writes) that would unpack to far more than they are: refused before it is done."""

import zipfile
from pathlib import Path

_MOST_TIMES = 20  # its own size: arrays of numbers shrink to a third, torch's archives not at all
_HARMLESS_BYTES = 1 << 30


def refuse_bomb(path: Path) -> None:
    """Look at the size that an archive declares; nothing is done for other files.

    Raises:
        ValueError: it would unpack to over a gigabyte, and over twenty times its own size.
    """
    if not zipfile.is_zipfile(path):
        return
    with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > max(_HARMLESS_BYTES, _MOST_TIMES * path.stat().st_size):
        raise ValueError(f"its {path.stat().st_size:,} bytes would unpack to {unpacked:,}, which fills the memory")
