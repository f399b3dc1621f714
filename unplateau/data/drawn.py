"""MiniMarket as a data set: drawn into the user's cache folder on first use, then read like Market-1501. See `minimarket`."""

import hashlib
import logging
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from unplateau.base.errors import DataError
from unplateau.data.flat_sets import MARKET1501
from unplateau.data.items import DatasetFiles
from unplateau.data.listing import read_flat
from unplateau.data.user_cache import user_cache_folder

_LOG = logging.getLogger(__name__)
_SEED = 0  # everybody's MiniMarket is the same


def read_minimarket(root: Path) -> DatasetFiles:
    """Return MiniMarket, drawing it first where that has not been done. `root` is of no consequence."""
    folder = user_cache_folder() / f"minimarket-{_version()}"
    notes = (f"MiniMarket is drawn, not photographed; it lies in {folder}.",)
    if not folder.is_dir():
        from unplateau.data.minimarket import render  # drawing is needed once a machine

        _LOG.info("Drawing MiniMarket into %s; this takes about half a minute, once.", folder)
        draw_once(folder, lambda part: render(part, seed=_SEED))
    return replace(read_flat(folder, replace(MARKET1501.layout, name="MiniMarket")), notes=notes)


def draw_once(folder: Path, draw: Callable[[Path], None]) -> None:
    """Let `draw` fill a folder of its own, which then becomes `folder`: there whole or not at all, whoever else draws.

    Raises:
        DataError: the cache folder cannot be written to.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise DataError(
            f"MiniMarket cannot be drawn into {folder} ({error.strerror}). Make the folder writable, or set "
            f"{'LOCALAPPDATA' if sys.platform == 'win32' else 'XDG_CACHE_HOME'} to one that is."
        ) from error
    try:
        draw(part)
        _take_place(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _take_place(part: Path, folder: Path) -> None:
    try:
        part.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another process was first, with the same images
            raise


def _version() -> str:
    """Return a hash of the drawing code: a change of it is another MiniMarket, and must not be mixed with what is cached."""
    sources = sorted((Path(__file__).parent / "minimarket").rglob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes().replace(b"\r\n", b"\n") for source in sources)).hexdigest()[:8]
