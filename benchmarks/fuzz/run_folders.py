"""Run folders and checkpoints that a stranger has prepared: a real one is made once, then its records are spoilt."""

import json
import random
import re
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.fuzz.mutating import HTML, mutated
from unplateau.base.files import sha256_of
from unplateau.report.html import page_html
from unplateau.report.run_page import run_page
from unplateau.runs.layout import RunFolder
from unplateau.testing.small_market import Lab, draw_market
from unplateau.workflows.reporting.report_group import write_group_report
from unplateau.workflows.reporting.report_run import view_of

_RECORDS = (
    "metrics.jsonl",
    "stop.json",
    "model_info.json",
    "rank_lists.json",
    "config.yml",
    "training_history.json",
    "probes.jsonl",
    "average_precision.npz",
)
_OF_A_GROUP, _WITH_PAGE = 0.04, 0.1  # shares of the inputs: a page costs more than all that is read for it
_OTHER_TYPES = (None, True, -1, 10**400, 0.5, float("inf"), "", HTML[0], [], [None], {}, {"a": 1}, [[]])
_SCRIPTS = re.compile(r"<script|</script|<svg onload|<img src=x|javascript:", re.IGNORECASE)


@cache
def whole_run() -> RunFolder:
    """Train the smallest run once, in this process; return its folder."""
    place = Path(tempfile.mkdtemp(prefix="fuzz_run_"))
    lab = Lab(root=place / "datasets", place=place, cache=place / "cache")
    draw_market(lab.root)
    lab.train("run", "SOLVER.MAX_EPOCH 2")
    return lab.folder("run")


def checkpoints() -> dict[str, bytes]:
    """Return the files of the checkpoints folder of a real run, by name, without their list."""
    return {path.name: path.read_bytes() for path in whole_run().checkpoints.glob("*.pth")}


def manifest(run: RunFolder) -> bytes:
    """Return a list of the checkpoints that lie there, with checksums that fit."""
    found = sorted(run.checkpoints.glob("epoch_*.pth"))
    best = next(iter(sorted(run.checkpoints.glob("best_*.pth"))), None)
    entries = [{"file": path.name, "epoch": int(path.stem[-4:]), "sha256": sha256_of(path)} for path in found]
    for entry in entries if best is not None else ():
        entry |= {"best": best.name, "best_sha256": sha256_of(best)}
    return json.dumps({"schema": 1, "checkpoints": entries}).encode()


def prepare(folder: Path, canary: Path) -> Callable[[random.Random, Path], None]:
    """Return how one spoilt run folder is read and judged, and for a share of them its page, or the page of its group, made."""
    whole = whole_run()
    records = {name: (whole.path / name).read_bytes() for name in _RECORDS if (whole.path / name).exists()}
    usual = _scripts(page_html(run_page(view_of(whole))))

    def play(rng: random.Random, place: Path) -> None:
        run = RunFolder(place / rng.choice(("run", "a'b\"c", "<b>x")))
        for other in place.iterdir():
            shutil.rmtree(other) if other.is_dir() else other.unlink()
        run.path.mkdir()
        spoilt = rng.choice(sorted(records))
        for name, content in records.items():
            is_text = not name.endswith(".npz")
            hostile = _with_html(rng, content) if is_text and rng.random() < 0.5 else content
            (run.path / name).write_bytes(mutated(rng, [hostile]) if name == spoilt else hostile)
        (run.path / "log.txt").write_text(rng.choice(HTML), encoding="utf-8")
        kind = rng.random()
        if kind < _OF_A_GROUP:
            _group_page(rng, run, usual)
            return
        view = view_of(run)
        if kind < _OF_A_GROUP + _WITH_PAGE:
            _require_no_script(page_html(run_page(view)), usual)

    return play


def _group_page(rng: random.Random, run: RunFolder, usual: int) -> None:
    """Write the page of the folder that holds the run, beside a selection and a search that are spoilt, and of the run."""
    top = run.path.parent
    for name, plain in (("selection.json", _selection(run.name)), ("search.json", _search(run.name))):
        content = json.dumps(plain).encode()
        kind = rng.random()
        if kind < 0.8:
            (top / name).write_bytes(mutated(rng, [content]) if kind < 0.3 else _with_html(rng, content))
    group = write_group_report(top).read_text(encoding="utf-8")
    _require_no_script(group, usual)
    if run.report.exists():
        _require_no_script(run.report.read_text(encoding="utf-8"), usual)


def _require_no_script(html: str, usual: int) -> None:
    if _scripts(html) != usual:
        raise AssertionError(f"a script came into the page: {_SCRIPTS.findall(html)}")


def _scripts(html: str) -> int:
    return len(_SCRIPTS.findall(html))


def _selection(run: str) -> dict[str, Any]:
    interval = {"value": 0.3, "low": 0.2, "high": 0.4}
    one = {"name": run, "epoch": 2, "best_map": interval, "behind_winner": None, "over_control": {"estimate": interval}}
    return {
        "kind": "solutions", "how_sure": "hardly", "protocol": "held-out", "winner": run, "tests": [], "helped": [run],
        "selection": {"verdict": "the best", "ranked": [one], "control": run, "num_identities": 6},
        "runs": {run: {"changes": {"SOLVER.BASE_LR": [0.1, 0.2]}}},
    }  # fmt: skip


def _search(run: str) -> dict[str, Any]:
    share = {"name": "SOLVER.BASE_LR", "share": 0.5, "low": 0.1, "high": 0.9}
    trial = {"folder": run, "number": 0, "state": "done", "changes": {"SOLVER.BASE_LR": [0.1, 0.2]}}
    return {"trials": [trial], "importances": {"shares": [share]}}


def _with_html(rng: random.Random, content: bytes) -> bytes:
    """Put HTML into the texts of a record, valid in its own format."""
    try:
        return "\n".join(json.dumps(_hostile(rng, json.loads(line))) for line in _documents(content)).encode()
    except ValueError:
        return content.replace(b"Market1501", json.dumps(rng.choice(HTML)).encode(), 1)


def _documents(content: bytes) -> list[str]:
    """The one document of a JSON file, or the lines of a file of JSON lines."""
    text = content.decode()
    return text.splitlines() if text.startswith("{") and "\n{" in text else [text]


def _hostile(rng: random.Random, value: Any) -> Any:
    if rng.random() < 0.002:
        return rng.choice(_OTHER_TYPES)
    if isinstance(value, dict):
        return {key: _hostile(rng, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_hostile(rng, item) for item in value]
    return value + rng.choice(HTML) if isinstance(value, str) and rng.random() < 0.3 else value
