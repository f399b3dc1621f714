"""`unplateau demo`: the whole story, with the trainings played by a stand-in where they take minutes."""

from pathlib import Path

import pytest

from unplateau.base.errors import UsageError
from unplateau.diagnosis.diagnose import diagnose
from unplateau.runs.foreign_logs.training_log import LogFacts
from unplateau.workflows import demo
from unplateau.workflows.demo import DemoRequest, run_demo
from unplateau.workflows.diagnosing.diagnose import Sources, gather
from unplateau.workflows.training.set_aside import set_aside


def test_the_first_log_is_diagnosed_as_weights_that_are_not_updated():
    diagnosis = diagnose(gather(Sources(log_file=demo.FIRST_LOG, facts=LogFacts(num_identities=751))))
    assert diagnosis.first is not None and diagnosis.first.code == "weights-not-updated"
    assert "explicitly not recommended" in diagnosis.about_hyper_parameters()


def test_an_earlier_demo_is_kept(tmp_path: Path):
    place = tmp_path / "demo"
    for number in range(3):
        place.mkdir()
        (place / "told").write_text(str(number), encoding="utf-8")
        set_aside(place)
    assert not place.exists()
    assert [(tmp_path / f"demo_before{n}" / "told").read_text(encoding="utf-8") for n in (1, 2, 3)] == ["0", "1", "2"]


def test_without_the_repository_it_says_where_to_run_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(demo, "FIRST_LOG", Path("docs") / "examples" / "not_there.csv")
    with pytest.raises(UsageError, match="the folder that holds custom_configs"):
        run_demo(DemoRequest(tmp_path / "demo", is_quiet=True), say=lambda text: None)


@pytest.mark.slow
def test_the_whole_story_ends_with_a_winner_and_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    quick = tmp_path / "quick.yml"
    epochs = "SOLVER: {MAX_EPOCH: 6, IMS_PER_BATCH: 64, STEPS: [5]}\nINPUT: {SIZE_TRAIN: [32, 16], SIZE_TEST: [32, 16]}\n"
    quick.write_text(f"_BASE_: {demo.STALLED.resolve()}\n{epochs}", encoding="utf-8")
    monkeypatch.setattr(demo, "STALLED", quick)
    said: list[str] = []
    assert run_demo(DemoRequest(tmp_path / "demo", is_quiet=True), said.append) == 0
    story = "\n".join(said)
    assert story.index("1 of 4") < story.index("2 of 4") < story.index("3 of 4") < story.index("4 of 4") < story.index("WINNER:")
    assert (tmp_path / "demo" / "tried" / "BEST_MODEL_SELECTION.txt").exists()
    assert all((tmp_path / "demo" / name / "report.html").exists() for name in ("tried", "stalled"))
