"""Failures that come from the machine and not from the training: a full disk, a process that was killed beside this one."""

import errno
import re
from collections.abc import Iterator
from pathlib import Path

_NO_ROOM = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_TORN_ARCHIVE = ("PytorchStreamWriter failed", "unexpected pos")  # what torch.save makes of a disk that is full
_LOST_PEER = re.compile(
    r"connection (closed|reset) by peer|connection refused|gloo.*timed out|nccl.*(error|timeout)", re.IGNORECASE
)
_LOST_LOADER = re.compile(r"DataLoader worker \(pid[^)]*\)[^.]*")


def is_disk_full(error: BaseException) -> bool:
    """Say whether an exception comes of a disk without room, or of a quota that is used up."""
    if any(isinstance(one, OSError) and one.errno in _NO_ROOM for one in _chain(error)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _TORN_ARCHIVE)


def disk_full_words(error: BaseException, folder: Path) -> str:
    """Say which file could not be written for want of room."""
    named = next((one.filename for one in _chain(error) if isinstance(one, OSError) and one.filename), None)
    return f"No space left on the disk: {named or folder} could not be written."


def lost_process_words(error: BaseException) -> str:
    """Say which process beside this one was lost, where that is what went wrong; empty for other failures."""
    text = " ".join(str(error).split())
    if not isinstance(error, RuntimeError):
        return ""
    if worker := _LOST_LOADER.search(text):
        return (
            f"A process that decodes images died ({worker.group(0)}), mostly because the system ran out of memory. "
            "Use fewer (DATALOADER.NUM_WORKERS), or the cache (DATALOADER.CACHE auto)"
        )
    if _LOST_PEER.search(text):
        return f"Another process of this training died or cannot be reached; its own output says why. ({text[:160]})"
    return ""


def no_exact_kernel_words(error: BaseException) -> str:
    """Say what DETERMINISTIC asks for and torch does not have, where that is what went wrong; empty for other failures.

    >>> no_exact_kernel_words(RuntimeError("pool_backward_cuda does not have a deterministic implementation, but you set"))
    'DETERMINISTIC is True, but torch has no exact kernel for pool_backward_cuda on this device. Use DETERMINISTIC False'
    """
    operation, found, _ = str(error).partition(" does not have a deterministic implementation")
    if not found or not isinstance(error, RuntimeError):
        return ""
    return f"DETERMINISTIC is True, but torch has no exact kernel for {operation} on this device. Use DETERMINISTIC False"


def _chain(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    for _ in range(10):
        if found is None:
            return
        yield found
        found = found.__cause__ or found.__context__
