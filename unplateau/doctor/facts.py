"""What is known of a machine, as plain data: tests make such machines up, `measure` reads the real one."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Package:
    """One Python package. An empty version: not installed; an error: it is installed and cannot be imported."""

    name: str
    version: str = ""
    error: str = ""
    needs_torch: str = ""
    """What its own metadata ask of torch, such as ">=2.14.0"; empty = nothing known."""


@dataclass(frozen=True)
class Gpu:
    """A GPU as torch sees it."""

    name: str
    memory_bytes: int
    capability: tuple[int, int]
    """CUDA compute capability, such as (8, 6)."""


@dataclass(frozen=True)
class Torch:
    """What torch says of itself and the machine, once it has been imported."""

    cuda_build: str = ""
    """CUDA version it was built for, such as "13.0"; empty = a CPU-only build."""
    hip_build: str = ""
    """ROCm version it was built for."""
    gpus: tuple[Gpu, ...] = ()
    """Those that it can use; empty where CUDA is not available."""
    architectures: tuple[str, ...] = ()
    """GPU architectures its kernels are compiled for: "sm_86", "compute_90"."""
    cuda_problem: str = ""
    """Why a CUDA build finds no GPU, or why a small computation on the first GPU failed, as torch says it."""
    has_mps: bool = False
    computes_bf16_on_cpu: bool = False
    num_threads: int = 0


@dataclass(frozen=True)
class Driver:
    """An NVIDIA driver. With a problem, it is installed and does not answer."""

    version: str = ""
    highest_cuda: str = ""
    """Highest CUDA version it can run, such as "12.4"."""
    gpus: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Place:
    """A folder that training writes to; it need not exist yet."""

    purpose: str
    path: str
    free_bytes: int
    is_writable: bool


@dataclass(frozen=True)
class DataSet:
    """A data set that was looked for. With a problem, it was not found or cannot be used."""

    name: str
    num_train: int = 0
    num_query: int = 0
    num_gallery: int = 0
    problem: str = ""
    note: str = ""
    """Why it was not looked for, such as that it is drawn on first use."""


@dataclass(frozen=True)
class Data:
    """Where data sets were looked for, and which were found."""

    root: str
    named_by: str
    """What named the folder: "DATASETS.ROOT", "REID_DATA", or empty for the default."""
    exists: bool
    sets: tuple[DataSet, ...] = ()
    is_asked: bool = True
    """A configuration asks for these sets; else they are what happens to be there."""


@dataclass(frozen=True)
class Weights:
    """Pretrained weights: here as a file, or to be had from an address."""

    name: str
    path: str = ""
    """The local file; empty = there is none."""
    address: str = ""
    answers: bool = False
    problem: str = ""


@dataclass(frozen=True)
class PlanNeed:
    """What a training step takes under one memory plan."""

    name: str
    """As SOLVER.MEMORY_PLAN names it; "plain" for a step that is done at once."""
    words: str
    """What the plan does and costs, in half a sentence."""
    peak_bytes: int
    """Of weights, gradients, optimiser state and activations, at once, with the slack of the allocator."""


@dataclass(frozen=True)
class Forecast:
    """What a configuration's training would take. With a problem, it could not be worked out."""

    what: str = ""
    """Network, batch and image size, in words."""
    plans: tuple[PlanNeed, ...] = ()
    """The most memory first, down to one that fits or to the last."""
    outside_bytes: int = 0
    """What libraries, the device's context and workspaces take beside."""
    has_bytes: int = 0
    """Memory of the card, or what is free on the machine; 0 = unknown."""
    whose: str = ""
    """Whose memory that is, in words."""
    device: str = ""
    """Where the steps were measured."""
    seconds_a_step: float = 0.0
    """0 = not measured."""
    steps_an_epoch: int = 0
    validation_seconds: float = 0.0
    num_epochs: int = 0
    note: str = ""
    """What the forecast leaves out or could not do."""
    problem: str = ""


@dataclass(frozen=True)
class Machine:
    """Everything that is judged."""

    system: str
    """"Windows", "Linux", "Darwin"."""
    python: tuple[int, int, int]
    packages: Mapping[str, Package]
    torch: Torch | None
    """None where torch is not installed or cannot be imported."""
    driver: Driver | None
    """None where no NVIDIA driver was found."""
    num_cores: int
    memory_bytes: int
    """Of the machine or its container; 0 = unknown."""
    free_memory_bytes: int
    shared_memory_bytes: int | None = None
    """Size of /dev/shm; None where there is no such thing."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that change what torch does, where they are set."""
    places: tuple[Place, ...] = ()
    data: Data | None = None
    weights: tuple[Weights, ...] = ()
    forecast: Forecast | None = None
    """None where no configuration was given, or something stands in its way."""


@dataclass(frozen=True)
class Wanted:
    """What a configuration asks of the machine."""

    device: str
    """MODEL.DEVICE."""
    amp: str
    """"off", "auto", "bf16", "fp16"."""
    num_workers: int
    """DATALOADER.NUM_WORKERS."""
    is_cached: bool
    """Decoded images are kept, so that loader workers are rarely needed."""


@dataclass(frozen=True)
class Check:
    """One line of the result."""

    level: str
    """"ok", "warning", "problem"."""
    subject: str
    text: str
    fix: str = ""
