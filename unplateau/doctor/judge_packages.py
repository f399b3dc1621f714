"""Python and its packages: there, importable, of versions that belong together."""

from unplateau.doctor.facts import Check, Machine, Package
from unplateau.doctor.versions import EXCLUDED, MINIMUM, MINIMUM_PYTHON, NEWEST_PYTHON_TRIED, fits, is_at_least

INSTALL_PAGE = "https://pytorch.org/get-started/locally/"
_RUNTIME_PAGE = "https://aka.ms/vs/17/release/vc_redist.x64.exe"
_TOGETHER = "python -m pip install --upgrade --force-reinstall torch torchvision"
EXTRAS = {  # those of pyproject.toml, which a test compares
    "export": ("onnx", "onnxscript", "onnxruntime"),
    "search": ("scipy", "cmaes"),
    "jpeg": ("simplejpeg",),
    "ray": ("ray",),
    "submitit": ("submitit",),
    "tensorboard": ("tensorboard",),
    "wandb": ("wandb",),
}


def judge_python(machine: Machine) -> Check:
    """Python's own version."""
    shown = ".".join(map(str, machine.python))
    wanted, newest = (".".join(map(str, version)) for version in (MINIMUM_PYTHON, NEWEST_PYTHON_TRIED))
    if machine.python[:2] < MINIMUM_PYTHON:
        fix = f"Install Python {wanted} or later, and make a new virtual environment with it."
        return Check("problem", "python", f"{shown} is too old; {wanted} or later is needed.", fix)
    if machine.python[:2] > NEWEST_PYTHON_TRIED:
        fix = f"If something fails that should not, try Python {newest}."
        return Check("warning", "python", f"{shown} is newer than what was tried ({newest}).", fix)
    return Check("ok", "python", f"{shown} on {machine.system}")


def judge_torch(machine: Machine) -> Check:
    """Whether torch is there, can be imported, and is of a version that works."""
    package = machine.packages["torch"]
    if not package.version:
        fix = f"Choose your system and GPU at {INSTALL_PAGE} and run the command it shows, in this environment."
        return Check("problem", "torch", "PyTorch is not installed in this environment.", fix)
    if package.error or machine.torch is None:
        return Check(
            "problem", "torch", f"{package.version} cannot be imported: {package.error}", _fix_of_import(package, machine)
        )
    if package.version.startswith(EXCLUDED["torch"]):
        text = f"{package.version} is a version that does not work: its CPU build and torchvision do not fit together."
        return Check("problem", "torch", text, f"Another version, older or newer: {_TOGETHER}")
    return _too_old(package) or Check("ok", "torch", f"{package.version} ({_build(machine)})")


def _fix_of_import(package: Package, machine: Machine) -> str:
    error = package.error.lower()
    if machine.system == "Windows" and ("dll" in error or "winerror" in error):
        return f"Install Microsoft's Visual C++ runtime, {_RUNTIME_PAGE}, restart, and try again; then reinstall torch."
    if "numpy" in error:
        return "torch and NumPy do not fit together. " + f"Renew both: {_TOGETHER} numpy"
    return f"Install it again, with the command that {INSTALL_PAGE} shows for your system."


def _build(machine: Machine) -> str:
    torch = machine.torch
    if torch is None:
        return "not imported"
    if torch.cuda_build:
        return f"built for CUDA {torch.cuda_build}"
    return f"built for ROCm {torch.hip_build}" if torch.hip_build else "CPU only"


def judge_torchvision(machine: Machine) -> Check:
    """Whether torchvision is the one that belongs to this torch."""
    vision, torch = machine.packages["torchvision"], machine.packages["torch"]
    if not vision.version:
        fix = f"Install both together, with the command that {INSTALL_PAGE} shows for your system."
        return Check("problem", "torchvision", "torchvision is not installed in this environment.", fix)
    if machine.torch is None:
        return Check("warning", "torchvision", f"{vision.version}; not tried, since torch cannot be imported.")
    is_mismatched = "nms" in vision.error or "torchvision::" in vision.error
    if vision.error and not is_mismatched:
        return Check("problem", "torchvision", f"{vision.version} cannot be imported: {vision.error}", _fix_together())
    if is_mismatched:
        text = f"{vision.version} was built for another torch than the installed {torch.version} ({vision.error})."
        return Check("problem", "torchvision", text, _fix_together())
    if vision.needs_torch and not fits(torch.version, vision.needs_torch):
        text = f"{vision.version} asks for torch {vision.needs_torch}, and {torch.version} is installed."
        return Check("warning", "torchvision", text, _fix_together())
    return _too_old(vision) or Check("ok", "torchvision", f"{vision.version} works with this torch")


def _fix_together() -> str:
    return (
        f"Install the two together, in one command: {_TOGETHER}. With a GPU take the command that {INSTALL_PAGE} shows, "
        "which has the right --index-url."
    )


def judge_others(machine: Machine) -> tuple[Check, ...]:
    """The other packages that training needs: a line for timm and NumPy, and one for each that is wrong."""
    names = [name for name in MINIMUM if name not in ("torch", "torchvision")]
    checks = [_judge_package(machine.packages[name]) for name in names]
    return tuple(check for check in checks if check.level != "ok" or check.subject in ("timm", "numpy"))


def _judge_package(package: Package) -> Check:
    install = f'python -m pip install "{package.name}>={MINIMUM[package.name]}"'
    if not package.version:
        return Check("problem", package.name, f"{package.name} is not installed in this environment.", install)
    if package.error:
        return Check(
            "problem", package.name, f"{package.version} cannot be imported: {package.error}", f"{install} --force-reinstall"
        )
    return _too_old(package) or Check("ok", package.name, package.version)


def _too_old(package: Package) -> Check | None:
    minimum = MINIMUM[package.name]
    if is_at_least(package.version, minimum):
        return None
    fix = (
        _TOGETHER if package.name in ("torch", "torchvision") else f'python -m pip install --upgrade "{package.name}>={minimum}"'
    )
    return Check("problem", package.name, f"{package.version} is too old; {minimum} or later is needed.", fix)


def judge_optional(machine: Machine) -> Check:
    """Packages that only some commands need; missing ones are no problem."""
    missing = {
        extra: names for extra, packages in EXTRAS.items() if (names := [n for n in packages if not machine.packages[n].version])
    }
    if not missing:
        return Check("ok", "extras", "all optional packages are installed")
    listed = "; ".join(f"{extra} ({', '.join(names)})" for extra, names in missing.items())
    return Check("ok", "extras", f'not installed, and only needed for: {listed}. To add: pip install -e ".[{",".join(missing)}]"')
