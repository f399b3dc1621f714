"""Files of solutions: they load, they say what they test, and nobody's work is overwritten."""

from pathlib import Path

import pytest

from unplateau.config.load import load
from unplateau.runs.record import Finding, Solution
from unplateau.solutions.write import write_launchers, write_solutions

HIGHER = Solution("solution_1_higher_lr", "the rate is too low", {"SOLVER.BASE_LR": 0.0007}, "CE 6.7 -> 5.5-6.0")
STUCK = Finding("weights-not-updated", "The weights do not move", "pipeline", 0.9, ())


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "config.yml"
    path.parent.mkdir()
    path.write_text("SOLVER:\n  BASE_LR: 0.00035\n  MAX_EPOCH: 90\n")
    return path


def test_a_written_solution_is_its_base_with_the_change(tmp_path, base):
    written = write_solutions(tmp_path / "out", [HIGHER], base=base)[0]
    config = load(written.path).config
    assert (config.SOLVER.BASE_LR, config.SOLVER.MAX_EPOCH, written.state) == (0.0007, 90, "new")


def test_the_header_says_hypothesis_expectation_and_that_it_treats_nothing(tmp_path, base):
    text = write_solutions(tmp_path / "out", [HIGHER], base=base, findings=[STUCK])[0].path.read_text()
    assert "# Hypothesis: the rate is too low" in text
    assert "# Expected effect, as asked: CE 6.7 -> 5.5-6.0" in text
    assert "# Treats none of the findings: the first is weights-not-updated" in text
    assert "cannot help until that is fixed" in text.replace("\n#   ", " ")


def test_a_file_that_differs_is_kept_and_the_new_one_goes_beside_it(tmp_path, base):
    mine = tmp_path / "out" / "solution_1_higher_lr.yml"
    mine.parent.mkdir()
    mine.write_text("SOLVER:\n  BASE_LR: 0.5\n")
    written = write_solutions(mine.parent, [HIGHER], base=base)[0]
    assert (written.path.name, written.state) == ("solution_1_higher_lr.2.yml", "beside")
    assert mine.read_text() == "SOLVER:\n  BASE_LR: 0.5\n"
    again = write_solutions(mine.parent, [HIGHER], base=base)[0]
    assert (again.path.name, again.state) == ("solution_1_higher_lr.2.yml", "unchanged")


def test_force_replaces(tmp_path, base):
    mine = tmp_path / "out" / "solution_1_higher_lr.yml"
    mine.parent.mkdir()
    mine.write_text("SOLVER:\n  BASE_LR: 0.5\n")
    written = write_solutions(mine.parent, [HIGHER], base=base, force=True)[0]
    assert (written.path, written.state) == (mine, "replaced")


def test_the_same_values_under_other_comments_are_the_same_file(tmp_path, base):
    first = write_solutions(tmp_path / "out", [HIGHER], base=base)[0].path
    first.write_text("# my own words\n" + "\n".join(line for line in first.read_text().splitlines() if not line.startswith("#")))
    assert write_solutions(tmp_path / "out", [HIGHER], base=base)[0].state == "unchanged"


def test_launchers_are_one_line_and_an_existing_one_is_kept(tmp_path):
    shell, batch = write_launchers(tmp_path, tmp_path / "solutions")
    assert 'run-solutions "solutions"' in shell.path.read_text()
    assert shell.path.stat().st_mode & 0o100
    assert batch.path.read_text().count("\n") == 1
    batch.path.write_text("my own")
    assert write_launchers(tmp_path, tmp_path / "solutions")[1].state == "unchanged"
    assert batch.path.read_text() == "my own"
