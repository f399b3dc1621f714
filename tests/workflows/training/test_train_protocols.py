"""What is held out, what is scored when, and the workflows around a training: refit, seeds, scoring a file."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from unplateau.base.files import read_json
from unplateau.engine import loop
from unplateau.engine.scoring import Scorer
from unplateau.runs.reader import read_run
from unplateau.testing.small_market import Lab, draw_market, same_tensors
from unplateau.workflows.training.request import TrainOutcome
from unplateau.workflows.training.score import run_scoring
from unplateau.workflows.training.seeds import run_refit, run_seeds, seed_lines


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Protocol and number of queries of every scoring, in order."""
    calls: list[tuple[str, int]] = []
    true_score = Scorer.score

    def score(self, model, task, **settings):  # type: ignore[no-untyped-def]
        calls.append((task.protocol, len(task.query)))
        return true_score(self, model, task, **settings)

    monkeypatch.setattr(Scorer, "score", score)
    return calls


def _notes(outcome: TrainOutcome) -> str:
    return " ".join(read_json(outcome.folder.model_info)["notes"])


def test_validation_is_on_held_out_identities_and_the_test_set_is_scored_once(lab: Lab, scored: list[tuple[str, int]]) -> None:
    outcome = lab.train("run")
    assert [protocol for protocol, _ in scored] == ["held-out"] * 3 + ["held-out", "test"]  # 3 epochs, seen identities, test
    assert outcome.reason.best_protocol == "held-out"
    data = read_json(outcome.folder.model_info)["data"]
    assert (data["train_identities"], data["train_images"]) == (18, 108)
    text = outcome.folder.stopping_reason.read_text(encoding="utf-8")
    assert "identities held out of training (not comparable with a test mAP)" in text


def test_the_test_set_is_scored_with_the_best_model_not_the_last(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = lab.train("run", "SOLVER.MAX_EPOCH 4 SOLVER.BASE_LR 0.05 SOLVER.STEPS []")
    folder = outcome.folder
    results = run_scoring(lab.recipe, ("MODEL.WEIGHTS", str(folder.best_model)))
    assert results[0].mAP == outcome.tests[0].mAP
    assert read_json(folder.model_info)["test"][0]["mAP"] == outcome.tests[0].mAP


def test_no_test_score_where_a_launcher_keeps_it(lab: Lab, scored: list[tuple[str, int]]) -> None:
    outcome = lab.train("run", "VALIDATION.SCORE_TEST False")
    assert "test" not in [protocol for protocol, _ in scored]
    assert outcome.tests == () and read_json(outcome.folder.model_info)["test"] == []


def test_nothing_held_out_trains_on_everyone_and_validates_nothing(lab: Lab, scored: list[tuple[str, int]]) -> None:
    outcome = lab.train("run", "VALIDATION.HELD_OUT 0")
    assert [protocol for protocol, _ in scored] == ["test"]
    assert outcome.reason.best_map is None
    assert read_json(outcome.folder.model_info)["data"]["train_identities"] == 24
    assert same_tensors(outcome.folder.best_model, outcome.folder.final_model)
    assert "No identities are held out" in _notes(outcome)


def test_validation_on_the_test_set_marks_every_number(lab: Lab, scored: list[tuple[str, int]]) -> None:
    outcome = lab.train("run", "VALIDATION.ON_TEST True")
    assert {protocol for protocol, _ in scored} == {"test"}
    assert outcome.reason.best_protocol == "test"
    text = outcome.folder.stopping_reason.read_text(encoding="utf-8")
    assert "optimistic" in text.split("EPOCHS TRAINED")[0]
    assert "query/gallery; the best epoch was chosen on it, so optimistic" in text and "scored once" not in text
    assert read_json(outcome.folder.model_info)["test"][0]["chosen_on_it"] is True
    assert any("optimistic" in line for line in seed_lines([outcome.tests]))
    assert read_json(outcome.folder.model_info)["data"]["train_identities"] == 24


def test_what_is_odd_about_the_data_is_in_the_log(tmp_path: Path) -> None:
    lab = Lab(root=tmp_path / "data", place=tmp_path, cache=tmp_path / "cache")
    folder = draw_market(lab.root) / "bounding_box_train"
    for image in sorted(folder.glob("0001_*"))[1:]:
        image.unlink()
    lab.train("odd", "SOLVER.MAX_EPOCH 1")
    assert "1 of 24 training identities have one image (persons 1)" in lab.folder("odd").log.read_text(encoding="utf-8")


def test_too_few_identities_are_validated_on_query_and_gallery_and_it_is_said(tmp_path: Path) -> None:
    lab = Lab(root=tmp_path / "data", place=tmp_path, cache=tmp_path / "cache")
    draw_market(lab.root, train_identities=12)
    outcome = lab.train("few", "SOLVER.MAX_EPOCH 1")
    assert outcome.reason.best_protocol == "test"
    assert "12 identities, too few to hold 6 of them out" in _notes(outcome)
    assert "Validation is on query/gallery" in outcome.folder.stopping_reason.read_text(encoding="utf-8")


def test_validation_that_is_not_due_is_left_out_and_the_last_epoch_is_always_due(lab: Lab) -> None:
    lab.train("run", "TEST.EVAL_PERIOD 2")
    epochs = read_run(lab.folder("run").path).epochs
    assert [epoch.validation is not None for epoch in epochs] == [False, True, True]


def test_reranking_and_flip_are_further_scores_that_say_so(lab: Lab) -> None:
    overrides = "SOLVER.MAX_EPOCH 1 TEST.RERANK.ENABLED True TEST.RERANK.K1 5 TEST.RERANK.K2 2 TEST.FLIP.ENABLED True"
    outcome = lab.train("run", overrides)
    plain, reranked = outcome.tests
    assert plain.options["flip"] == "on" and reranked.options["flip"] == "on"
    assert plain.options != reranked.options


def test_another_seed_gives_another_model_and_the_same_seed_the_same(lab: Lab) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        lab.train(name, f"SEED {seed} SOLVER.MAX_EPOCH 1")
    assert same_tensors(lab.folder("a").final_model, lab.folder("b").final_model)
    assert not same_tensors(lab.folder("a").final_model, lab.folder("c").final_model)


def test_training_starts_from_weights_of_an_earlier_run(lab: Lab) -> None:
    first = lab.train("first")
    assert first.tests
    second = lab.train("second", f"MODEL.WEIGHTS {first.folder.best_model.as_posix()} SOLVER.MAX_EPOCH 1 SOLVER.BASE_LR 1e-5")
    losses = [read_run(outcome.folder.path).epochs[0].losses["cross_entropy"] for outcome in (first, second)]
    assert losses[1] < losses[0]
    assert read_json(second.folder.model_info)["preflight"]["findings"] == []


def test_refit_trains_everyone_for_the_epochs_that_were_best(lab: Lab, scored: list[tuple[str, int]]) -> None:
    chosen = lab.train("run", "SOLVER.MAX_EPOCH 4 SOLVER.BASE_LR 0.05 SOLVER.STEPS []")
    scored.clear()
    refit = run_refit(lab.request("run", "SOLVER.MAX_EPOCH 4 SOLVER.BASE_LR 0.05 SOLVER.STEPS []", refit=True))
    assert refit.folder.name == "run_refit"
    assert refit.reason.epochs_trained == chosen.reason.best_epoch
    assert refit.reason.exit_code == 0
    assert scored == [("test", 6)]
    assert read_json(refit.folder.model_info)["data"]["train_identities"] == 24


def test_refit_without_an_earlier_run_trains_all_epochs(lab: Lab) -> None:
    refit = run_refit(lab.request("fresh", "SOLVER.MAX_EPOCH 2", refit=True))
    assert (refit.reason.code, refit.reason.epochs_trained) == ("completed", 2)


def test_refit_takes_the_drops_that_the_chosen_run_took_early(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = iter((0.1, 0.2, 0.2, 0.3, 0.3, 0.3))
    true_validate = loop._validate

    def validate(parts, epoch):  # type: ignore[no-untyped-def]
        retrieval = true_validate(parts, epoch)
        return replace(retrieval, metrics=replace(retrieval.metrics, mAP=next(maps))) if retrieval else None

    monkeypatch.setattr(loop, "_validate", validate)
    overrides = "SOLVER.MAX_EPOCH 6 SOLVER.STEPS [5] SOLVER.EARLY_STOP_PATIENCE 1 SOLVER.ON_PLATEAU drop"
    chosen = lab.train("run", overrides)
    assert chosen.reason.best_epoch == 4  # the drop was taken after epoch 3
    refit = run_refit(lab.request("run", overrides, refit=True))
    rates = [[epoch.learning_rate for epoch in read_run(run.folder.path).epochs] for run in (chosen, refit)]
    assert rates[1] == rates[0][:4] == pytest.approx([5e-3, 5e-3, 5e-3, 5e-4])


def test_refitted_seeds_take_the_epochs_of_the_chosen_run(lab: Lab) -> None:
    lab.train("run", "SOLVER.MAX_EPOCH 1")
    assert run_seeds(lab.request("run", "SOLVER.MAX_EPOCH 2", refit=True), 2) == 0
    assert [len(read_run(lab.folder(f"run_seed{seed}_refit").path).epochs) for seed in (0, 1)] == [1, 1]


def test_seeds_can_be_started_over(lab: Lab) -> None:
    lab.train("many_seed0", "SOLVER.MAX_EPOCH 1 SEED 0")
    assert run_seeds(lab.request("many", "SOLVER.MAX_EPOCH 1", restart=True), 1) == 0
    assert lab.folder("many_seed0_before1").metrics.exists()


def test_seeds_report_mean_and_deviation_and_train_no_finished_seed_again(
    lab: Lab, capsys: pytest.CaptureFixture[str], scored: list[tuple[str, int]]
) -> None:
    request = lab.request("many", "SOLVER.MAX_EPOCH 1")
    assert run_seeds(request, 3) == 0
    said = capsys.readouterr().out
    assert "Market1501 test, 3 seeds: mAP " in said and "±" in said and "LaTeX: $" in said
    assert r"\pm" in said
    summary = read_json(lab.folder("many").path.with_name("many_seeds.json"))
    assert summary["runs"] == ["many_seed0", "many_seed1", "many_seed2"]
    scored.clear()
    assert run_seeds(request, 3) == 0
    assert scored == []
    again = capsys.readouterr().out
    assert [line for line in again.splitlines() if "3 seeds" in line] == [line for line in said.splitlines() if "3 seeds" in line]


def test_the_lines_of_seeds_are_mean_and_sample_deviation(lab: Lab, make_metrics: Callable[[float, float], object]) -> None:
    lines = seed_lines([[make_metrics(0.40, 0.6)], [make_metrics(0.42, 0.7)], [make_metrics(0.44, 0.8)]])  # type: ignore[list-item]
    assert lines == [
        "Drawn test, 3 seeds: mAP 42.0 ± 2.0  rank-1 70.0 ± 10.0 (mean ± standard deviation, %)",
        r"LaTeX: $42.0 \pm 2.0$ & $70.0 \pm 10.0$ \\",
    ]


@pytest.fixture
def make_metrics() -> Callable[[float, float], object]:
    from unplateau.runs.record import RetrievalMetrics

    def make(mean_average_precision: float, first: float) -> RetrievalMetrics:
        return RetrievalMetrics("test", mean_average_precision, 0.1, {"1": first}, 6, 30, 6, 0.2, "Drawn")

    return make


@pytest.mark.parametrize(
    "overrides", ["", "SOLVER.EMA.ENABLED True", "MODEL.HEADS.EMBEDDING_DIM 24", "MODEL.HEADS.NECK_FEAT after"]
)
def test_scoring_the_best_model_alone_gives_the_runs_own_test_score(lab: Lab, overrides: str) -> None:
    outcome = lab.train("run", overrides)
    weights = ("MODEL.WEIGHTS", str(outcome.folder.best_model))
    assert run_scoring(lab.recipe, (*overrides.split(), *weights)) == outcome.tests
