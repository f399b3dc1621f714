"""Writes what others need of a model: ONNX, safetensors, preprocessing, a search. About it: `model_card`. C/H/W image."""

import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from unplateau.base.errors import UnplateauError
from unplateau.base.files import write_json, write_text
from unplateau.config.schema import Config
from unplateau.export import search_gallery
from unplateau.export.network import EmbeddingNetwork
from unplateau.export.preprocessing import preprocessing
from unplateau.models.reid import ReidModel

OPSET = 18  # what torch's exporter writes natively; onnxruntime 1.14 (2023) and later read it
_CLASSIFIER = "head.classifier."
_EXAMPLE_BATCH = 2  # torch.export takes a batch of one for a constant


class ExportError(UnplateauError):
    """A model that cannot be exported, or whose export does not do what the model does."""


def write_model_files(folder: Path, model: ReidModel, config: Config) -> None:
    """Write model.onnx, model.safetensors, preprocessing.json and search_gallery.py.

    Args:
        folder: is there already.
        model: in evaluation mode, on the CPU.
        config: it was built from.

    Raises:
        ExportError: torch cannot write this network as ONNX.
    """
    network = EmbeddingNetwork(model, flip=config.TEST.FLIP.ENABLED).eval()
    takes_cameras = config.MODEL.BACKBONE.SIE_CAMERA
    write_onnx(folder / "model.onnx", network, size_HW=config.INPUT.SIZE_TEST, takes_cameras=takes_cameras)
    write_safetensors(folder / "model.safetensors", model)
    write_json(folder / "preprocessing.json", preprocessing(config, embedding_dim=model.embedding_dim))
    write_text(folder / "search_gallery.py", Path(search_gallery.__file__).read_text(encoding="utf-8"))


def write_onnx(path: Path, network: EmbeddingNetwork, *, size_HW: tuple[int, int], takes_cameras: bool) -> None:
    """Write the network as one ONNX file that takes any batch size.

    Args:
        path: the file.
        network: in evaluation mode, on the CPU.
        size_HW: height and width of its images.
        takes_cameras: it has a second input, camera_ids.

    Raises:
        ExportError: torch cannot write this network as ONNX.
    """
    images_BCHW = torch.zeros(_EXAMPLE_BATCH, 3, *size_HW)
    example = (images_BCHW, torch.zeros(_EXAMPLE_BATCH, dtype=torch.int64)) if takes_cameras else (images_BCHW,)
    names = ["images", "camera_ids"][: len(example)]
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    try:
        model = _converted(network, example, names, tuple({0: batch} for _ in example))
    except Exception as error:  # whatever torch's exporter raises, it is about this network
        raise ExportError(f"This network cannot be written as ONNX: {_first_line(error)}") from error
    _forget_where_it_was_made(model)
    path.write_bytes(model.SerializeToString())


def _converted(network: nn.Module, example: tuple[Any, ...], names: list[str], shapes: tuple[Any, ...]) -> Any:
    with torch.no_grad(), warnings.catch_warnings():
        # Both inputs have the same batch size, which is meant; and torch's exporter uses deprecated parts of itself.
        warnings.filterwarnings("ignore", "# The axis name: batch will not be used", UserWarning)
        for category in (DeprecationWarning, FutureWarning):
            warnings.filterwarnings("ignore", category=category, module=r"(torch|onnxscript|onnx_ir)\.")
        program = torch.onnx.export(
            network, example, input_names=names, output_names=["embeddings"], dynamic_shapes=shapes, opset_version=OPSET,
            dynamo=True, verbose=False,
        )  # fmt: skip
    assert program is not None  # it is None for the older exporter only
    return program.model_proto


def _forget_where_it_was_made(model: Any) -> None:
    """Take out what torch writes beside the graph: stack traces with the folders of this machine."""
    del model.metadata_props[:]
    model.doc_string = ""
    graph = model.graph
    del graph.metadata_props[:]
    graph.doc_string = ""
    for entry in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        entry.doc_string = ""
        del entry.metadata_props[:]
    for function in model.functions:
        del function.metadata_props[:]
        function.doc_string = ""
        for node in function.node:
            del node.metadata_props[:]
            node.doc_string = ""


def write_safetensors(path: Path, model: ReidModel) -> None:
    """Write the weights without the classifier, which nobody needs to embed: its rows are the training identities.

    Args:
        path: the file.
        model: any.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(_CLASSIFIER)}
    path.write_bytes(save(kept, metadata={"format": "pt", "made_by": "unplateau export"}))


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).strip().splitlines()), '')}"
