"""What `solve` says after its diagnosis: the solutions it wrote, and what to do now. The diagnosis: `diagnosis.describe`."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from unplateau.diagnosis.diagnose import Diagnosis
from unplateau.report.words import shown
from unplateau.runs.record import Finding, Solution
from unplateau.solutions.bursts import BurstResult
from unplateau.solutions.generate import things_to_do
from unplateau.solutions.write import Written

_WIDTH = 118


@dataclass(frozen=True)
class SolveStory:
    """What `solve` found and wrote."""

    diagnosis: Diagnosis | None
    """None where there was nothing to diagnose."""
    base: Path
    """The configuration that the solutions change."""
    solutions: tuple[Solution, ...]
    written: tuple[Written, ...]
    """A file for each solution, in the same order."""
    launchers: tuple[Written, ...]
    left_out: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Solutions that were asked for and would change nothing -> what the run has already."""
    bursts: tuple[BurstResult, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        return () if self.diagnosis is None else self.diagnosis.findings


def solutions_text(story: SolveStory) -> str:
    """Return the solutions, those that treat a finding in full, the experiments in a line each."""
    pairs = list(zip(story.solutions, story.written, strict=True))
    cures, experiments = [p for p in pairs if p[0].treats], [p for p in pairs if not p[0].treats]
    lines = [f"SOLUTIONS, in {_folder(story)}; each changes {story.base}:"]
    lines += [line for solution, file in cures for line in _cure(solution, file)]
    if experiments:
        what = "that treat none of the findings" if story.findings else "in the order asked for"
        lines.append(f"  Experiments {what}; what each expects is in its file:")
        lines += [_filled(f"{file.path.name}: {_change(solution)}{_state(file)}", "    ") for solution, file in experiments]
    for name, delta in story.left_out.items():
        has = ", ".join(f"{key} = {shown(value)}" for key, value in delta.items())
        lines.append(_filled(f"Not written: {name}. The run has {has} already, so it would be the unchanged control.", "  "))
    return "\n".join(lines)


def what_to_do(story: SolveStory) -> str:
    """Return the next steps in order; nothing is recommended to a healthy run but to go on."""
    steps = _steps(story)
    lines = ["WHAT TO DO NOW"]
    lines += [_filled(text, f"  {number}. ", "     ") for number, text in enumerate(steps, 1)]
    return "\n".join([*lines, *_beside_note(story)])


def _steps(story: SolveStory) -> list[str]:
    diagnosis = story.diagnosis
    first = None if diagnosis is None else diagnosis.first
    test = [_sentence(first.next_test)] if first is not None and first.next_test else []
    if diagnosis is None or first is None or first.code in ("unknown", "undecided"):
        return [*test, *_asked_for_by_name(diagnosis), f"If you want to try something at once: {_run(story, 0)}", _run_all(story)]
    if diagnosis.is_healthy:
        return [*test, f"No cure is called for, so no solution is recommended. To experiment all the same: {_scripts(story)}"]
    if diagnosis.is_pipeline_broken:
        return [*test, *_mending(story, first), "Only when that is mended and the loss falls, compare the experiments."]
    return [*test, *_todo(story), *_trial(story), _run_all(story)]


def _mending(story: SolveStory, first: Finding) -> list[str]:
    outside = [remedy.elsewhere for _, remedy in things_to_do([first])]
    steps = [f"{'Mend it where the training is' if place == 0 else 'Or'}: {text}" for place, text in enumerate(outside)]
    cure = next((place for place, solution in enumerate(story.solutions) if first.code in solution.treats), None)
    if cure is not None:
        unchanged = "train it here, where this is checked before the start"
        what = "try the cure" if story.solutions[cure].delta else unchanged
        steps.append(f"{'Or ' + what if outside else what.capitalize()}: {_run(story, cure)}")
    return steps


def _trial(story: SolveStory) -> list[str]:
    if story.bursts and story.bursts[0].verdict != "better":
        return ["No solution was better than the unchanged control in its burst, so there is none to prefer."]
    return [f"Run the first: {_run(story, 0)}"]


def _todo(story: SolveStory) -> list[str]:
    return [f"{remedy.elsewhere} ({code})" for code, remedy in things_to_do(story.findings)]


def _asked_for_by_name(diagnosis: Diagnosis | None) -> list[str]:
    if diagnosis is None or not diagnosis.missing:
        return []
    return [f"Give what is missing by name ({', '.join(diagnosis.missing)}), with the same command."]


def _run(story: SolveStory, place: int) -> str:
    path = story.written[place].path
    return f"python train_research_grade.py --config-file {shlex.quote(str(path))} --run-name {path.stem}"


def _run_all(story: SolveStory) -> str:
    return f"To try all of them beside an unchanged control and have the best model named: {_scripts(story)}"


def _scripts(story: SolveStory) -> str:
    return " or ".join(str(launcher.path) for launcher in story.launchers)


def _beside_note(story: SolveStory) -> list[str]:
    if not any(file.state == "beside" for file in story.written):
        return []
    return [
        _filled(
            "Note: other solutions were in that folder already and are kept, so the script would train those too. Give "
            "--output-dir FOLDER for a folder of their own, or --force to replace them.", "  ",
        )
    ]  # fmt: skip


def _cure(solution: Solution, file: Written) -> Sequence[str]:
    said = f"{_change(solution)}. {solution.hypothesis}"
    return f"  {file.path.name}  treats {', '.join(solution.treats)}{_state(file)}", _filled(said, "      ")


def _folder(story: SolveStory) -> str:
    return f"{story.written[0].path.parent}" if story.written else "no folder"


def _change(solution: Solution) -> str:
    return ", ".join(f"{key} = {shown(value)}" for key, value in solution.delta.items()) or "Nothing is changed"


def _state(file: Written) -> str:
    return {"beside": " (new, beside another of that name)", "replaced": " (replaced)"}.get(file.state, "")


def _sentence(text: str) -> str:
    end = "" if text.endswith((".", "?", "!")) else "."
    if text.startswith("solve_plateau"):
        return f"Run {text}{end}"
    return f"{text[0].upper()}{text[1:]}{end}"


def _filled(text: str, first: str, rest: str = "") -> str:
    """Wrapped, but a command stays on one line, so that it can be copied."""
    indent = rest or f"{first}  "
    words, command, arguments = text.partition("python train_research_grade.py")
    lines = [textwrap.fill(words.rstrip(), _WIDTH, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False)]
    return "\n".join([*lines, f"{indent}{command}{arguments}"] if command else lines)
