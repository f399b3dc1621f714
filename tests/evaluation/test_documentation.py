"""The example of docs/evaluation.md runs as it stands there."""

import re
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "evaluation.md"


def test_the_example_of_the_document_runs(capsys: pytest.CaptureFixture[str]) -> None:
    examples = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 1
    exec(examples[0], {})  # our own document
    assert len(capsys.readouterr().out.splitlines()) == 2
