"""An export is what the run's best model is, says what it is, and gives nothing away; a wrong one is never kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors import safe_open

from unplateau.base.errors import DataNotFoundError, RecordError, UsageError
from unplateau.base.files import read_json
from unplateau.config.load import load
from unplateau.data.items import Item
from unplateau.engine.scoring import RetrievalTask
from unplateau.evaluation.embedded import Embedded
from unplateau.export import search_gallery
from unplateau.export.files import ExportError
from unplateau.export.parity import MAX_DIFFERENCE, compare, largest_move
from unplateau.export.terms import data_terms, shown_name
from unplateau.runs.reader import read_run
from unplateau.testing.small_market import Lab
from unplateau.workflows.exporting.export import Exported, ExportRequest, run_export
from unplateau.workflows.exporting.export_parity import sample
from unplateau.workflows.exporting.export_scores import scores_of
from unplateau.workflows.training.score import run_scoring

FILES = {"model.onnx", "model.safetensors", "preprocessing.json", "config.yml", "search_gallery.py", "MODEL_CARD.md"}


def quietly(request: ExportRequest) -> Exported:
    return run_export(request, say=lambda line: None)


def test_the_export_is_whole_and_does_what_the_model_does(exported: Exported) -> None:
    assert {path.name for path in exported.folder.iterdir()} == FILES
    assert exported.parity.problems == ()
    assert exported.parity.largest_move < MAX_DIFFERENCE / 10 and exported.parity.has_equal_scores
    assert exported.parity.num_images == 36 and exported.parity.before == exported.parity.after


def test_preprocessing_is_the_evaluations(exported: Exported) -> None:
    said, config = read_json(exported.folder / "preprocessing.json"), load(exported.folder / "config.yml").config
    assert (said["height"], said["width"]) == config.INPUT.SIZE_TEST
    assert tuple(said["mean"]) == config.MODEL.PIXEL_MEAN and tuple(said["std"]) == config.MODEL.PIXEL_STD
    assert said["averages_mirror_image"] is True and said["metric"] == "cosine" and said["embedding_dim"] == 32


def test_the_safetensors_file_scores_as_the_run_did_and_holds_no_classifier(exported: Exported, module_lab: Lab) -> None:
    with safe_open(exported.folder / "model.safetensors", "np") as stored:
        names = set(stored.keys())
    assert names and not any(name.startswith("head.classifier") for name in names)
    overrides = ("MODEL.WEIGHTS", str(exported.folder / "model.safetensors"), "DATASETS.ROOT", str(module_lab.root))
    (metrics,) = run_scoring(exported.folder / "config.yml", (*overrides, "MODEL.DEVICE", "cpu"))
    assert metrics.mAP == pytest.approx(read_json(module_lab.folder("run").model_info)["test"][0]["mAP"])


def test_nothing_in_the_export_names_a_folder_of_this_machine(exported: Exported, module_lab: Lab) -> None:
    places = (module_lab.root, module_lab.place, Path(__file__).parents[2])
    for path in exported.folder.iterdir():
        content = path.read_bytes()
        assert not [place for place in places if str(place).encode() in content], path.name


def test_the_onnx_file_is_valid_and_takes_any_batch_size(exported: Exported) -> None:
    onnx.checker.check_model(exported.folder / "model.onnx", full_check=True)
    model = search_gallery.ExportedModel(exported.folder)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 32, 16, 3), np.uint8)
    alone = np.concatenate([model.embed(pixels[row : row + 1]) for row in range(3)])
    for size in (1, 3, 64):
        assert np.abs(model.embed(pixels[:size])[: min(3, size)] - alone[:size]).max() < 1e-5


def test_a_mirrored_picture_has_the_same_embedding_where_the_evaluation_averages_both(exported: Exported) -> None:
    model = search_gallery.ExportedModel(exported.folder)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 16, 3), np.uint8)
    assert np.abs(model.embed(pixels) - model.embed(np.ascontiguousarray(pixels[:, :, ::-1]))).max() < 1e-5


def test_the_card_tells_protocol_interval_parity_terms_and_limits(exported: Exported, module_lab: Lab) -> None:
    card = (exported.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    test_map = read_json(module_lab.folder("run").model_info)["test"][0]["mAP"]
    for words in (
        f"**Test set, query/gallery, scored once, Market1501**: mAP {test_map:.2%} (95 % interval ",
        "**Held-out identities (the best epoch was chosen on them; not comparable with a test mAP), Market1501**",
        "Rankings of the sample are equal", "given out for academic research", "random weights", "Not meant for", "GDPR",
        "flip on",
        "Apache-2.0",
    ):  # fmt: skip
        assert words in card, words
    card.encode("ascii")


def test_a_test_score_on_which_the_best_epoch_was_chosen_is_marked(lab: Lab) -> None:
    lab.train("run", "SOLVER.MAX_EPOCH 1 VALIDATION.ON_TEST True")
    folder = quietly(ExportRequest(lab.folder("run").path)).folder
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "on which the best epoch was chosen (optimistic" in card and "Held-out identities" not in card


def test_an_export_that_differs_is_refused_and_the_earlier_one_stays(
    exported: Exported, module_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (exported.folder / "model.onnx").read_bytes()
    true_embed = search_gallery.ExportedModel.embed
    monkeypatch.setattr(search_gallery.ExportedModel, "embed", lambda self, *words: true_embed(self, *words) + 1e-2)
    with pytest.raises(ExportError, match=r"differ by up to .* of their length, more than 1e-04 \(raw numbers by 1.00e-02"):
        quietly(ExportRequest(module_lab.folder("run").path))
    assert (exported.folder / "model.onnx").read_bytes() == before
    assert not list(exported.folder.parent.glob(".export*"))


def test_without_the_runs_images_it_says_how_to_go_on_and_the_card_says_what_was_not_compared(
    exported: Exported, module_lab: Lab, tmp_path: Path
) -> None:
    request = ExportRequest(module_lab.folder("run").path, tmp_path / "out", ("DATASETS.ROOT", str(tmp_path)))
    with pytest.raises(DataNotFoundError, match="--no-images"):
        quietly(request)
    assert not (tmp_path / "out").exists()
    result = quietly(replace(request, uses_images=False))
    assert result.parity.before is None and result.parity.problems == ()
    assert "rankings were not compared" in (tmp_path / "out" / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_a_folder_with_something_else_in_it_is_left_alone(module_lab: Lab, exported: Exported, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(UsageError, match="something else than an export"):
        quietly(ExportRequest(module_lab.folder("run").path, tmp_path))
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "precious"


def test_what_was_put_beside_an_export_is_never_replaced_with_it(module_lab: Lab, exported: Exported) -> None:
    gallery = exported.folder / "gallery.npz"
    gallery.write_bytes(b"an evening's work")
    try:
        with pytest.raises(UsageError, match=r"something else: gallery\.npz"):
            quietly(ExportRequest(module_lab.folder("run").path))
        assert gallery.read_bytes() == b"an evening's work"
    finally:
        gallery.unlink()


def test_the_card_says_how_often_the_test_set_was_scored(module_lab: Lab, exported: Exported) -> None:
    run = read_run(module_lab.folder("run").path)
    again = replace(run, info={**run.info, "times_test_was_scored": 3})
    assert [score.times_scored for score in scores_of(run)] == [1, 1]
    assert [score.times_scored for score in scores_of(again)] == [1, 3]


def test_a_run_without_a_model_or_a_folder_without_a_run_is_said(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds no run"):
        quietly(ExportRequest(tmp_path))
    lab.train("run", "SOLVER.MAX_EPOCH 1")
    lab.folder("run").best_model.unlink()
    with pytest.raises(UsageError, match="no epoch was finished"):
        quietly(ExportRequest(lab.folder("run").path))


def made(num_images: int) -> Embedded:
    rng = np.random.default_rng(0)
    persons = np.arange(num_images) % 4
    return Embedded(rng.normal(size=(num_images, 8)).astype(np.float32), persons, np.arange(num_images) % 3)


def test_a_ranking_that_changes_is_a_problem_even_where_embeddings_hardly_do() -> None:
    before = made(40)
    tight = Embedded(before.features_ND * 1e-5, before.person_ids_N, before.camera_ids_N)
    parity = compare(tight, tight.features_ND[::-1].copy(), num_queries=8, metric="euclidean")
    assert parity.largest_difference < MAX_DIFFERENCE < parity.largest_move
    assert any(problem.startswith("rankings differ: mAP ") for problem in parity.problems)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_move_does_not_depend_on_how_long_the_networks_embeddings_are(metric: str) -> None:
    before_ND = made(40).features_ND
    after_ND = before_ND + np.random.default_rng(1).normal(scale=1e-3, size=before_ND.shape).astype(np.float32)
    moves = [largest_move(scale * before_ND, scale * after_ND, metric=metric) for scale in (1e-3, 1.0, 1e3)]
    assert moves == pytest.approx([moves[1]] * 3, rel=1e-4) and 1e-4 < moves[1] < 1e-2


def test_the_move_is_the_slow_oracles_and_bounds_every_number_and_cosine() -> None:
    before_ND = made(40).features_ND
    after_ND = before_ND + np.random.default_rng(1).normal(scale=1e-3, size=before_ND.shape).astype(np.float32)
    units = [[row / sum(x * x for x in row.tolist()) ** 0.5 for row in rows] for rows in (before_ND, after_ND)]
    slow = max(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5 for a, b in zip(*units, strict=True))
    move = largest_move(before_ND, after_ND, metric="cosine")
    assert move == pytest.approx(slow, rel=1e-4)
    one, other = np.array(units)
    assert np.abs(one - other).max() <= move and np.abs(one @ one.T - other @ other.T).max() <= 2 * move


def test_embeddings_that_are_no_numbers_are_a_problem() -> None:
    before = made(40)
    assert compare(before, np.full_like(before.features_ND, np.nan), num_queries=8, metric="cosine").problems
    assert compare(before, before.features_ND, num_queries=8, metric="cosine").problems == ()


def test_a_sample_holds_whole_identities_and_at_least_two() -> None:
    query = tuple(Item(f"q{person}", person, 0, "x") for person in range(1, 9))
    gallery = tuple(Item(f"g{person}_{shot}", person, 1 + shot, "x") for person in range(0, 9) for shot in range(4))
    task = RetrievalTask("test", "x", query, gallery)
    for wanted, persons in ((0, 8), (1, 2), (20, 4), (1000, 8)):
        chosen_query, chosen_gallery = sample(task, wanted)
        assert len(chosen_query) == persons and len(chosen_gallery) == 4 * persons
        assert {item.person_id for item in chosen_query} == {item.person_id for item in chosen_gallery}


def test_terms_of_data_are_those_of_its_family_and_unknown_is_said() -> None:
    assert data_terms("CUHK03Detected") == data_terms("CUHK03")
    assert "taken down" in data_terms("DukeMTMC")
    assert data_terms("folder:/data/mine").startswith("not known")
    assert shown_name("csv:D:\\data\\mine.csv") == "csv:mine.csv"
