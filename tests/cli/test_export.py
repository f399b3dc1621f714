"""The command as people type it."""

import importlib.util

import pytest

from unplateau.cli.main import main
from unplateau.testing.small_market import Lab


def _exit_code(*words: str) -> int:
    try:
        main(["export", *words])
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


def test_a_run_is_exported_and_what_to_do_with_it_is_said(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    run = lab.train("run", "SOLVER.MAX_EPOCH 1").folder
    assert _exit_code(str(run.path)) == 0
    said = capsys.readouterr().out
    assert "The same: embeddings of 36 images" in said and f"Read this: {run.export / 'MODEL_CARD.md'}" in said
    assert f"python {run.export / 'search_gallery.py'} --gallery FOLDER --query PICTURE" in said


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else object())
    assert _exit_code(str(lab.place)) == 2
    assert "export needs onnxruntime. Install once: python -m pip install onnxruntime" in capsys.readouterr().err
