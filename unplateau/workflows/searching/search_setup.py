"""Prepares a search: base, space, rungs, study, the first trials; or finds what an earlier call of it left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unplateau.base.errors import ConfigError, UsageError
from unplateau.base.files import write_text
from unplateau.config.delta import difference, flatten, identity, to_delta_yaml, to_yaml, with_values
from unplateau.config.load import load
from unplateau.config.recipe import HARMLESS_KEYS
from unplateau.config.schema import Config
from unplateau.runs.layout import RunFolder, run_folder
from unplateau.search.default_space import default_space
from unplateau.search.halving import Rungs, make_rungs
from unplateau.search.space import Point, Space
from unplateau.search.space_file import read_space
from unplateau.search.study import StudyStore
from unplateau.search.suggest import check_sampler
from unplateau.search.trial import BASE, SOLUTION, SUGGESTED, Trial
from unplateau.solutions.generate import generate
from unplateau.workflows.searching.search_request import SearchRequest

LAUNCHER = "launcher"
"""Folder of what is no run: locks, what the processes printed, the trials' configurations."""
_STUDY = "study.db"
_BASE_FILE = "base.yml"
_SET_BY_US = ("OUTPUT_DIR", "SOLVER.STOP_EPOCH")


@dataclass(frozen=True)
class Search:
    """A search that is ready to run."""

    request: SearchRequest
    base: Config
    space: Space
    rungs: Rungs
    store: StudyStore
    notes: tuple[str, ...]

    def config_of(self, trial: Trial) -> Config:
        """Return the whole configuration of a trial."""
        return with_values(self.base, trial.changes)

    def folder_of(self, trial: Trial) -> RunFolder:
        """Return the run folder of a trial."""
        return run_folder(self.request.output_dir, trial.name)

    def file_of(self, trial: Trial) -> Path:
        """Return the configuration file of a trial: the base and what it changes."""
        return self.request.output_dir / LAUNCHER / f"{trial.name}.yml"

    def output_of(self, trial: Trial) -> Path:
        """Return the file that what its process printed goes to."""
        return self.request.output_dir / LAUNCHER / f"{trial.name}.txt"

    def add(self, *, origin: str, changes: Mapping[str, Any], title: str = "", point: Point | None = None) -> Trial:
        """Add a trial to the study and write its configuration file."""
        number = len(self.store.trials())
        config = with_values(self.base, changes)
        kept = {key: new for key, (_, new) in difference(self.base, config).items()}
        name = f"trial_{number:03d}{f'_{title}' if title else ''}"
        if point is None and set(kept) <= set(self.space.keys):
            point = self.space.point_of(config)
        trial = Trial(number, name, origin, kept, dict(point) if point is not None else None, name_of(config))
        write_file(self, trial)
        self.store.add(trial)
        return trial


def name_of(config: Config) -> str:
    """Return a short name of a configuration that equal ones share; keys that change no result do not count."""
    return identity({key: value for key, value in flatten(config).items() if key not in (*HARMLESS_KEYS, "SOLVER.STOP_EPOCH")})


def write_file(search: Search, trial: Trial) -> None:
    """Write the configuration file of a trial."""
    header = [f"{trial.name} of the search from {search.request.base_config}: what it changes."]
    write_text(search.file_of(trial), to_delta_yaml(trial.changes, base=_BASE_FILE, header=header))


def prepare(request: SearchRequest) -> Search:
    """Read what was asked for and open the study.

    Raises:
        UsageError, ConfigError: it cannot be carried out, or the folder holds another search.
    """
    taken = [key for key in _SET_BY_US if key in request.overrides[::2]]
    if taken:
        raise UsageError(f"{taken[0]} is set by the search. Use --output-dir FOLDER; epochs are SOLVER.MAX_EPOCH.")
    check_sampler(request.sampler)
    loaded = load(request.base_config, request.overrides)
    base = with_values(loaded.config, {"OUTPUT_DIR": "", "SOLVER.STOP_EPOCH": 0})
    if base.VALIDATION.HELD_OUT == 0 and not base.VALIDATION.ON_TEST:
        raise UsageError("VALIDATION.HELD_OUT is 0, so nothing could be compared. Give, for example: VALIDATION.HELD_OUT 0.1")
    space = read_space(request.space) if request.space is not None else default_space(base)
    if request.keep < 2:
        raise UsageError(
            f"--keep is {request.keep}: one trial in so many goes on, expected 2 or more. Use --no-pruning to keep all."
        )
    first = request.first_rung if request.is_pruned else base.SOLVER.MAX_EPOCH
    rungs = make_rungs(base.SOLVER.MAX_EPOCH, keep=request.keep, first=first)
    store = open_store(request, space)
    search = Search(request, base, space, rungs, store, loaded.notes)
    _check_same(search)
    write_text(request.output_dir / LAUNCHER / _BASE_FILE, to_yaml(base))
    _add_first(search)
    return search


def open_store(request: SearchRequest, space: Space) -> StudyStore:
    """Open the study of a search, or make it."""
    request.output_dir.mkdir(parents=True, exist_ok=True)
    url = request.storage or f"sqlite:///{(request.output_dir / _STUDY).resolve().as_posix()}"
    return StudyStore(url, request.study_name or request.output_dir.resolve().name, space)


def _check_same(search: Search) -> None:
    """Raises UsageError: the study was begun from another base or space, so its trials cannot be compared with new ones."""
    facts = search.store.facts()
    space = identity({part.name: asdict(part) for part in search.space.parameters})
    wanted = {"base": name_of(search.base), "space": space}
    for name, value in wanted.items():
        if facts.get(name, value) != value:
            raise UsageError(
                f"{search.request.output_dir} holds a search with another {name}: its trials cannot be compared with new ones. "
                f"Give the same --base-config, overrides and --space again, or use another --output-dir."
            )
        search.store.note(name, value)


def _add_first(search: Search) -> None:
    """The base, then the five solutions, where they change it, are no repetition, and the number of trials allows."""
    if not search.store.trials():
        search.add(origin=BASE, changes={}, title="base")
    known = {trial.identity for trial in search.store.trials()}
    limit = search.request.trials_limit
    for solution in sorted(generate(search.base, ()), key=lambda one: one.name):
        if limit is not None and len(search.store.trials()) >= limit:
            return
        try:
            config = with_values(search.base, solution.delta)
        except ConfigError:  # such as a batch too small to be halved
            continue
        if name_of(config) not in known:
            known.add(name_of(config))
            search.add(origin=SOLUTION, changes=solution.delta, title=solution.name)


def renew_files(search: Search) -> None:
    """Write again the configuration files that a kill may have kept from being written."""
    for trial in search.store.trials():
        if not search.file_of(trial).exists():
            write_file(search, trial)


def suggested(search: Search, point: Point) -> Trial:
    """Add a suggested trial."""
    return search.add(origin=SUGGESTED, changes=search.space.changes(point), point=point)
