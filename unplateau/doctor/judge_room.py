"""Processor, memory, loader workers, disk, data folders and pretrained weights."""

from unplateau.doctor.facts import Check, Data, DataSet, Machine, Place, Wanted, Weights

_GIGABYTE = 1e9
_LOW_MEMORY_BYTES = 2e9  # a small network's training, its data and Python take between one and two
_LOW_DISK_BYTES = 0.5e9  # a ResNet-50 run keeps about this: two models and a checkpoint with optimiser state
_SCARCE_DISK_BYTES = (
    5e9  # a folder of runs; or the decoded images of Market-1501 (1.3 GB at 256 x 128) and the gigabyte kept free
)
_SHARED_MEMORY_BYTES = 1e9


def judge_cpu(machine: Machine) -> Check:
    """Cores, and whether torch may use them."""
    limited = machine.environment.get("OMP_NUM_THREADS") or machine.environment.get("MKL_NUM_THREADS")
    threads = machine.torch.num_threads if machine.torch else 0
    has_gpu = machine.torch is not None and bool(machine.torch.gpus)
    if limited and threads and threads < machine.num_cores and not has_gpu:
        text = f"{machine.num_cores} cores, and torch uses {threads}, because OMP_NUM_THREADS or MKL_NUM_THREADS is {limited}."
        return Check("warning", "cpu", text, "Unset it, to train on all cores.")
    return Check("ok", "cpu", f"{machine.num_cores} cores" + (f", {threads} threads" if threads else ""))


def judge_memory(machine: Machine) -> Check:
    """Memory of the machine or its container."""
    if not machine.memory_bytes:
        return Check("ok", "memory", "the system does not say how much there is")
    shown = f"{machine.memory_bytes / _GIGABYTE:.1f} GB, {machine.free_memory_bytes / _GIGABYTE:.1f} GB free"
    if machine.free_memory_bytes < _LOW_MEMORY_BYTES:
        return Check("warning", "memory", f"{shown}: little.", "Close other programs, or take a smaller SOLVER.IMS_PER_BATCH.")
    return Check("ok", "memory", shown)


def judge_workers(machine: Machine, wanted: Wanted) -> Check:
    """Loader processes for images that are not cached."""
    if machine.system == "Windows" and wanted.num_workers > 0:
        text = f"DATALOADER.NUM_WORKERS is {wanted.num_workers}: on Windows every one of them loads torch again."
        return Check("warning", "loader workers", text, "Leave it at -1 (none on Windows); decoded images are cached instead.")
    shared = machine.shared_memory_bytes
    uses_workers = wanted.num_workers > 0 or (not wanted.is_cached and wanted.num_workers < 0)
    if shared is not None and shared < _SHARED_MEMORY_BYTES and uses_workers:
        text = f"/dev/shm has {shared / _GIGABYTE:.2f} GB, too little for loader workers (a container's default)."
        return Check(
            "warning", "loader workers", text, "Start the container with --shm-size 4g, or set DATALOADER.NUM_WORKERS 0."
        )
    if wanted.is_cached:
        return Check("ok", "loader workers", "not needed: decoded images are cached")
    return Check("ok", "loader workers", f"DATALOADER.NUM_WORKERS {wanted.num_workers}")


def judge_places(machine: Machine) -> tuple[Check, ...]:
    """Disk space where training writes."""
    return tuple(_judge_place(place) for place in machine.places)


def _judge_place(place: Place) -> Check:
    shown = f"{place.path}: {place.free_bytes / _GIGABYTE:.1f} GB free"
    key = "OUTPUT_DIR" if place.purpose == "runs" else "DATALOADER.CACHE_DIR"
    subject, elsewhere = f"disk: {place.purpose}", f"Free some space, or name a folder on another disk: {key} PATH"
    if not place.is_writable:
        return Check("problem", subject, f"{place.path} cannot be written to.", f"Name another folder: {key} PATH")
    if place.free_bytes < _LOW_DISK_BYTES:
        return Check("problem", subject, f"{shown}, too little.", elsewhere)
    if place.free_bytes < _SCARCE_DISK_BYTES:
        return Check("warning", subject, f"{shown}: little.", elsewhere)
    return Check("ok", subject, shown)


def judge_data(machine: Machine) -> tuple[Check, ...]:
    """Where data sets were looked for, and what was found."""
    data = machine.data
    if data is None:
        return ()
    missing = tuple(
        Check(
            "problem" if data.is_asked else "warning",
            "data",
            f"{data_set.name}: {data_set.problem.splitlines()[0]}",
            _rest(data_set.problem),
        )
        for data_set in data.sets
        if data_set.problem
    )
    usable = [data_set for data_set in data.sets if not data_set.problem]
    found = tuple(Check("ok", "data", _found(data_set)) for data_set in usable)
    return (*missing, *found) or (_nothing(data),)


def _rest(problem: str) -> str:
    return "\n".join(problem.splitlines()[1:])


def _found(data_set: DataSet) -> str:
    if data_set.note:
        return f"{data_set.name}: {data_set.note}"
    return (
        f"{data_set.name}: {data_set.num_train:,} training, {data_set.num_query:,} query, {data_set.num_gallery:,} gallery images"
    )


def _nothing(data: Data) -> Check:
    named = (
        f"{data.named_by} names {data.root}" if data.named_by else f"neither REID_DATA nor DATASETS.ROOT is set, so {data.root}"
    )
    state = "which holds no data set we know" if data.exists else "which does not exist"
    return Check(
        "warning",
        "data",
        f"{named}, {state}.",
        "Set REID_DATA to the folder that holds Market-1501-v15.09.15. The demo needs none: custom_configs/minimarket_demo.yml.",
    )


def judge_weights(machine: Machine) -> tuple[Check, ...]:
    """Whether pretrained weights can be had."""
    return tuple(_judge_weights(weights) for weights in machine.weights)


def _judge_weights(weights: Weights) -> Check:
    if weights.problem:
        return Check("problem", "weights", weights.problem, "Set MODEL.BACKBONE.PRETRAIN_PATH to a weight file that is there.")
    if weights.path:
        return Check("ok", "weights", f"{weights.name}: {weights.path}")
    if weights.answers:
        return Check("ok", "weights", f"{weights.name}: {weights.address} answers, and they are downloaded when first needed")
    return Check(
        "warning" if weights.name == "pretrained" else "problem",
        "weights",
        f"{weights.name}: {weights.address} does not answer.",
        "Without a network give a file: MODEL.BACKBONE.PRETRAIN_PATH path/to/weights.pth; or copy the cache of another machine.",
    )
