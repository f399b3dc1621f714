"""Every command of every guide is carried out, as it is written, in a place with small stand-ins; or it is named with why not."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from unplateau.cli.main import main
from unplateau.testing.small_market import Lab

from .carrying_out import NOT_CARRIED_OUT, RULES, in_order, make_place, rule_of, words_of
from .reading import ROOT, Command, commands


@pytest.mark.parametrize("command", commands(), ids=lambda command: f"{command.page}: {command.text[:60]}")
def test_every_command_is_carried_out_or_named_with_why_not(command: Command) -> None:
    is_left_out, rule = command.text in NOT_CARRIED_OUT, rule_of(command)
    assert is_left_out != (rule is not None), "give it a rule in carrying_out.py, or say there why it cannot be carried out"
    assert is_left_out or command.words, "only commands of this program are carried out"


def test_what_is_left_out_and_every_rule_is_of_a_command_that_is_written_somewhere() -> None:
    texts = {command.text for command in commands()}
    assert set(NOT_CARRIED_OUT) <= texts, set(NOT_CARRIED_OUT) - texts
    used = {rule.pattern for _, rule in in_order(commands())}
    assert used == {rule.pattern for rule in RULES}, {rule.pattern for rule in RULES} - used


def test_a_new_command_is_neither_carried_out_nor_left_out() -> None:
    new = Command("README.md", "unplateau forecast logs/market1501/first_run")
    assert rule_of(new) is None and new.text not in NOT_CARRIED_OUT
    assert in_order([new]) == []


@pytest.mark.slow
def test_all_of_them_work_as_they_are_written(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    make_place(tmp_path, lab)
    monkeypatch.chdir(tmp_path)
    for name, value in (("REID_DATA", lab.root), ("PYTHONPATH", ROOT), ("OMP_NUM_THREADS", 1)):
        monkeypatch.setenv(name, str(value))
    problems, lines = [], []
    for command, rule in in_order(commands()):
        begun = time.perf_counter()
        code = _carry_out(words_of(command, rule), is_script=command.text.startswith(("./", "run_plateau")))
        said = capfd.readouterr()
        lines.append(f"{time.perf_counter() - begun:6.1f} s  {command.text}")
        if code:
            problems.append(f"{command.text}\n  exit code {code}: {said.err.strip()[-600:] or said.out.strip()[-600:]}")
        elif not (tmp_path / rule.makes).exists():
            problems.append(f"{command.text}\n  {rule.makes} is not there")
    with capfd.disabled():
        print("\n".join(["", *lines]))
    assert not problems, "\n".join(problems)


def _carry_out(words: list[str], *, is_script: bool) -> object:
    """Run the program in this process, or by its script; return the exit code."""
    if is_script:
        shell = shutil.which("sh")
        assert shell is not None, "the script needs a shell"
        python = Path(sys.executable).parent
        environment = {**os.environ, "PATH": f"{python}:/usr/bin:/bin"}
        done = subprocess.run([shell, "./run_plateau_solutions.sh", *words[1:]], env=environment, check=False)
        return done.returncode
    try:
        main(words)
    except SystemExit as leaving:
        return leaving.code
    return 0
