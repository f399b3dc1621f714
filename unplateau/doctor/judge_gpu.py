"""The GPU: the driver against torch's build, the kernels against the card, and which number format it computes in."""

from unplateau.doctor.facts import Check, Gpu, Machine, Torch, Wanted
from unplateau.doctor.judge_packages import INSTALL_PAGE
from unplateau.doctor.versions import is_at_least

_GIGABYTE = 1e9
_SMALL_GPU_BYTES = 5e9
_BF16_CAPABILITY = (8, 0)  # Ampere; Turing only emulates it (as `engine.precision` decides)
_FP16_CAPABILITY = (7, 0)  # Volta: the first with tensor cores


def judge_gpu(machine: Machine, wanted: Wanted) -> tuple[Check, ...]:
    """Return what there is to say of GPUs; nothing is said of one that the configuration does not use."""
    torch, driver = machine.torch, machine.driver
    if torch is None or wanted.device == "cpu":
        return _driver_alone(machine, wanted)
    if driver is not None and not torch.cuda_build and not torch.hip_build:
        return (_cpu_only_build(machine),)
    if torch.gpus:
        return tuple(_judge_card(gpu, torch) for gpu in torch.gpus)
    if torch.cuda_build and driver is not None:
        return (_unusable(machine, torch),)
    if torch.has_mps:
        return (Check("ok", "gpu", "Apple GPU (mps)"),)
    return (_no_gpu(wanted),)


def _driver_alone(machine: Machine, wanted: Wanted) -> tuple[Check, ...]:
    if wanted.device == "cpu":
        return (Check("ok", "gpu", "not used: MODEL.DEVICE is cpu"),)
    if machine.driver is None:
        return (Check("warning", "gpu", "no NVIDIA driver was found, and torch could not be asked.", "First mend torch, below."),)
    return (Check("warning", "gpu", f"{_card(machine)}; torch could not be asked about it.", "First mend torch, below."),)


def _cpu_only_build(machine: Machine) -> Check:
    highest = machine.driver.highest_cuda if machine.driver else ""
    limit = f" (a CUDA version up to {highest}, which your driver can run)" if highest else ""
    version, on_windows = machine.packages["torch"].version, machine.system == "Windows"
    return Check(
        "problem",
        "gpu",
        f"{_card(machine)} is there, but the installed torch {version} is a CPU-only build, so training would not use the GPU."
        + (" A plain `pip install torch` gives this build on Windows." if on_windows else ""),
        f"Go to {INSTALL_PAGE}, choose Pip and CUDA{limit}, and run the command it shows with this environment's Python, adding "
        "--force-reinstall.",
    )


def _card(machine: Machine) -> str:
    driver = machine.driver
    if driver is None or not driver.gpus:
        return "An NVIDIA driver"
    return f"{driver.gpus[0]} (NVIDIA driver {driver.version})"


def _judge_card(gpu: Gpu, torch: Torch) -> Check:
    shown = f"{gpu.name}, {gpu.memory_bytes / _GIGABYTE:.1f} GB"
    if torch.cuda_build and torch.architectures and not has_kernels_for(gpu.capability, torch.architectures):
        return Check(
            "problem",
            "gpu",
            f"{shown}: this torch has no kernels for it (compute capability {gpu.capability[0]}.{gpu.capability[1]}; built for "
            f"{', '.join(torch.architectures)}).",
            f"Choose a torch whose CUDA version knows this card at {INSTALL_PAGE}: the newest one for a new card, and for an old "
            "card an earlier version, CUDA 12.6 or 11.8.",
        )
    if torch.cuda_problem:
        fix = "Restart the machine; if it stays, update the driver, and then reinstall torch."
        return Check("problem", "gpu", f"{shown}: a small computation on it failed ({torch.cuda_problem}).", fix)
    if gpu.memory_bytes < _SMALL_GPU_BYTES:
        return Check(
            "warning", "gpu", f"{shown}: a small card.", "Take SOLVER.IMS_PER_BATCH 32 or less; see docs/guides/small_cards.md."
        )
    return Check("ok", "gpu", shown)


def has_kernels_for(capability: tuple[int, int], architectures: tuple[str, ...]) -> bool:
    """Return whether code compiled for these architectures runs on a card.

    Machine code (sm_) runs on cards of its own major version with the same or a higher minor one; intermediate code
    (compute_) is translated for anything newer.

    >>> has_kernels_for((8, 9), ("sm_75", "sm_86")), has_kernels_for((6, 1), ("sm_75",))
    (True, False)
    >>> has_kernels_for((12, 0), ("sm_90", "compute_90"))
    True
    """
    for architecture in architectures:
        kind, _, digits = architecture.partition("_")
        digits = digits.rstrip("af")  # variants of one chip
        if not digits.isdigit():
            continue
        major, minor = int(digits[:-1]), int(digits[-1])
        if kind == "sm" and capability[0] == major and capability[1] >= minor:
            return True
        if kind == "compute" and capability >= (major, minor):
            return True
    return False


def _unusable(machine: Machine, torch: Torch) -> Check:
    driver, hidden = machine.driver, machine.environment.get("CUDA_VISIBLE_DEVICES")
    assert driver is not None  # the caller saw it
    if hidden is not None and hidden.strip() in ("", "-1"):
        fix = "Unset CUDA_VISIBLE_DEVICES, or set it to 0."
        return Check("problem", "gpu", f"{_card(machine)} is hidden: CUDA_VISIBLE_DEVICES is {hidden!r}.", fix)
    if driver.problem:
        fix = "Restart the machine; if it stays, install the driver again from https://www.nvidia.com/drivers."
        return Check("problem", "gpu", f"the NVIDIA driver does not answer ({driver.problem}).", fix)
    if driver.highest_cuda and not is_at_least(driver.highest_cuda, torch.cuda_build.split(".")[0]):
        return Check(
            "problem",
            "gpu",
            f"{_card(machine)} runs CUDA up to {driver.highest_cuda}, and torch was built for CUDA {torch.cuda_build}.",
            f"Update the driver (https://www.nvidia.com/drivers), or choose a torch for an earlier CUDA at {INSTALL_PAGE}.",
        )
    said = torch.cuda_problem or "no reason given"
    fix = "Update the driver (https://www.nvidia.com/drivers) and restart; in a container, start it with --gpus all."
    return Check("problem", "gpu", f"{_card(machine)} is there, but torch cannot use it ({said}).", fix)


def _no_gpu(wanted: Wanted) -> Check:
    if wanted.device.startswith(("cuda", "mps")):
        return Check("problem", "gpu", f"MODEL.DEVICE is {wanted.device}, and there is no such device.", "Add: MODEL.DEVICE auto")
    return Check(
        "warning",
        "gpu",
        "none; training uses the processor, which is many times slower.",
        "Start with custom_configs/market1501_mobilenetv2_cpu.yml, which is made for two processor cores.",
    )


def judge_precision(machine: Machine, wanted: Wanted) -> tuple[Check, ...]:
    """Return which number format mixed precision would compute in."""
    torch = machine.torch
    if torch is None:
        return ()
    if torch.gpus and wanted.device != "cpu":
        return (_precision_on(torch.gpus[0], wanted),)
    if wanted.amp == "fp16":
        text = "SOLVER.AMP.DTYPE is fp16, which a processor does not train in."
        return (Check("problem", "precision", text, "Add: SOLVER.AMP.ENABLED False"),)
    if torch.computes_bf16_on_cpu:
        return (Check("ok", "precision", "this processor computes bf16 natively, so SOLVER.AMP helps"),)
    return (Check("ok", "precision", "fp32: this processor has no bf16, so SOLVER.AMP does nothing"),)


def _precision_on(gpu: Gpu, wanted: Wanted) -> Check:
    if gpu.capability >= _BF16_CAPABILITY:
        return Check("ok", "precision", "bf16 (and fp16): SOLVER.AMP takes bf16")
    if gpu.capability < _FP16_CAPABILITY:
        return Check("ok", "precision", "this card has no fast half precision: SOLVER.AMP saves memory, hardly time")
    if wanted.amp == "bf16":
        text = "SOLVER.AMP.DTYPE is bf16, which this card only emulates, slowly."
        return Check("warning", "precision", text, "Add: SOLVER.AMP.DTYPE fp16")
    return Check("ok", "precision", "fp16 (bf16 only emulated): SOLVER.AMP takes fp16")
