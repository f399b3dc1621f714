"""Which kernels torch may take: the fastest, or only exact ones, which give the same bits each time. A setting of the process."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from unplateau.config.schema import Config

_WORKSPACE = ":4096:8"  # NVIDIA's documentation of cuBLAS, "Results reproducibility": with it products are exact


def choose_kernels(config: Config, device: torch.device) -> None:
    """Set what CUDNN_BENCHMARK and DETERMINISTIC ask for; to be called before the device is used.

    On the CPU a training gives the same bits without it. Where an operation has no exact kernel, torch raises RuntimeError.
    """
    is_exact = config.DETERMINISTIC and device.type == "cuda"
    torch.backends.cudnn.benchmark = config.CUDNN_BENCHMARK and not is_exact
    if is_exact:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", _WORKSPACE)
        # else every new tensor would be filled, to find who reads it too early
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(is_exact)


@contextmanager
def without_search() -> Iterator[None]:
    """Let cuDNN take the kernels it thinks best, for as long as ways are compared.

    With CUDNN_BENCHMARK it tries all it has for each convolution and each way. On an H200 choosing for a ResNet-50 took 52 s
    with it and 3 s without, for a step that is 1.5 % faster than with exact kernels (benchmarks/results/gpu_first_look.md).
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
