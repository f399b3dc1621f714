"""What is there is compared: recipes where they have seeds, checkpoints where they have one, results of any trainer."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.workflows.made_runs import PERSONS_Q, average_precision, write_run
from unplateau.base.errors import DataError, DataNotFoundError
from unplateau.base.files import read_json, write_json
from unplateau.report.group_page import group_page
from unplateau.runs.layout import RunFolder
from unplateau.runs.record import StopReason, from_plain
from unplateau.runs.writer import RunWriter
from unplateau.selection.select import CLEAR, NOT_ENOUGH, Selection
from unplateau.selection.statistics import CHECKPOINT, RECIPE
from unplateau.workflows.choosing.select import report_on_folder, run_select
from unplateau.workflows.choosing.select_request import SelectRequest
from unplateau.workflows.reporting.report_group import group_view

HIGHER = {"SOLVER.BASE_LR": 0.0007}


def _selected(folder: Path) -> tuple[list[str], dict]:
    assert run_select(SelectRequest(folder, is_quiet=True)) == 0
    text = (folder / "BEST_MODEL_SELECTION.txt").read_text(encoding="utf-8")
    return text.splitlines(), read_json(folder / "selection.json")


def _two_recipes(folder: Path, seeds: int, gain: float = 0.1) -> None:
    for seed in range(seeds):
        write_run(folder / f"base_seed{seed}", seed=seed)
        write_run(folder / f"higher_seed{seed}", seed=seed, gain=gain, **HIGHER)


def test_runs_that_differ_in_their_seed_only_are_one_recipe(tmp_path: Path) -> None:
    _two_recipes(tmp_path, 4)
    lines, record = _selected(tmp_path)
    assert lines[0].startswith("WINNER: higher_seed")
    assert lines[1] == "HOW SURE: clear winner: its recipe is better than every other one compared (4 seeds each)"
    assert record["winner_recipe"] == "higher" and record["kind"] == "comparison"
    selection = from_plain(Selection, record["selection"])
    assert (selection.verdict, selection.level, [one.name for one in selection.ranked]) == (CLEAR, RECIPE, ["higher", "base"])
    assert record["runs"]["base_seed0"]["recipe"] == "base" and record["runs"]["base_seed0"]["curves"]["average_precision"]
    text = " ".join(" ".join(lines).split())
    assert "base: SOLVER.BASE_LR 0.0007 -> " in text and "This speaks of the recipes" in text
    assert "EXPECTED AGAINST" not in text


def test_with_one_seed_each_nothing_is_said_of_recipes(tmp_path: Path) -> None:
    _two_recipes(tmp_path, 1)
    lines, record = _selected(tmp_path)
    assert record["selection"]["level"] == CHECKPOINT
    assert "this checkpoint; one seed each" in lines[1]
    assert 'never "this recipe is better"' in " ".join(" ".join(lines).split())


def test_the_page_of_compared_recipes_names_the_run_to_take_and_claims_no_test_score(tmp_path: Path) -> None:
    _two_recipes(tmp_path, 4)
    lines, record = _selected(tmp_path)
    view = group_view(tmp_path)
    page = group_page(view)
    assert page.kind == "runs" and "expected" not in [section.anchor for section in page.sections]
    assert page.verdict.startswith(f"{record['winner']} is the one to take, with ")
    assert page.verdict.endswith(f"{lines[1].removeprefix('HOW SURE: ')}.")
    assert next(section.intro for section in page.sections if section.anchor == "selection").endswith(
        "The test set was not scored."
    )


def test_the_same_configuration_twice_does_not_win(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path / f"first_seed{seed}", seed=seed)
        write_run(tmp_path / "elsewhere" / f"second_seed{seed}", seed=seed + 3, OUTPUT_DIR="elsewhere")
    lines, record = _selected(tmp_path)
    assert record["selection"]["verdict"] == NOT_ENOUGH
    assert lines[1] == "HOW SURE: not enough evidence: all 6 runs are seeds of one recipe, there is no other to compare it with"


def test_a_seed_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    for name in ("base", "copy_of_base"):
        write_run(tmp_path / name, seed=0)
    write_run(tmp_path / "higher", seed=0, gain=0.1, **HIGHER)
    report = report_on_folder(SelectRequest(tmp_path))
    assert [len(one.runs) for one in report.selection.ranked] == [1, 1]
    assert any("counts once" in note for note in report.notes)


def test_runs_in_folders_below_are_found_and_replaced_ones_are_not(tmp_path: Path) -> None:
    write_run(tmp_path / "deep" / "down" / "base", seed=0)
    write_run(tmp_path / "deep" / "down" / "base_before1", seed=0, gain=0.3, **HIGHER)
    assert [run.name for run in report_on_folder(SelectRequest(tmp_path)).tried] == ["deep/down/base"]


def test_a_run_that_only_sounds_like_a_replaced_one_is_compared(tmp_path: Path) -> None:
    write_run(tmp_path / "ours_before2", seed=0)
    assert [run.name for run in report_on_folder(SelectRequest(tmp_path)).tried] == ["ours_before2"]


def test_a_run_without_a_validated_model_is_listed_and_not_compared(tmp_path: Path) -> None:
    _two_recipes(tmp_path, 1)
    lost = write_run(tmp_path / "lost", seed=0, gain=0.4, **{"SOLVER.BASE_LR": 0.01})
    lost.best_model.unlink()
    lines, record = _selected(tmp_path)
    assert record["winner"] == "higher_seed0" and any("lost: no validated model" in line for line in lines)


def test_a_choice_on_the_test_set_is_called_optimistic_in_the_second_line(tmp_path: Path) -> None:
    for name, gain, values in (("base", 0.0, {}), ("higher", 0.1, HIGHER)):
        write_run(tmp_path / name, seed=0, gain=gain, protocol="test", **values)
    lines, _ = _selected(tmp_path)
    assert lines[1].endswith("(chosen on the test set: optimistic)")


def test_results_of_other_trainers_are_compared_alike(tmp_path: Path) -> None:
    for system, gain in (("transreid", 0.1), ("bagtricks", 0.0)):
        for seed in range(4):
            values = average_precision(round(1000 * gain) + seed, gain).tolist()
            table = {"system": system, "seed": seed, "person_ids": PERSONS_Q.tolist(), "average_precision": values}
            (tmp_path / f"{system}{seed}.json").write_text(json.dumps(table))
    lines, record = _selected(tmp_path)
    assert record["winner_recipe"] == "transreid" and record["selection"]["level"] == RECIPE
    assert lines[1].startswith("HOW SURE: clear winner") and lines[1].endswith("optimistic)")
    assert any(line.startswith("  Results: ") for line in lines)


def test_the_map_of_each_seed_is_enough_and_it_is_said_what_it_speaks_of(tmp_path: Path) -> None:
    (tmp_path / "maps.csv").write_text("system,seed,mAP\na,0,0.61\na,1,0.612\na,2,0.613\nb,0,0.55\nb,1,0.553\nb,2,0.552\n")
    lines, record = _selected(tmp_path)
    assert record["winner_recipe"] == "a" and record["selection"]["verdict"] == CLEAR
    assert "of no others" in " ".join(" ".join(lines).split())


def test_rounded_maps_that_agree_to_the_last_digit_make_no_clear_winner(tmp_path: Path) -> None:
    (tmp_path / "maps.csv").write_text("system,seed,mAP\na,0,0.859\na,1,0.859\nb,0,0.858\nb,1,0.858\n")
    lines, record = _selected(tmp_path)
    assert record["winner_recipe"] == "a" and record["selection"]["verdict"] == NOT_ENOUGH
    assert lines[1].startswith("HOW SURE: not enough evidence") and "nothing is known of the noise" in lines[1]
    text = " ".join(" ".join(lines).split())
    assert "give the average precision of each query" in text and "hardly differ" not in text


def test_results_of_other_queries_are_named_and_not_compared(tmp_path: Path) -> None:
    _two_recipes(tmp_path, 2)
    (tmp_path / "other.json").write_text(json.dumps({"mAP": 0.99}))
    _, record = _selected(tmp_path)
    assert record["selection"]["not_comparable"] == ["other_seed0"] and record["winner_recipe"] == "higher"


def test_what_a_launcher_knew_of_its_solutions_is_kept(tmp_path: Path) -> None:
    for name, gain, values in (("solution_0_control", 0.0, {}), ("solution_1_higher_lr", 0.1, HIGHER)):
        write_run(tmp_path / name, seed=0, gain=gain, **values)
    write_json(
        tmp_path / "selection.json", {"runs": {"solution_1_higher_lr": {"hypothesis": "too small", "expected": "CE falls"}}}
    )
    for _ in range(2):  # read back from what it has written itself
        lines, record = _selected(tmp_path)
        text = " ".join(" ".join(lines).split())
        assert "hypothesis: too small" in text and "expected, as asked: CE falls" in text
        assert "solution_1_higher_lr: helped: +" in text and record["helped"] == ["solution_1_higher_lr"]
        assert "WHAT EACH RECIPE CHANGES, against the control:" in lines


def test_a_mistake_in_a_results_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps({"person_ids": [1], "avrage_precision": [0.5]}))
    with pytest.raises(DataError, match="Did you mean 'average_precision'"):
        report_on_folder(SelectRequest(tmp_path))


def test_where_nothing_is_what_was_expected_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("{}")
    with pytest.raises(DataNotFoundError, match="holds no run and no results"):
        report_on_folder(SelectRequest(tmp_path))


def test_a_page_that_is_there_names_the_winner_of_now(tmp_path: Path) -> None:
    _two_recipes(tmp_path, 1)
    (tmp_path / "report.html").write_text("the page of before")
    _selected(tmp_path)
    assert "higher_seed0" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_comparing_again_gives_the_same_text(tmp_path: Path) -> None:
    _two_recipes(tmp_path, 3)
    assert _selected(tmp_path)[0] == _selected(tmp_path)[0]


def test_comparing_does_not_load_torch(tmp_path: Path) -> None:
    _two_recipes(tmp_path, 2)
    code = (
        "import sys; from pathlib import Path; from unplateau.workflows.choosing.select import *; "
        f"run_select(SelectRequest(Path({str(tmp_path)!r}))); raise SystemExit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def _stopped(folder: Path, headline: str) -> None:
    """Let a run that was written whole be one that stopped after its second epoch."""
    place = RunFolder(folder)
    lines = place.metrics.read_text().splitlines(keepends=True)
    place.metrics.write_text("".join(lines[:2]))
    with np.load(place.average_precision) as arrays:
        kept = {name: values if name.endswith("ids") else values[:2] for name, values in arrays.items()}
    RunWriter(place).average_precision(kept)
    RunWriter(place).stop(StopReason("paused", headline, epochs_trained=2, max_epochs=3), "STOPPING REASON\n")


def test_a_run_that_halving_dropped_is_compared_up_to_the_epoch_where_it_was(tmp_path: Path) -> None:
    write_run(tmp_path / "base", seed=0)
    write_run(tmp_path / "higher", seed=0, gain=0.05, **{**HIGHER, "SOLVER.STOP_EPOCH": 2})
    _stopped(tmp_path / "higher", "Dropped by halving in round 1, after 2 of 3 epochs")
    lines, record = _selected(tmp_path)
    assert lines[0] == "WINNER: base" and "compared up to there, see NOTES" in lines[1]
    behind = record["selection"]["ranked"][1]["behind_winner"]["estimate"]
    assert behind["value"] < 0, "after the same epochs the dropped one was ahead"
    assert "SOLVER.STOP_EPOCH" not in "".join(lines)


def test_a_pruned_trial_is_listed_and_not_compared_with_whole_trainings(tmp_path: Path) -> None:
    _two_recipes(tmp_path, 1)
    write_run(tmp_path / "pruned", seed=0, gain=0.3, **{"SOLVER.BASE_LR": 0.01, "SOLVER.STOP_EPOCH": 2})
    _stopped(tmp_path / "pruned", "Stopped after 2 epochs as asked (SOLVER.STOP_EPOCH)")
    lines, record = _selected(tmp_path)
    assert record["winner"] == "higher_seed0" and len(record["selection"]["ranked"]) == 2
    assert any("listed and not compared: pruned." in line for line in lines)


def test_the_control_of_a_search_is_still_the_control_when_it_is_compared_again(tmp_path: Path) -> None:
    write_run(tmp_path / "trial_000_base", seed=0)
    write_run(tmp_path / "trial_001", seed=0, gain=0.1, **HIGHER)
    write_json(tmp_path / "selection.json", {"runs": {"trial_000_base": {"is_control": True}}})
    assert _selected(tmp_path)[1]["selection"]["control"] == "trial_000_base"
