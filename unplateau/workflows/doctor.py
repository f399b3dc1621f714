"""`unplateau doctor`: is this machine fit to train, and for a configuration. Works where torch is missing or broken."""

import os
import platform
import re
import sys
from dataclasses import replace
from pathlib import Path

from unplateau.base import reachable
from unplateau.base.errors import ConfigError, DataError, DataNotFoundError, UnplateauError, UsageError
from unplateau.base.files import write_json
from unplateau.config.load import load
from unplateau.config.schema import Config
from unplateau.data.find import READERS, find_dataset
from unplateau.data.locate import ENVIRONMENT, find_root
from unplateau.data.user_cache import image_cache_folder
from unplateau.doctor import measure
from unplateau.doctor.facts import Check, Data, DataSet, Forecast, Machine, Wanted, Weights
from unplateau.doctor.judge import DEFAULT, has_problem, judge
from unplateau.doctor.text import result_data, result_lines

_HUB = "https://huggingface.co"
_DRAWN = "MiniMarket"
_SAME_FILES = ("MSMT17_V1", "MSMT17_V2", "CUHK03Labeled", "CUHK03Detected")  # other names for parts of one folder


def run_doctor(
    config_file: Path | None = None, overrides: tuple[str, ...] = (), *, json_file: Path | None = None, memory: str = ""
) -> int:
    """Look, print the result, and return the exit code: 0, or 1 where something would stop or spoil a training.

    Args:
        config_file: a configuration to look with its eyes; None = what is common to all.
        overrides: KEY VALUE pairs.
        json_file: where to write the result and the facts too.
        memory: of a card that need not be here, such as "4GB", for the forecast of a configuration's training.

    Raises:
        UsageError: `memory` without a configuration, or no size.
    """
    card_bytes = size_in_bytes(memory) if memory else None
    if memory and config_file is None:
        raise UsageError("--memory asks whether a training fits, so it needs --config-file F.")
    config, wrong = _read(config_file, overrides)
    machine = read_machine(config, is_asked=config_file is not None or bool(overrides))
    wanted = DEFAULT if config_file is None else wanted_of(config)
    checks = (*wrong, *judge(machine, wanted))
    if config_file is not None and not has_problem(checks):
        machine = replace(machine, forecast=_forecast(config, machine, card_bytes))
        checks = (*wrong, *judge(machine, wanted))
    for line in result_lines(checks):
        print(line)
    if json_file is not None:
        write_json(json_file, result_data(checks, machine))
        print(f"Written: {json_file}")
    return 1 if has_problem(checks) else 0


def size_in_bytes(text: str) -> int:
    """Return a size such as 4GB, 4 or 512 MB in bytes; GB without a unit.

    Raises:
        UsageError: it is none.

    >>> size_in_bytes("4GB"), size_in_bytes("0.5"), size_in_bytes("512 mb")
    (4000000000, 500000000, 512000000)
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(GB|G|MB|M|)", text.strip().upper())
    if found is None or float(found[1]) == 0:
        raise UsageError(f"--memory is {text!r}; expected a size such as 4GB or 512MB.")
    return int(float(found[1]) * (1e6 if found[2].startswith("M") else 1e9))


def _forecast(config: Config, machine: Machine, card_bytes: int | None) -> Forecast:
    """Work out what the training would take. It builds the network and does a few steps, as no other check does."""
    from unplateau.workflows.forecast import forecast

    try:
        return forecast(config, machine, card_bytes=card_bytes)
    except (UnplateauError, RuntimeError, MemoryError, OSError) as error:
        return Forecast(problem=f"{type(error).__name__}: {error}".splitlines()[0])


def _read(config_file: Path | None, overrides: tuple[str, ...]) -> tuple[Config, tuple[Check, ...]]:
    try:
        return load(config_file, overrides).config, ()
    except ConfigError as error:
        problems = tuple(Check("problem", "configuration", problem) for problem in error.problems)
        return Config(), problems


def wanted_of(config: Config) -> Wanted:
    """Return what a configuration asks of the machine."""
    amp, loader = config.SOLVER.AMP, config.DATALOADER
    return Wanted(config.MODEL.DEVICE, amp.DTYPE if amp.ENABLED else "off", loader.NUM_WORKERS, loader.CACHE != "off")


def read_machine(config: Config, *, is_asked: bool) -> Machine:
    """Gather the facts.

    Args:
        config: where folders and data sets are named.
        is_asked: the configuration is a user's, so its data sets and weights are looked for; else whatever there is.
    """
    torch, errors = measure.read_torch()
    memory_bytes, free_bytes = measure.read_memory()
    machine = Machine(
        system=platform.system(), python=(sys.version_info.major, sys.version_info.minor, sys.version_info.micro),
        packages=measure.read_packages(errors), torch=torch, driver=measure.read_driver(), num_cores=measure.usable_cores(),
        memory_bytes=memory_bytes, free_memory_bytes=free_bytes, shared_memory_bytes=measure.read_shared_memory(),
        environment=measure.read_environment(), data=_data(config, is_asked=is_asked),
    )  # fmt: skip
    places = (
        measure.read_place("runs", Path(config.OUTPUT_DIR or "logs").expanduser()),
        measure.read_place("image cache", image_cache_folder(config.DATALOADER.CACHE_DIR)),
    )
    return replace(machine, places=places, weights=_weights(config, is_asked=is_asked, has_torch=not any(errors.values())))


def _data(config: Config, *, is_asked: bool) -> Data:
    root = find_root(config)
    named_by = "DATASETS.ROOT" if config.DATASETS.ROOT.strip() else next((key for key in ENVIRONMENT if os.environ.get(key)), "")
    names = dict.fromkeys((*config.DATASETS.NAMES, *config.DATASETS.TESTS)) if is_asked else READERS
    found = tuple(one for one in (_data_set(name, root, is_asked=is_asked) for name in names) if one is not None)
    return Data(str(root.absolute()), named_by, root.is_dir(), found, is_asked)


def _data_set(name: str, root: Path, *, is_asked: bool) -> DataSet | None:
    """Look for one data set by the names of its files; no image is opened, nothing is drawn, no code of the user's is run."""
    if not is_asked and name in (_DRAWN, *_SAME_FILES):
        return None
    if name == _DRAWN:
        return DataSet(name, note="drawn into the user's cache folder on first use; half a minute, once")
    if ":" in name and not name.lower().startswith(("folder:", "csv:")):
        return DataSet(name, note="your own function; not called here")
    try:
        files = find_dataset(name, root)
    except DataNotFoundError as error:
        return DataSet(name, problem=str(error)) if is_asked else None
    except (ConfigError, DataError) as error:
        return DataSet(name, problem=str(error))
    return DataSet(name, len(files.train), len(files.query), len(files.gallery))


def _weights(config: Config, *, is_asked: bool, has_torch: bool) -> tuple[Weights, ...]:
    if not is_asked:
        address = os.environ.get("HF_ENDPOINT", _HUB)
        return (Weights("pretrained", address=address, answers=reachable.answers(address)),)
    backbone = config.MODEL.BACKBONE
    given = {"MODEL.WEIGHTS": config.MODEL.WEIGHTS}
    if backbone.PRETRAIN:
        given["MODEL.BACKBONE.PRETRAIN_PATH"] = backbone.PRETRAIN_PATH
    files = tuple(_file(key, path) for key, path in given.items() if path)
    if files or not backbone.PRETRAIN or not has_torch:
        return files
    return (_public(config),)


def _file(key: str, path: str) -> Weights:
    if Path(path).expanduser().is_file():
        return Weights(key, path=path)
    return Weights(key, problem=f"{key} is {path}, which is not a file (looked from {Path.cwd()}).")


def _public(config: Config) -> Weights:
    """Look where the public weights of the configured network are; builds it, to know which they are."""
    from unplateau.models.backbones import build_network, check_backbone
    from unplateau.models.pretrained import availability

    try:
        check_backbone(config)
        public = build_network(config).public
    except UnplateauError as error:
        return Weights(config.MODEL.BACKBONE.NAME, problem=str(error))
    if public is None:
        name = config.MODEL.BACKBONE.NAME
        return Weights(name, problem=f"MODEL.BACKBONE.PRETRAIN is True, but no public weights of {name} are known here.")
    where = availability(public)
    return Weights(public.name, str(where.path or ""), where.address, where.answers)
