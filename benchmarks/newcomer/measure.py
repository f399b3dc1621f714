"""The newcomer's path, timed: fresh clone, set-up, the demo's report, a foreign log's diagnosis, a first epoch on Market-1501.

    python -m benchmarks.newcomer.measure --clone /tmp/clone --data FOLDER [--weights mobilenet_v2-b0353104.pth]

Types what README.md says, in a clone of this repository's last commit, which is made where the folder is not there yet; a clone
that is set up already says so in the table. Writes benchmarks/results/newcomer.md. Run it on a machine that is quiet otherwise.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import machine_line
from unplateau.report.words import duration_words

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "newcomer.md"
READY = Path(".venv") / ".ready"
DEMO_PAGE = Path("logs") / "demo" / "tried" / "report.html"
FIRST_RUN = Path("logs") / "market1501" / "newcomer"
_MAKE = ["make.bat"] if sys.platform == "win32" else ["make"]
_BIN = Path(".venv") / ("Scripts" if sys.platform == "win32" else "bin")
_LOOK_EVERY_SECONDS = 0.5
_LEFT_OUT = ("PYTHONPATH", "VIRTUAL_ENV", "OMP_NUM_THREADS")  # what a newcomer's terminal does not have


@dataclass(frozen=True)
class Step:
    """One thing a newcomer types, and how long it took."""

    typed: str
    until: str
    seconds: float
    note: str = ""


class Terminal:
    """A newcomer's terminal in the clone."""

    def __init__(self, clone: Path, data: Path | None, log: Path) -> None:
        self.clone, self._log = clone, log
        kept = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
        path = os.pathsep.join((str(clone / _BIN), kept.get("PATH", "")))
        self._environment = {**kept, "PATH": path, **({"REID_DATA": str(data)} if data else {})}

    def start(self, words: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start what is typed; what it prints goes to the log."""
        with self._log.open("ab") as stream:
            program = shutil.which(words[0], path=self._environment["PATH"]) or words[0]
            return subprocess.Popen(
                [program, *words[1:]], cwd=self.clone, env=self._environment, stdout=stream, stderr=subprocess.STDOUT
            )

    def time(self, words: Sequence[str], until: str, *, note: str = "", is_reached: Callable[[], bool] | None = None) -> Step:
        """Type it and wait for its end, or until something is reached; it is then stopped as by Ctrl+C.

        Raises:
            RuntimeError: it ended with an error, or before that was reached.
        """
        started, process, reached = time.monotonic(), self.start(words), 0.0
        while process.poll() is None and not reached:
            time.sleep(_LOOK_EVERY_SECONDS)
            reached = time.monotonic() - started if is_reached is not None and is_reached() else 0.0
        seconds = reached or time.monotonic() - started
        if reached:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
        code = process.wait()
        if (code and not reached) or (is_reached is not None and not reached):
            raise RuntimeError(f"`{' '.join(words)}` ended with {code} and did not reach: {until}. See {self._log}.")
        return Step(" ".join(words), until, seconds, note)


def clone_here(folder: Path) -> Step:
    """Clone this repository's last commit."""
    started = time.monotonic()
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return Step("git clone", "the clone is there", time.monotonic() - started, "from this disk")


def set_up_and_demo(terminal: Terminal) -> list[Step]:
    """`make demo`, as two steps: what it sets up, and the demo itself."""
    was_ready = (terminal.clone / READY).exists()
    target = [] if was_ready or sys.platform == "win32" else [terminal.time([*_MAKE, READY.as_posix()], "set up")]
    page = terminal.clone / DEMO_PAGE
    demo = terminal.time([*_MAKE, "demo"], "its report is there", note="set up before" if was_ready else "after the set-up")
    if not page.exists():
        raise RuntimeError(f"The demo left no {page}.")
    return [*target, demo]


def foreign_log(terminal: Terminal) -> Step:
    """The diagnosis of a log that is not ours."""
    words = ["python", "solve_plateau.py", "--log-file", "docs/examples/stalled_run.csv", "--output-dir", "my_solutions"]
    return terminal.time(words, "the answer, and the solutions written")


def first_run(terminal: Terminal, weights: Path | None) -> Step:
    """The README's first run on Market-1501, until its first epoch is trained and validated."""
    overrides = ["MODEL.BACKBONE.PRETRAIN_PATH", str(weights)] if weights else []
    config = "custom_configs/market1501_mobilenetv2_cpu.yml"
    words = ["python", "train_research_grade.py", "--config-file", config, "--run-name", FIRST_RUN.name, *overrides]
    metrics = terminal.clone / FIRST_RUN / "metrics.jsonl"
    metrics.unlink(missing_ok=True)
    shutil.rmtree(metrics.parent, ignore_errors=True)
    step = terminal.time(words, "first epoch trained and validated", is_reached=lambda: metrics.exists())
    shown = [*words[: -len(overrides)], *overrides[:1], weights.name] if weights else words
    return Step(" ".join(shown), step.until, step.seconds, "then stopped with Ctrl+C")


def text_of(steps: Sequence[Step], load: float) -> str:
    """Return the page."""
    rows = [f"| `{step.typed}` | {step.until} | {duration_words(step.seconds)} | {step.note} |" for step in steps]
    return "\n".join(
        [
            "# The newcomer's path, timed",
            "",
            f"`python -m benchmarks.newcomer.measure`; {machine_line()}.",
            f"Wall clock, once each, no seed; {load:.1f} processes wanted a processor when it began, and others' work slows it.",
            "Set-up depends on the network and on pip's cache; the first run reads pictures that may be in the disk's cache.",
            "",
            "| typed | until | took | |",
            "|---|---|---:|---|",
            *rows,
            "",
        ]
    )


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clone", type=Path, required=True, help="a clone, or where to make one")
    parser.add_argument("--data", type=Path, help="the folder that holds Market-1501-v15.09.15; without it no first run")
    parser.add_argument("--weights", type=Path, help="ImageNet weights, where timm cannot download them")
    parser.add_argument("--skip-demo", action="store_true")
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    clone = chosen.clone.resolve()
    steps = [] if clone.exists() else [clone_here(clone)]
    weights = chosen.weights.resolve() if chosen.weights else None
    terminal = Terminal(clone, chosen.data.resolve() if chosen.data else None, clone.with_name(f"{clone.name}.log"))
    steps += [] if chosen.skip_demo else set_up_and_demo(terminal)
    steps.append(foreign_log(terminal))
    steps += [first_run(terminal, weights)] if chosen.data else []
    text = text_of(steps, load)
    print(text)
    chosen.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
