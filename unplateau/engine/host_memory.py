"""What becomes of memory that a training step frees on the CPU, where the C library is glibc.

By default glibc gives large freed blocks back to the system and asks for them again in the next step: each step of a small
network then takes tens of thousands of page faults (`benchmarks/step/host_memory.py`). Kept, the blocks leave gaps between them:
where a memory plan is followed, a step holds up to twice what its tensors take (`benchmarks/memory/predict.py`). So memory is
kept where there is enough, and handed back where there is not. Elsewhere (Windows, macOS, musl) nothing is done.
"""

import ctypes
import sys
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_LARGEST_BYTES = 1 << 30  # blocks up to 1 GiB come from the heap, and so much may stay free at its top
_SMALL_BYTES = 128 << 10  # glibc's own first choice; set, it stays, where it would grow with the blocks that are freed


def keep_freed_memory() -> bool:
    """Tell the C library to keep freed memory; return whether it understood. Affects this process until it ends."""
    return _set_thresholds(_LARGEST_BYTES)


def hand_back_freed_memory() -> bool:
    """Tell the C library to hand freed memory back, what is free now and later; return whether it understood. Slower steps."""
    understood = _set_thresholds(_SMALL_BYTES)
    if understood:
        _c_library().malloc_trim(0)
    return understood


def _set_thresholds(num_bytes: int) -> bool:
    mallopt = getattr(_c_library(), "mallopt", None)
    if mallopt is None:
        return False
    return all([mallopt(_M_MMAP_THRESHOLD, num_bytes), mallopt(_M_TRIM_THRESHOLD, num_bytes)])


def _c_library() -> Any:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
