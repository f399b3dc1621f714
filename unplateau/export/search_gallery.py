"""Looks for the person of one picture in a folder of pictures, with an exported re-ID model.

This file stands alone and lies in every export: it needs Python, NumPy, Pillow and onnxruntime, and nothing else.

    python search_gallery.py --gallery folder/of/pictures --query person.jpg
    python search_gallery.py --gallery folder/of/pictures --save gallery.npz       # embed the folder once
    python search_gallery.py --gallery gallery.npz --query person.jpg --top 5

What is found looks alike; it is no proof that it is the same person. Read MODEL_CARD.md first.

B batch, N images, D embedding dim, C/H/W image.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
UNKNOWN_CAMERA = -1
_SIXTEEN_BIT_STEP = 257  # 65535 / 255
_BATCH = 32


class GalleryError(Exception):
    """What cannot be done, for the user's eyes."""


class ExportedModel:
    """An exported model, ready to embed pictures.

    Attributes:
        preprocessing: the content of preprocessing.json.
        size_HW: height and width that pictures are resized to.
    """

    def __init__(self, folder: Path) -> None:
        """Open the export in `folder`.

        Raises:
            GalleryError: the folder holds no export, or a damaged one.
        """
        try:
            self.preprocessing = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
            model = (folder / "model.onnx").read_bytes()
            self._take(self.preprocessing)
            self._session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        except OSError as error:
            raise GalleryError(f"{folder} holds no export ({error}). Name its folder: --model path/to/export") from error
        except Exception as error:  # of damaged files onnxruntime raises what it likes
            raise GalleryError(f"{folder} holds an export that is damaged ({error}). Export the run again.") from error

    def _take(self, preprocessing: dict[str, Any]) -> None:
        self.size_HW = (int(preprocessing["height"]), int(preprocessing["width"]))
        self._mean_C11 = np.array(preprocessing["mean"], np.float32)[:, None, None]
        self._inverse_std_C11 = (1 / np.array(preprocessing["std"], np.float32))[:, None, None]

    def embed_files(self, paths: Sequence[Path], *, batch_size: int = _BATCH) -> np.ndarray:
        """Return the embeddings of picture files, features_ND, float32.

        Raises:
            GalleryError: a file is no picture.
        """
        pieces = [paths[start : start + batch_size] for start in range(0, len(paths), batch_size)]
        return np.concatenate([self.embed(np.stack([read_picture(path, self.size_HW) for path in piece])) for piece in pieces])

    def embed(self, pixels_BHW3: np.ndarray, camera_ids_B: np.ndarray | None = None) -> np.ndarray:
        """Return the embeddings of pictures.

        Args:
            pixels_BHW3: uint8, R G B, of the model's size.
            camera_ids_B: int64, for models that know their cameras; None = unknown.
        """
        images_BCHW = pixels_BHW3.transpose(0, 3, 1, 2).astype(np.float32)
        fed: dict[str, np.ndarray] = {"images": (images_BCHW - self._mean_C11) * self._inverse_std_C11}
        if self.preprocessing["takes_camera_ids"]:
            unknown_B = np.full(len(pixels_BHW3), UNKNOWN_CAMERA, np.int64)
            fed["camera_ids"] = unknown_B if camera_ids_B is None else camera_ids_B
        embeddings_BD: np.ndarray = self._session.run(["embeddings"], fed)[0]
        return embeddings_BD

    def similarity(self, query_QD: np.ndarray, gallery_ND: np.ndarray) -> np.ndarray:
        """Return how alike they are, larger is more alike: the cosine (-1 to 1), or minus the Euclidean distance."""
        if self.preprocessing["metric"] == "cosine":
            return _unit(query_QD) @ _unit(gallery_ND).T
        distances_QN: np.ndarray = np.linalg.norm(query_QD[:, None] - gallery_ND[None], axis=2)
        return -distances_QN


def _unit(rows_ND: np.ndarray) -> np.ndarray:
    lengths_N1: np.ndarray = np.linalg.norm(rows_ND, axis=1, keepdims=True)
    return rows_ND / lengths_N1


def read_picture(path: Path, size_HW: tuple[int, int]) -> np.ndarray:
    """Return a picture as the training saw it: pixels_HW3, uint8, resized bicubically where it has another size.

    Raises:
        GalleryError: the file is not there, or no picture.
    """
    try:
        with Image.open(path) as image:
            rgb = _to_rgb(image)
    except Exception as error:  # noqa: BLE001 - a decoder fed with damaged bytes raises whatever it likes
        raise GalleryError(f"{path} cannot be read as a picture ({error}).") from error
    if rgb.size != (size_HW[1], size_HW[0]):
        rgb = rgb.resize((size_HW[1], size_HW[0]), Image.Resampling.BICUBIC)
    return np.asarray(rgb)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _from_wide_grey(image)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")


def _from_wide_grey(image: Image.Image) -> Image.Image:
    """Scale grey of 16 bits, or of floats in 0..1, to 8 bits."""
    values_HW = np.nan_to_num(np.asarray(image, dtype=np.float64))
    if image.mode == "F" and values_HW.max() <= 1:
        values_HW = values_HW * 255
    elif image.mode.startswith("I;16") or values_HW.max() > 255:
        values_HW = values_HW / _SIXTEEN_BIT_STEP
    return Image.fromarray(values_HW.round().clip(0, 255).astype(np.uint8)).convert("RGB")


def read_gallery(model: ExportedModel, place: Path) -> tuple[list[str], np.ndarray]:
    """Return the names and embeddings of a gallery: a folder of pictures, or a file that `--save` wrote.

    Raises:
        GalleryError: it is neither.
    """
    if place.suffix == ".npz" and place.is_file():
        try:
            with place.open("rb") as stream, np.load(stream, allow_pickle=False) as saved:
                return saved["names"].tolist(), saved["features"]
        except Exception as error:  # of damaged bytes zipfile and NumPy raise a dozen kinds
            raise GalleryError(f"{place} is no saved gallery that can be read ({error}). Write it again with --save.") from error
    if not place.is_dir():
        raise GalleryError(f"{place} is neither a folder of pictures nor a saved gallery (.npz).")
    paths = sorted(path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise GalleryError(f"{place} holds no picture ({', '.join(SUFFIXES)}).")
    return [path.as_posix() for path in paths], model.embed_files(paths)


def main(words: Sequence[str] | None = None) -> int:
    """Carry out a command line and return its exit code."""
    parser = argparse.ArgumentParser(description="Look for the person of one picture in a folder of pictures.")
    parser.add_argument("--gallery", type=Path, required=True, help="folder of pictures, or a file that --save wrote")
    parser.add_argument("--query", type=Path, help="one picture")
    parser.add_argument("--top", type=int, default=10, help="how many to show")
    parser.add_argument("--save", type=Path, help="write the gallery's embeddings to this file (.npz)")
    parser.add_argument("--model", type=Path, default=Path(__file__).parent, help="folder of the export; default: this file's")
    chosen = parser.parse_args(words)
    try:
        _search(chosen)
    except GalleryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _search(chosen: argparse.Namespace) -> None:
    if chosen.query is None and chosen.save is None:
        raise GalleryError("there is nothing to do. Add --query person.jpg to search, or --save gallery.npz to keep the gallery.")
    model = ExportedModel(chosen.model)
    names, gallery_ND = read_gallery(model, chosen.gallery)
    if chosen.save is not None:
        np.savez(chosen.save, names=np.array(names), features=gallery_ND)
        print(f"{len(names)} pictures embedded; written: {chosen.save}")
    if chosen.query is None:
        return
    alike_N = model.similarity(model.embed_files([chosen.query]), gallery_ND)[0]
    for place, row in enumerate(np.argsort(-alike_N, kind="stable")[: chosen.top], start=1):
        print(f"{place:4d}  {alike_N[row]:8.4f}  {names[row]}")


if __name__ == "__main__":
    raise SystemExit(main())
