"""`unplateau export`: the best model of a run as files for others, once a check has shown that they do what the model does."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from unplateau.base.errors import DataNotFoundError, UsageError, WeightsError
from unplateau.base.files import sha256_of, write_text
from unplateau.base.folders import recover, replacing_folder
from unplateau.config.delta import flatten, from_plain, to_yaml
from unplateau.config.load import load
from unplateau.config.schema import Config
from unplateau.export import search_gallery
from unplateau.export.files import ExportError, write_model_files
from unplateau.export.model_card import CardFacts, ExportedFile, model_card
from unplateau.export.parity import Parity
from unplateau.export.terms import shown_name
from unplateau.models.build import build_model
from unplateau.models.reid import ReidModel
from unplateau.runs.layout import RunFolder
from unplateau.runs.reader import RunRecord, read_run
from unplateau.workflows.exporting.export_parity import parity_on_images, parity_on_noise
from unplateau.workflows.exporting.export_scores import scores_of

PARITY_IMAGES = 200
_MACHINES_OWN = (  # keys that name places of the machine that trained
    "DATASETS.ROOT", "DATALOADER.CACHE_DIR", "OUTPUT_DIR", "MODEL.WEIGHTS", "MODEL.BACKBONE.PRETRAIN_PATH", "MODEL.DEVICE",
)  # fmt: skip
_CARD = "MODEL_CARD.md"
_PURPOSES = {
    "model.onnx": "the network, for onnxruntime; any batch size",
    "model.safetensors": "its weights without the classifier, for unplateau and torch",
    "preprocessing.json": "what to do to a picture before",
    "config.yml": "how it was trained",
    "search_gallery.py": "finds a person in a folder of pictures; needs no torch",
}


@dataclass(frozen=True)
class ExportRequest:
    """What to export, and how to check it."""

    run: Path
    output_dir: Path | None = None
    """None = `export` in the run's folder."""
    overrides: tuple[str, ...] = ()
    """KEY VALUE pairs, such as DATASETS.ROOT where the data lies elsewhere now."""
    parity_images: int = PARITY_IMAGES
    uses_images: bool = True
    """False: the run's images are not at hand; check on noise, and say so on the card."""


@dataclass(frozen=True)
class Exported:
    """What an export left."""

    folder: Path
    parity: Parity


def run_export(request: ExportRequest, *, say: Callable[[str], None] = print) -> Exported:
    """Export a run's best model. Whatever fails, an earlier export stays as it was; the place of a new one stays empty.

    Raises:
        RecordError, UsageError: there is no run, no model, or the folder is taken.
        ExportError: the network cannot be written, or the written one differs from it.
        DataNotFoundError: the run's images are not there.
    """
    run = read_run(request.run)
    if not run.folder.best_model.is_file():
        raise UsageError(f"{run.folder.best_model} is not there: no epoch was finished. Train first, then export.")
    config = _config_of(run.folder, request.overrides)
    model = _model_of(config)
    folder = request.output_dir or run.folder.export
    recover(folder)
    _check_only_an_export(folder)
    with replacing_folder(folder) as part:
        say(f"Writing {run.folder.name} ({config.MODEL.BACKBONE.NAME}) as ONNX and safetensors ...")
        write_model_files(part, model, config)
        exported = search_gallery.ExportedModel(part)
        say("Comparing the exported model with the trained one ...")
        if request.uses_images:
            parity = _on_images(model, exported, config, request.parity_images)
        else:
            parity = parity_on_noise(model, exported, config)
        if parity.problems:
            raise ExportError(f"The exported model is not the trained one: {'; '.join(parity.problems)}. Nothing was kept.")
        write_text(part / _CARD, model_card(_card_facts(part, run, config, model, parity)))
    return Exported(folder, parity)


def _config_of(folder: RunFolder, overrides: tuple[str, ...]) -> Config:
    """The run's configuration, on the processor, with its best model as the weights to load."""
    place = ("MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", str(folder.best_model), "MODEL.BACKBONE.PRETRAIN", "False")
    memory = ("DATALOADER.CACHE", "off", "DATALOADER.NUM_WORKERS", "0", "SOLVER.AMP.ENABLED", "False")
    return load(folder.config, (*overrides, *place, *memory)).config


def _model_of(config: Config) -> ReidModel:
    """Build and load as `--eval-only` does; every weight must come from the file.

    Raises:
        WeightsError: some does not.
    """
    built = build_model(config, num_identities=0, num_cameras=1)
    missing = built.report.missing if built.report else ()
    if missing:
        raise WeightsError(f"{config.MODEL.WEIGHTS} lacks {len(missing)} tensors of the model, first {missing[0]}.")
    return built.model.eval().requires_grad_(False)


def _on_images(model: ReidModel, exported: search_gallery.ExportedModel, config: Config, num_images: int) -> Parity:
    try:
        return parity_on_images(model, exported, config, num_images=num_images)
    except DataNotFoundError as error:
        raise DataNotFoundError(
            f"{error}\n  The check compares rankings of the run's own evaluation images. Without them: --no-images, which "
            "compares embeddings of noise only and says so on the card."
        ) from error


def _card_facts(part: Path, run: RunRecord, config: Config, model: ReidModel, parity: Parity) -> CardFacts:
    stored = load(run.folder.config).config
    write_text(part / "config.yml", to_yaml(_without_places(stored)))
    content = torch.load(run.folder.best_model, map_location="cpu", weights_only=True)
    provenance = run.info.get("provenance", {})
    files = tuple(
        ExportedFile(name, purpose, (part / name).stat().st_size, sha256_of(part / name)) for name, purpose in _PURPOSES.items()
    )
    return CardFacts(
        run_name=run.folder.name, config=stored, files=files, scores=scores_of(run), parity=parity,
        num_parameters=sum(parameter.numel() for parameter in model.parameters()), embedding_dim=model.embedding_dim,
        epoch=int(content["epoch"]), ending=_ending(run), data=run.info.get("data", {}),
        versions=dict(provenance.get("versions", {})), precision=str(run.info.get("step", {}).get("precision", "unknown")),
    )  # fmt: skip


def _without_places(config: Config) -> Config:
    plain = {key: value for key, value in flatten(config).items() if key not in _MACHINES_OWN}
    for key in ("DATASETS.NAMES", "DATASETS.TESTS"):
        plain[key] = tuple(shown_name(name) for name in plain[key])
    return from_plain(plain)


def _ending(run: RunRecord) -> str:
    if run.stop is None:
        return f"The training has not ended; {len(run.epochs)} epochs were finished when this was written."
    return f"Its training ended after {run.stop.epochs_trained} of {run.stop.max_epochs} epochs: {run.stop.headline}."


def _check_only_an_export(folder: Path) -> None:
    """What lies in the folder is replaced, so nothing may lie there that an export does not write."""
    if not folder.exists():
        return
    if not folder.is_dir() or (any(folder.iterdir()) and not (folder / "preprocessing.json").exists()):
        raise UsageError(f"{folder} holds something else than an export. Name another folder: --output-dir PATH")
    others = sorted(entry.name for entry in folder.iterdir() if entry.name not in (*_PURPOSES, _CARD, "__pycache__"))
    if others:
        raise UsageError(
            f"{folder} holds an export and something else: {', '.join(others[:3])}. Move that away, or name another folder: "
            "--output-dir PATH"
        )
