"""Where what can be made again is kept on this machine: MiniMarket and decoded images."""

import os
import sys
from pathlib import Path


def user_cache_folder() -> Path:
    """Return where this system's programs keep what they can make again, with our name at its end."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "unplateau"


def image_cache_folder(configured: str = "") -> Path:
    """Return where decoded images are kept: `DATALOADER.CACHE_DIR`, else $UNPLATEAU_CACHE, else the user's cache folder."""
    chosen = configured or os.environ.get("UNPLATEAU_CACHE", "")
    return (Path(chosen).expanduser() if chosen else user_cache_folder()) / "images"
