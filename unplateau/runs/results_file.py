"""Evaluation results of other trainers, from a file: JSON, CSV or NumPy's .npz. The format: docs/selection.md.

One run is a system, a seed, and either the average precision of every query with its person, or the mAP alone.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unplateau.base.archives import refuse_bomb
from unplateau.base.errors import DataError
from unplateau.config.suggest import nearest_word

SUFFIXES = (".json", ".csv", ".npz")
_LARGEST_BYTES = 256 << 20  # of a text: its numbers take ten times as much memory
_LARGEST_ID = 2**63 - 1
_PLURALS = {"person_id": "person_ids", "average_precisions": "average_precision", "map": "mAP"}
_KEYS = ("system", "seed", "protocol", "dataset", "person_ids", "average_precision", "mAP")
_SCORES = ("average_precision", "mAP")
_PROTOCOLS = ("held-out", "test")


@dataclass(frozen=True)
class ScoredRun:
    """One evaluated model of any trainer. Arrays: Q queries, sorted by person."""

    system: str
    seed: int
    protocol: str
    """"held-out" or "test"."""
    dataset: str
    average_precision_Q: NDArray[np.float64]
    """As shares; one value, the mAP, where nothing more is known."""
    person_ids_Q: NDArray[np.int64] | None
    """None where only the mAP is known."""
    source: Path


def looks_like_results(path: Path) -> bool:
    """Return whether a file is worth reading as results: it names a score, or something that is nearly one."""
    try:
        keys = {key for table in _tables(path) for key in table}
    except Exception:  # noqa: BLE001 - of damaged bytes zipfile, zlib, csv and NumPy raise a dozen kinds
        return False
    return any(_canonical(key) in _SCORES or nearest_word(key, _SCORES) for key in keys)


def read_results(path: Path) -> list[ScoredRun]:
    """Return the runs of a results file.

    Raises:
        DataError: the file cannot be read, a key is not known, a value is missing or out of range.
    """
    try:
        tables = list(_tables(path))
    except Exception as problem:  # as above
        raise DataError(f"{path} cannot be read as {path.suffix} results: {problem}.") from problem
    runs = [run for table in tables for run in _runs(path, _named(path, table))]
    counts = Counter((run.system, run.seed) for run in runs)
    twice = next((pair for pair, count in counts.items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{path}: system {twice[0]!r} has seed {twice[1]} twice. Give every run its own system or seed.")
    return runs


def _tables(path: Path) -> Iterator[Mapping[str, Any]]:
    """The file as one table of columns a run, keys as they are written."""
    if path.suffix != ".npz" and path.stat().st_size > _LARGEST_BYTES:
        raise ValueError(f"a text of {path.stat().st_size:,} bytes; write so many numbers as .npz")
    if path.suffix == ".npz":
        refuse_bomb(path)
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            yield {key: arrays[key].tolist() for key in arrays}
    elif path.suffix == ".csv":
        yield from _csv_tables(path)
    else:
        content = json.loads(path.read_text(encoding="utf-8"))
        objects = content if isinstance(content, list) else [content]
        if not all(isinstance(one, dict) for one in objects):
            raise ValueError("an object, or a list of objects, was expected")
        yield from objects


def _csv_tables(path: Path) -> Iterator[Mapping[str, Any]]:
    """Rows that share system, seed, protocol and dataset are one run."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    labels = [key for key in (rows[0] if rows else {}) if _canonical(key) in ("system", "seed", "protocol", "dataset")]
    for row in rows:
        groups.setdefault(tuple(row[key] for key in labels), []).append(row)
    for group in groups.values():
        columns = {key: [row[key] for row in group] for key in group[0] if key is not None}
        yield {key: _cell(key, values) if key not in labels else values[0] for key, values in columns.items()}


def _cell(key: str, values: list[Any]) -> Any:
    """One mAP stands for itself; several are several seeds, never the first of them."""
    return values[0] if _canonical(key) == "mAP" and len(values) == 1 else values


def _canonical(key: str) -> str:
    word = str(key).strip()  # csv gives None for cells beyond the header
    return _PLURALS.get(word.lower(), word)


def _named(path: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """Check the keys; an unknown one is taken for a mistake only where it is nearly a known one."""
    named = {_canonical(key): value for key, value in table.items()}
    for key in named:
        near = nearest_word(key, _KEYS)
        if key not in _KEYS and near is not None and near not in named:
            raise DataError(f"{path}: {key!r} is not known. Did you mean {near!r}? Known: {', '.join(_KEYS)}.")
    if not any(score in named for score in _SCORES):
        raise DataError(f"{path}: neither average_precision (a value a query, with person_ids) nor mAP is there.")
    return named


def _runs(path: Path, table: Mapping[str, Any]) -> list[ScoredRun]:
    system, protocol = str(table.get("system") or path.stem), str(table.get("protocol") or "test")
    if protocol not in _PROTOCOLS:
        near = nearest_word(protocol, _PROTOCOLS)
        raise DataError(f"{path}: protocol is {protocol!r}; expected one of {', '.join(_PROTOCOLS)}.{_mean(near)}")
    shared = (protocol, str(table.get("dataset") or ""))
    if "average_precision" not in table:
        by_seed = _by_seed(path, table)
        return [ScoredRun(system, seed, *shared, _shares(path, "mAP", [value]), None, path) for seed, value in by_seed.items()]
    if "person_ids" not in table:
        raise DataError(f"{path}: average_precision needs person_ids, the person of each query: identities are what is drawn.")
    values_Q = _shares(path, "average_precision", table["average_precision"])
    persons_Q = np.array([_whole(path, "person_ids", value) for value in _list(table["person_ids"])], dtype=np.int64)
    if len(persons_Q) != len(values_Q):
        raise DataError(
            f"{path}: {len(values_Q)} values of average_precision for {len(persons_Q)} person_ids; one each is expected."
        )
    order = np.argsort(persons_Q, kind="stable")
    seed = _whole(path, "seed", table.get("seed") or 0)
    return [ScoredRun(system, seed, *shared, values_Q[order], persons_Q[order], path)]


def _by_seed(path: Path, table: Mapping[str, Any]) -> dict[int, Any]:
    """The mAP of each seed: one number, a list, or an object seed -> mAP."""
    values = table["mAP"]
    if isinstance(values, Mapping):
        return {_whole(path, "seed", seed): value for seed, value in values.items()}
    if isinstance(values, list):
        if "seed" in table and len(values) > 1:
            raise DataError(
                f"{path}: seed {table['seed']} has {len(values)} mAP; one each is expected. Leave seed out to number them."
            )
        return dict(enumerate(values))
    return {_whole(path, "seed", table.get("seed") or 0): values}


def _shares(path: Path, key: str, values: Any) -> NDArray[np.float64]:
    try:
        shares = np.array([float(value) for value in _list(values)])
    except (TypeError, ValueError) as problem:
        raise DataError(f"{path}: {key} holds something that is no number ({problem}).") from problem
    outside = shares[~((shares >= 0) & (shares <= 1))]
    if len(shares) == 0 or len(outside):
        found = f"{outside[0]:g}" if len(outside) else "nothing"
        raise DataError(f"{path}: {key} holds {found}; shares between 0 and 1 are expected. Divide percent by 100.")
    return shares


def _whole(path: Path, key: str, value: Any) -> int:
    try:
        number = int(str(value))
        if abs(number) > _LARGEST_ID:
            raise ValueError
        return number
    except ValueError:
        raise DataError(f"{path}: {key} holds {value!r}; a whole number is expected.") from None


def _list(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]


def _mean(near: str | None) -> str:
    return f" Did you mean {near!r}?" if near else ""
