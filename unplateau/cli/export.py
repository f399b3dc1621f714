"""`unplateau export`: a run's best model as ONNX and safetensors, with preprocessing, model card and a check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from unplateau.export.parity import Parity


def register(app: typer.Typer) -> None:
    """Add the verb to the command."""
    app.command("export")(export)


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN_FOLDER", help="Folder of a run, such as logs/market1501/first_run.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY VALUE]...", help="Overrides, such as DATASETS.ROOT /data/reid.")
    ] = None,
    output_dir: Annotated[
        Path | None, typer.Option("--output-dir", help="Where the files go; default RUN_FOLDER/export.")
    ] = None,
    parity_images: Annotated[
        int, typer.Option("--parity-images", min=0, help="About so many images are compared; 0 = all that the run validates on.")
    ] = 200,
    no_images: Annotated[
        bool, typer.Option("--no-images", help="The run's images are not at hand: compare on noise, and say so on the card.")
    ] = False,
) -> None:
    """Export a run's best model: model.onnx, model.safetensors, preprocessing.json, MODEL_CARD.md, search_gallery.py."""
    _check_packages()
    from unplateau.workflows.exporting.export import ExportRequest, run_export

    request = ExportRequest(run, output_dir, tuple(overrides or ()), parity_images=parity_images, uses_images=not no_images)
    exported = run_export(request)
    typer.echo(_same(exported.parity))
    typer.echo(f"Read this: {exported.folder / 'MODEL_CARD.md'}")
    typer.echo(f"Try it:    python {exported.folder / 'search_gallery.py'} --gallery FOLDER --query PICTURE")


def _same(parity: Parity) -> str:
    """One line on what was compared."""
    head = f"The same: embeddings of {parity.num_images} images differ by at most {parity.largest_move:.1e} of their length"
    if parity.before is None:
        return f"{head}. They were noise, so no rankings were compared."
    ranks = "mAP and rank-1 of this sample are equal" if parity.has_equal_scores else "rankings are equal but for near ties"
    return f"{head}; {ranks}."


def _check_packages() -> None:
    from importlib.util import find_spec

    from unplateau.base.errors import UsageError

    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise UsageError(f"export needs {', '.join(missing)}. Install once: python -m pip install {' '.join(missing)}")
