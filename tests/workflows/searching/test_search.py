"""A search tries base, solutions, then what is suggested; prunes resumably; names the winner. Failing: `test_search_failing`."""

import re
from collections import Counter
from pathlib import Path

import pytest

from unplateau.config.load import load
from unplateau.report.group_page import group_page
from unplateau.report.group_view import GroupView, read_search
from unplateau.search.trial import BASE_TRIAL
from unplateau.workflows.reporting import report_group
from unplateau.workflows.reporting.report_group import group_view
from unplateau.workflows.searching import search
from unplateau.workflows.searching.search_executor import make_executor
from unplateau.workflows.searching.search_request import SearchRequest, Workers

from .search_desk import PAGES, Desk


def test_the_page_shows_the_search_while_it_runs(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_group, "LARGEST_SHARE", 1e9)
    PAGES.clear()
    desk.run(max_trials=8)
    assert PAGES[0] == "" and "1 run;" in PAGES[1] and "3 runs;" in PAGES[3]
    assert all('class="alive"' in page and '<body class="search">' in page for page in PAGES[1:])
    last = (desk.output / "report.html").read_text(encoding="utf-8")
    assert "is the one to take" in last and 'class="alive"' not in last


def test_the_base_and_the_five_solutions_come_first_then_what_is_suggested_and_the_best_is_named(desk: Desk) -> None:
    outcome = desk.run()
    assert outcome.exit_code == 0
    names = [trial["name"] for trial in desk.trials]
    assert len(names) == 12
    assert names[0] == "trial_000_base" and names[1] == "trial_001_solution_1_higher_lr"
    assert [trial["origin"] for trial in desk.trials] == ["base"] + ["solution"] * 5 + ["suggested"] * 6
    finished = [trial for trial in desk.trials if trial["state"] == "finished"]
    best = max(finished, key=lambda trial: trial["best_map"])
    assert desk.record["winner"] == best["name"]
    assert desk.text().splitlines()[0] == f"WINNER: {best['name']}"
    assert desk.text().splitlines()[1].startswith("HOW SURE: ")
    assert "TEST mAP: 0.4500" in desk.text()
    assert not any(call["test"] for call in desk.calls), "trials never score the test set"
    assert desk.text("COMPARISON.txt").startswith(f"BEST TRIAL: {best['name']}")
    pruned = [trial["name"] for trial in desk.trials if trial["state"] == "paused"]
    assert pruned and f"{len(pruned)} of 12 trials were not trained to the end" in desk.text().replace("\n    ", " ")
    assert (desk.output / "report.html").exists()
    for name in names:
        assert name in desk.text("COMPARISON.txt")


def test_no_epoch_is_trained_twice_and_pruned_trials_stop_at_the_end_of_a_rung(desk: Desk) -> None:
    desk.run()
    assert max(Counter(desk.epochs).values()) == 1
    by_trial = {trial["name"]: trial["epochs"] for trial in desk.trials}
    assert set(by_trial.values()) <= {0, 1, 3, 9}
    assert by_trial == {**dict.fromkeys(by_trial, 0), **Counter(name for name, _ in desk.epochs)}
    assert by_trial["trial_000_base"] == 9 and by_trial[desk.record["winner"]] == 9
    assert sum(by_trial.values()) < 9 * len(by_trial) / 2


def test_the_number_of_trials_holds_for_base_and_solutions_too(desk: Desk) -> None:
    desk.run(max_trials=3)
    assert [trial["origin"] for trial in desk.trials] == ["base", "solution", "solution"]
    desk.run(max_trials=7)
    assert Counter(trial["origin"] for trial in desk.trials) == {"base": 1, "solution": 5, "suggested": 1}


def test_without_pruning_every_trial_is_trained_to_the_end(desk: Desk) -> None:
    desk.run(max_trials=7, is_pruned=False)
    assert {trial["epochs"] for trial in desk.trials} == {9}


def test_the_winner_is_written_as_a_change_of_the_base_that_the_train_command_takes(desk: Desk) -> None:
    desk.run("SOLVER.IMS_PER_BATCH", "64")
    winner = next(trial for trial in desk.trials if trial["name"] == desk.record["winner"])
    config = load(desk.output / "winner.yml").config
    assert config.SOLVER.IMS_PER_BATCH == 64
    assert config.SOLVER.MAX_EPOCH == 9 and config.SOLVER.STOP_EPOCH == 0 and config.VALIDATION.SCORE_TEST
    assert winner["changes"] and "_BASE_: ../../base.yml" in desk.text("winner.yml")
    trained = load(desk.output / winner["name"] / "config.yml").config
    assert config.SOLVER.BASE_LR == trained.SOLVER.BASE_LR and config.SOLVER.SCHED == trained.SOLVER.SCHED


def test_a_finished_search_is_not_run_again_and_a_larger_budget_goes_on(desk: Desk) -> None:
    desk.run(max_trials=8)
    first = desk.epochs
    desk.run(max_trials=8)
    assert desk.epochs == first
    desk.run(max_trials=11)
    assert len(desk.trials) == 11
    assert max(Counter(desk.epochs).values()) == 1


def test_epochs_stay_within_the_budget(desk: Desk) -> None:
    desk.run(max_trials=None, budget_epochs=40)
    assert len(desk.epochs) <= 40
    assert len(desk.trials) > 8


def test_time_that_is_used_up_ends_the_search_with_a_selection(desk: Desk) -> None:
    desk.behave(seconds=0.2)
    outcome = desk.run(max_trials=None, hours=3 / 3600)
    assert outcome.chosen is not None
    assert desk.record["spent"]["seconds"] < 60
    assert desk.text().startswith("WINNER: trial_")


def test_a_space_that_is_used_up_ends_the_search(desk: Desk) -> None:
    (desk.place / "space.yml").write_text("SOLVER.BASE_LR: [0.0005, 0.001, 0.002]\n")
    desk.run(max_trials=50)
    in_space = [trial for trial in desk.trials if trial["point"]]
    assert len({trial["point"]["SOLVER.BASE_LR"] for trial in in_space}) == len(in_space) == 3


def test_equal_configurations_are_not_trained_twice(desk: Desk) -> None:
    desk.run(max_trials=14)
    changes = [tuple(sorted((key, str(value)) for key, value in trial["changes"].items())) for trial in desk.trials]
    assert len(set(changes)) == len(changes)


def test_the_command_that_goes_on_asks_for_the_same_and_leaves_the_test_set_alone_where_that_was_asked() -> None:
    places = Workers("slurm", 4, options=(("gpus_per_node", "1"),))
    request = SearchRequest(
        Path("my base.yml"), Path("out"), ("SOLVER.STEPS", "[2, 3]"), sampler="gp", keep=2, first_rung=4, is_pruned=False,
        workers=places, score_test=False, hours=0.5,
    )  # fmt: skip
    assert request.command == (
        'python find_best_model.py --base-config "my base.yml" --output-dir out --sampler gp --hours 0.5 --keep 2 --first-rung 4 '
        '--no-pruning --no-test --slurm gpus_per_node=1 --executor slurm --workers 4 SOLVER.STEPS "[2, 3]"'
    )


@pytest.mark.parametrize("sampler", ["random", "gp", "cmaes"])
def test_other_samplers_search_too(desk: Desk, sampler: str) -> None:
    desk.run(sampler=sampler, max_trials=9)
    assert len(desk.trials) == 9 and desk.record["sampler"] == sampler


@pytest.mark.slow
def test_real_processes_train_each_epoch_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "make_executor", make_executor)
    desk.behave(seconds=0.02)
    desk.run(workers=Workers(count=2), max_trials=7)
    assert max(Counter(desk.epochs).values()) == 1
    assert len(desk.trials) == 7


def test_several_workers_train_each_epoch_once(desk: Desk) -> None:
    desk.run(workers=Workers(count=3))
    assert max(Counter(desk.epochs).values()) == 1
    assert len(desk.trials) == 12


def test_importances_are_told_once_enough_trials_were_compared(desk: Desk) -> None:
    desk.run(max_trials=20)
    shares = desk.record["importances"]["shares"]
    assert list(read_search(desk.record, "search.json").importances) == [one["name"] for one in shares]
    assert shares[0]["name"] == "SOLVER.BASE_LR"
    assert shares[0]["low"] <= shares[0]["share"] <= shares[0]["high"]
    assert "WHAT DECIDES:\n  SOLVER.BASE_LR" in desk.text("COMPARISON.txt")


def test_the_page_of_a_search_that_left_no_record_still_says_what_each_trial_changes(desk: Desk) -> None:
    desk.run(max_trials=7)
    with_record = {run.name: run.changes for run in group_view(desk.output).runs}
    for name in ("search.json", "selection.json"):  # a kill comes before they are written
        (desk.output / name).unlink()
    view = group_view(desk.output)
    assert {run.name: run.changes for run in view.runs} == with_record
    assert with_record[BASE_TRIAL] == {} and with_record["trial_001_solution_1_higher_lr"]
    assert view.kind == "search" and view.control == BASE_TRIAL
    assert "change" in _runs_columns(view)


def test_while_a_search_runs_its_page_says_what_trains_and_how_many_trials_were_begun(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_group, "LARGEST_SHARE", 1e9)
    PAGES.clear()
    desk.run(max_trials=7)
    page = PAGES[-1]
    assert "Training now</dt>" in page and "7 trials begun of at most 7" in page
    assert re.search(r"trial_\d{3}\S*, epoch \d of [39]", page)


def _runs_columns(view: GroupView) -> tuple[str, ...]:
    section = next(one for one in group_page(view).sections if one.anchor == "runs")
    return section.blocks[0].columns  # type: ignore[union-attr]
