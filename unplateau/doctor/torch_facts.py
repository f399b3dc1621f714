"""Run in a process of its own by `measure`: imports torch, torchvision and timm, and prints what it finds, a JSON object a line.

A broken torch can raise, hang or kill the process; what was printed before that still counts. Imports nothing of ours.
"""

import importlib
import json
import warnings

MARK = "unplateau-doctor:"


def main() -> None:
    """Print the facts."""
    torch = _imported("torch")
    if torch is None:
        return
    _say(torch=_describe(torch))
    if _imported("torchvision") is not None:
        _try_operators(torch)
    _imported("timm")


def _say(**facts: object) -> None:
    print(MARK + json.dumps(facts), flush=True)


def _imported(name: str):  # type: ignore[no-untyped-def]
    try:
        module = importlib.import_module(name)
    except Exception as error:  # noqa: BLE001 - whatever a broken installation raises is what we are after
        _say(package=name, error=_words(error))
        return None
    _say(package=name, error="")
    return module


def _try_operators(torch) -> None:  # type: ignore[no-untyped-def]
    """The operator that is missing where torchvision was built for another torch."""
    try:
        importlib.import_module("torchvision.ops").nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except Exception as error:  # noqa: BLE001
        _say(package="torchvision", error=_words(error))


def _describe(torch) -> dict[str, object]:  # type: ignore[no-untyped-def]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        has_gpu = torch.cuda.is_available()
        problem = _failure_on_gpu(torch) if has_gpu else " ".join(str(warning.message) for warning in caught)
    bf16 = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return {
        "cuda_build": torch.version.cuda or "",
        "hip_build": torch.version.hip or "",
        "gpus": [_gpu(torch, index) for index in range(torch.cuda.device_count())] if has_gpu else [],
        "architectures": torch.cuda.get_arch_list() if has_gpu else [],
        "cuda_problem": problem,
        "has_mps": torch.backends.mps.is_available(),
        "computes_bf16_on_cpu": bool(bf16 is not None and bf16()),
        "num_threads": torch.get_num_threads(),
    }


def _gpu(torch, index: int) -> dict[str, object]:  # type: ignore[no-untyped-def]
    properties = torch.cuda.get_device_properties(index)
    return {
        "name": properties.name,
        "memory_bytes": properties.total_memory,
        "capability": [properties.major, properties.minor],
    }


def _failure_on_gpu(torch) -> str:  # type: ignore[no-untyped-def]
    try:
        ones = torch.ones(8, 8, device="cuda")
        torch.mm(ones, ones).sum().item()
    except Exception as error:  # noqa: BLE001
        return _words(error)
    return ""


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"


if __name__ == "__main__":
    main()
