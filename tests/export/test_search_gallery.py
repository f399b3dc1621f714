"""The search reads pictures as the training does, needs neither torch nor unplateau, and says what is wrong in words."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unplateau.data.decode import decode
from unplateau.export.search_gallery import ExportedModel, main, read_picture
from unplateau.workflows.exporting.export import Exported

FORBIDDING = """
import runpy, sys

class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "timm", "unplateau", "onnx", "onnxscript"):
            raise ImportError(f"{name} was imported")

sys.meta_path.insert(0, Forbid())
script = sys.argv[1]
sys.argv = sys.argv[1:]
runpy.run_path(script, run_name="__main__")
"""


def pictures(folder: Path) -> Path:
    """Pictures of every kind that Pillow tells apart."""
    rng = np.random.default_rng(0)
    colours = Image.fromarray(rng.integers(0, 256, (40, 20, 3), np.uint8))
    colours.save(folder / "rgb.png")
    colours.resize((16, 32)).save(folder / "right_size.png")
    colours.convert("RGBA").save(folder / "rgba.png")
    colours.convert("L").save(folder / "grey.jpg")
    colours.quantize(16).save(folder / "palette.png", transparency=3)
    Image.fromarray(rng.integers(0, 65536, (40, 20), np.uint16)).save(folder / "wide.png")
    Image.fromarray(rng.random((40, 20), np.float32)).save(folder / "float.tiff")
    return folder


def test_pictures_of_every_kind_are_read_as_the_training_reads_them(tmp_path: Path) -> None:
    for path in sorted(pictures(tmp_path).iterdir()):
        assert np.array_equal(read_picture(path, (32, 16)), decode(str(path), (32, 16))), path.name


def run_alone(exported: Exported, *words: str, where: Path) -> subprocess.CompletedProcess[str]:
    """Run the exported script in a process that refuses to import torch and unplateau."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-c", FORBIDDING, str(exported.folder.absolute() / "search_gallery.py"), *words],
        capture_output=True, text=True, timeout=120, check=False, cwd=where, env=environment,
    )  # fmt: skip


def test_a_person_is_found_in_a_folder_without_torch_and_without_unplateau(
    exported: Exported, drawn_market: Path, tmp_path: Path
) -> None:
    market = drawn_market / "Market-1501-v15.09.15"
    query = str(next((market / "query").iterdir()))
    gallery = str(market / "bounding_box_test")
    found = run_alone(exported, "--gallery", gallery, "--query", query, "--top", "3", "--save", "kept.npz", where=tmp_path)
    assert found.returncode == 0, found.stderr
    lines = [line for line in found.stdout.splitlines() if line.endswith(".jpg")]
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]
    similarities = [float(line.split()[1]) for line in lines]
    assert similarities == sorted(similarities, reverse=True) and all(-1 <= value <= 1 for value in similarities)
    again = run_alone(exported, "--gallery", "kept.npz", "--query", query, "--top", "3", where=tmp_path)
    assert [line for line in again.stdout.splitlines() if line.endswith(".jpg")] == lines


def test_a_picture_is_most_like_itself(exported: Exported, drawn_market: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gallery = drawn_market / "Market-1501-v15.09.15" / "bounding_box_test"
    query = sorted(gallery.iterdir())[5]
    assert main(["--model", str(exported.folder), "--gallery", str(gallery), "--query", str(query), "--top", "1"]) == 0
    place, alike, path = capsys.readouterr().out.split()
    assert (place, Path(path)) == ("1", query) and float(alike) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_similarity_is_what_a_plain_loop_gives(exported: Exported, metric: str) -> None:
    model = ExportedModel(exported.folder)
    model.preprocessing["metric"] = metric
    rng = np.random.default_rng(0)
    query_QD, gallery_ND = rng.normal(size=(2, 5)), rng.normal(size=(3, 5))
    wanted = [
        [
            q @ g / (np.sqrt(q @ q) * np.sqrt(g @ g)) if metric == "cosine" else -np.sqrt(((q - g) ** 2).sum())
            for g in gallery_ND
        ]
        for q in query_QD
    ]  # fmt: skip
    assert model.similarity(query_QD, gallery_ND) == pytest.approx(np.array(wanted))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--gallery", "{tmp}"), "there is nothing to do"),
        (("--gallery", "{tmp}/nowhere", "--query", "{tmp}/x.jpg"), "neither a folder of pictures nor a saved gallery"),
        (("--gallery", "{tmp}", "--query", "{tmp}/x.jpg"), "holds no picture"),
        (("--gallery", "{pictures}", "--query", "{tmp}/x.jpg"), "x.jpg cannot be read as a picture"),
        (("--model", "{tmp}", "--gallery", "{tmp}", "--query", "x.jpg"), "holds no export"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(
    exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    if "{pictures}" in words:
        Image.new("RGB", (16, 32)).save(folder / "one.png")
    said = [word.format(tmp=tmp_path, pictures=folder) for word in words]
    assert main([*(() if "--model" in said else ("--model", str(exported.folder))), *said]) == 2
    assert message in capsys.readouterr().err


def test_damaged_exports_and_galleries_are_said_in_words(
    exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.png").write_bytes(b"")
    gallery = tmp_path / "gallery.npz"
    gallery.write_bytes(b"PK\x03\x04 and nothing after it")
    assert main(["--model", str(exported.folder), "--gallery", str(gallery), "--query", str(tmp_path / "one.png")]) == 2
    assert "gallery.npz is no saved gallery that can be read" in capsys.readouterr().err
    for name, content in (
        ("preprocessing.json", b'{"height": 32}'),
        ("preprocessing.json", b"{"),
        ("model.onnx", b"\x08\xff half"),
    ):
        damaged = tmp_path / "damaged"
        shutil.copytree(exported.folder, damaged)
        (damaged / name).write_bytes(content)
        assert main(["--model", str(damaged), "--gallery", str(tmp_path), "--query", str(tmp_path / "one.png")]) == 2
        assert "holds an export that is damaged" in capsys.readouterr().err
        shutil.rmtree(damaged)
