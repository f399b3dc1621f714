"""A search goes on where a trial fails or is killed, and refuses what cannot be carried out."""

from collections import Counter
from pathlib import Path

import pytest

from unplateau.base.errors import UnplateauError, UsageError
from unplateau.base.locks import FileLock
from unplateau.workflows.searching.search_request import Workers

from .search_desk import Desk


def test_failed_trials_cost_one_trial_each_and_are_told(desk: Desk) -> None:
    (desk.place / "space.yml").write_text("SOLVER.IMS_PER_BATCH: [32, 64, 128]\nSOLVER.BASE_LR: [0.0005, 0.1]\n")
    desk.run(max_trials=10)
    ended = {trial["changes"].get("SOLVER.IMS_PER_BATCH", [0, 32])[1]: trial["ended"] for trial in desk.trials}
    assert ended[128] == "Out of memory"
    diverged = [trial for trial in desk.trials if trial["changes"].get("SOLVER.BASE_LR", [0, 0])[1] == 0.1 and trial["ended"]]
    assert any("became nan" in trial["ended"] for trial in diverged)
    assert desk.record["winner"] is not None


def test_a_trial_whose_process_is_killed_goes_on_from_its_last_epoch(desk: Desk) -> None:
    desk.behave(kill={"trial_000_base": 5})
    desk.run(max_trials=7)
    base = next(trial for trial in desk.trials if trial["origin"] == "base")
    assert base["epochs"] == 9 and base["state"] == "finished"
    assert max(Counter(desk.epochs).values()) == 1


def test_a_trial_that_dies_again_and_again_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.behave(refuse=["trial_001_solution_1_higher_lr"])
    desk.run(max_trials=7)
    trial = desk.trials[1]
    assert trial["state"] == "failed"
    assert trial["ended"] == "its process failed 3 times in a row; it said: error: the data set is not there"
    assert sum(call["name"] == trial["name"] for call in desk.calls) == 3


def test_a_base_that_cannot_be_trained_ends_the_search_with_the_reason(desk: Desk) -> None:
    desk.behave(refuse=["trial_000_base"])
    with pytest.raises(UnplateauError, match="could not be trained.*the data set is not there"):
        desk.run()


def test_a_base_that_failed_is_tried_again_once_what_was_wrong_is_mended(desk: Desk) -> None:
    desk.behave(refuse=["trial_000_base"])
    with pytest.raises(UnplateauError, match="could not be trained"):
        desk.run(max_trials=7)
    desk.behave(refuse=[])
    desk.run(max_trials=7)
    assert (desk.trials[0]["state"], desk.trials[0]["epochs"]) == ("finished", 9)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"space": Path("missing.yml")}, "missing.yml"),
        ({"sampler": "grid"}, "expected one of tpe"),
        ({"keep": 1}, "expected 2 or more"),
        ({"workers": Workers("cloud")}, "expected one of local, ray, slurm"),
        ({"storage": "nonsense://x"}, "--storage nonsense://x cannot be opened"),
        ({"storage": "nonsense://lab:secret@x/y"}, "--storage nonsense://lab:PASSWORD@x/y cannot be opened"),
    ],
)
def test_what_cannot_be_carried_out_is_said(desk: Desk, options: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        desk.run(**options)
    assert not desk.calls


def test_another_base_or_space_in_the_same_folder_is_refused(desk: Desk) -> None:
    desk.run(max_trials=1)
    with pytest.raises(UsageError, match="another base"):
        desk.run("SOLVER.BASE_LR", "0.001", max_trials=1)
    with pytest.raises(UsageError, match="another space"):
        desk.run(max_trials=1, space=None)


def test_keys_that_the_search_sets_are_refused(desk: Desk) -> None:
    with pytest.raises(UsageError, match="OUTPUT_DIR is set by the search"):
        desk.run("OUTPUT_DIR", "x")
    with pytest.raises(UsageError, match="nothing could be compared"):
        desk.run("VALIDATION.HELD_OUT", "0")


def test_two_searches_in_one_folder_are_refused(desk: Desk) -> None:
    lock = FileLock(desk.output / "launcher" / ".lock")
    assert lock.acquire()
    with pytest.raises(UsageError, match="Another search is at work"):
        desk.run()
    lock.release()
