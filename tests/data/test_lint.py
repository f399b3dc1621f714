from dataclasses import replace
from pathlib import Path

import pytest

from unplateau.config.schema import Config
from unplateau.data.find import find_items
from unplateau.data.items import Found, Item, RetrievalItems
from unplateau.data.lint import LintFinding, lint, render


def item(person: int, camera: int, name: str = "") -> Item:
    return Item(f"nowhere/{name or f'{person}_{camera}'}.jpg", person, camera, "made-up")


def training(*pairs: tuple[int, int]) -> tuple[Item, ...]:
    return tuple(item(person, camera, f"t{number}") for number, (person, camera) in enumerate(pairs))


SOUND_TRAINING = training((1, 0), (1, 1), (2, 0), (2, 1))


def found(train: tuple[Item, ...] = SOUND_TRAINING, query: tuple[Item, ...] = (), gallery: tuple[Item, ...] = ()) -> Found:
    return Found(train, (RetrievalItems("made-up", query, gallery),) if query else ())


def by_code(findings: tuple[LintFinding, ...]) -> dict[str, LintFinding]:
    assert len({finding.code for finding in findings}) == len(findings)
    return {finding.code: finding for finding in findings if finding.code != "missing_files"}  # made-up items have no files


def test_sound_data_give_no_finding() -> None:
    query, gallery = (item(5, 0), item(6, 1)), (item(5, 1), item(6, 0), item(0, 2))
    assert by_code(lint(found(query=query, gallery=gallery))) == {}


def test_gaps_in_the_numbers_are_harmless() -> None:
    finding = by_code(lint(found(training((2, 0), (2, 1), (7, 0), (7, 1)))))["labels_not_contiguous"]
    assert finding.severity == "info"
    assert "2 training identities carry numbers from 2 to 7" in finding.message


def test_identities_with_one_image_or_one_camera_are_counted() -> None:
    findings = by_code(lint(found(training((1, 0), (1, 1), (2, 0), (3, 1), (3, 1)))))
    assert "1 of 3 training identities have one image (persons 2)" in findings["single_image_identities"].message
    assert "1 of 3 training identities were seen by one camera (persons 3)" in findings["single_camera_identities"].message


def test_one_camera_for_all_is_not_said_of_each_identity() -> None:
    assert "single_camera_identities" not in by_code(lint(found(training((1, 0), (1, 0), (2, 0), (2, 0)))))


def test_queries_without_an_answer_are_counted_by_reason() -> None:
    query, gallery = (item(5, 0), item(6, 0), item(7, 0)), (item(5, 1), item(6, 0))
    finding = by_code(lint(found(query=query, gallery=gallery)))["queries_without_match"]
    assert "2 of 3 queries" in finding.message
    assert "1 persons not in it, 1 seen there by the query's own camera only" in finding.message


def test_query_persons_that_are_not_in_the_gallery_are_an_error() -> None:
    finding = by_code(lint(found(query=(item(5, 0),), gallery=(item(6, 1), item(7, 1)))))["query_identities_not_in_gallery"]
    assert finding.severity == "error"


def test_one_camera_for_query_and_gallery_is_an_error() -> None:
    query, gallery = (item(5, 0, "q5"), item(6, 0, "q6")), (item(5, 0, "g5"), item(6, 0, "g6"))
    assert by_code(lint(found(query=query, gallery=gallery)))["no_second_camera"].severity == "error"


def test_unknown_cameras_have_answers_and_are_said() -> None:
    findings = by_code(lint(found(query=(item(5, -1, "q"),), gallery=(item(5, -1, "g"),))))
    assert set(findings) == {"unknown_cameras"}
    assert "2 of 6 images" in findings["unknown_cameras"].message


def test_a_person_in_training_and_test_is_a_leak_and_a_distractor_is_not() -> None:
    query, gallery = (item(2, 0, "q"),), (item(2, 1, "g"), item(0, 1, "d"))
    finding = by_code(lint(found(query=query, gallery=gallery)))["train_test_overlap"]
    assert finding.severity == "error"
    assert "1 of its identities are trained on too (persons 2)" in finding.message


def test_an_image_that_is_query_and_gallery_is_said() -> None:
    query = (item(5, 0, "q"),)
    assert "query_in_gallery" in by_code(lint(found(query=query, gallery=(*query, item(5, 1)))))


def test_files_are_looked_at(tmp_path: Path, draw_images) -> None:
    draw_images(tmp_path, ["train/1/a_c1.png", "train/1/b_c2.png", "train/2/a_c1.jpg.jpg", "train/2/b_c2.jpg"])
    (tmp_path / "train" / "1" / "a_c1.png").rename(tmp_path / "train" / "1" / "c_c1.jpg")
    (tmp_path / "train" / "2" / "b_c2.jpg").write_bytes(b"")
    files = find_items(Config.model_validate({"DATASETS": {"NAMES": (f"folder:{tmp_path}",), "TESTS": ()}}))
    gone = replace(files.train[0], path=str(tmp_path / "gone.jpg"))
    findings = {finding.code: finding for finding in lint(Found((*files.train, gone), ()))}
    assert "1 of 5 image files are not there (gone.jpg)" in findings["missing_files"].message
    assert "1 of 5 image files are empty (b_c2.jpg)" in findings["empty_files"].message
    assert "(a_c1.jpg.jpg)" in findings["doubled_extension"].message
    assert "c_c1.jpg is PNG" in findings["wrong_extension"].message


def test_findings_are_written_the_gravest_first() -> None:
    text = render((LintFinding("a", "info", "Small.", "Nothing."), LintFinding("b", "error", "Grave.", "Mend it.")))
    assert text == "error: Grave. [b]\n    Mend it.\ninfo: Small. [a]\n    Nothing."
    assert render(()) == ""


@pytest.mark.real_data
@pytest.mark.slow
def test_the_real_market1501_has_nothing_to_warn_of(real_market_root: Path) -> None:
    findings = lint(find_items(Config.model_validate({"DATASETS": {"ROOT": str(real_market_root)}})))
    assert {finding.code for finding in findings} == {"labels_not_contiguous", "doubled_extension"}


@pytest.mark.real_data
def test_the_real_pku_set_is_seen_to_be_jpeg_in_files_named_png(real_pku_folder: Path) -> None:
    names = (f"folder:{real_pku_folder}",)
    findings = lint(find_items(Config.model_validate({"DATASETS": {"NAMES": names, "TESTS": names}})))
    assert {finding.code for finding in findings} == {"labels_not_contiguous", "wrong_extension"}
