"""Tells an error that means "no memory" from others, whatever raised it: torch, cuDNN, cuBLAS or Python. Imports no torch."""

_CLASS = "OutOfMemoryError"  # torch's, a RuntimeError
_SIGNS = (
    "out of memory",
    "can't allocate memory",  # torch's allocator for the CPU
    "not enough memory",  # the same on Windows
    "alloc_failed",  # CUBLAS_STATUS_ALLOC_FAILED, CUDNN_STATUS_ALLOC_FAILED
    "unable to find a valid cudnn algorithm",  # cuDNN, where none of its workspaces fits
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory was used up.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"))
    (True, True)
    >>> is_out_of_memory(RuntimeError("shapes differ")), is_out_of_memory(ValueError("out of memory"))
    (False, False)
    """
    if isinstance(error, MemoryError) or type(error).__name__ == _CLASS:
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(sign in text for sign in _SIGNS)
