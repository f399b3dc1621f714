"""Keeps memory that a training step frees on the CPU for the next step, where the C library is glibc.

By default glibc gives large freed blocks back to the system and asks for them again in the next step: each step of a small
network then takes tens of thousands of page faults. Measured by `benchmarks/step/host_memory.py`. Elsewhere (Windows, macOS,
musl) nothing is done.
"""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_LARGEST_BYTES = 1 << 30  # blocks up to 1 GiB come from the heap, and so much may stay free at its top


def keep_freed_memory() -> bool:
    """Tell the C library to keep freed memory; return whether it understood. Affects this process until it ends."""
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all([mallopt(_M_MMAP_THRESHOLD, _LARGEST_BYTES), mallopt(_M_TRIM_THRESHOLD, _LARGEST_BYTES)])
