"""`unplateau export`: a run's best model as ONNX and safetensors, with preprocessing, model card and a check."""

from pathlib import Path
from typing import Annotated

import typer


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
    parity = exported.parity
    typer.echo(f"The same: embeddings of {parity.num_images} images differ by at most {parity.largest_difference:.1e}.")
    typer.echo(f"Read this: {exported.folder / 'MODEL_CARD.md'}")
    typer.echo(f"Try it:    python {exported.folder / 'search_gallery.py'} --gallery FOLDER --query PICTURE")


def _check_packages() -> None:
    from importlib.util import find_spec

    from unplateau.base.errors import UsageError

    missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise UsageError(f"export needs {', '.join(missing)}. Install once: python -m pip install {' '.join(missing)}")
