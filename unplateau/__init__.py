"""unplateau: trains person re-identification models, says why a run has stalled, and tries the fixes.

`unplateau.watch` watches any training loop; it is loaded when it is first used, so that nothing else waits for torch.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_LAZY = {"watch": "unplateau.workflows.diagnosing.watch"}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'unplateau' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
