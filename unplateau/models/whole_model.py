"""Loads a whole re-ID model, ours or another trainer's, to score it or to start from it. Names: `weight_names`."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from unplateau.base.errors import WeightsError
from unplateau.models.reid import ReidModel
from unplateau.models.resnet import ResNetBackbone
from unplateau.models.weight_files import read_weights
from unplateau.models.weight_names import Tensors, whole_model_names
from unplateau.models.weights import Match, WeightReport, apply, best_match, match, report_of

_STEM_MARK = "backbone.maxpool.is_fastreid"
MIN_COVERAGE = 0.9  # a model that is more than a tenth random is not the model of the file


def load_whole_model(model: ReidModel, path: Path, *, min_coverage: float = MIN_COVERAGE) -> WeightReport:
    """Load backbone, neck and, where its identities are as many, classifier from a file of ours or of another trainer.

    Known are fast-reid, torchreid, reid-strong-baseline, TransReID and SOLIDER; what of theirs has no place here is noted.

    Args:
        model: built for the same backbone; changed in place, and not at all on an error.
        path: weight file; `best_model.pth` of ours, or theirs.
        min_coverage: smallest share of the backbone's parameters that must load, 0 to 1.

    Raises:
        DataNotFoundError: no such file.
        WeightsError: not plain tensors, not finite, or another network.
    """
    label, tensors = whole_model_names(read_weights(path))
    pools_as_fastreid = tensors.pop(_STEM_MARK, None) is not None or label == "fast-reid"
    backbone = best_match(model.backbone, _part(tensors, "backbone."))
    report = report_of(model.backbone, backbone, path)
    if report.coverage < min_coverage:
        raise WeightsError(_unfitting(report, min_coverage))
    _check_finite(backbone.tensors, path)
    notes = _adopt_structure(model, tensors, pools_as_fastreid=pools_as_fastreid)
    rest = _rest_of(model, tensors)
    apply(model.backbone, backbone.tensors)
    apply(model, rest.tensors)
    return _joined(report, rest, f"{backbone.mapping}, named as {label}", (*notes, *_notes(tensors, rest)))


def _check_finite(tensors: Tensors, path: Path) -> None:
    bad = [name for name, tensor in tensors.items() if tensor.is_floating_point() and not torch.isfinite(tensor).all()]
    if bad:
        raise WeightsError(f"{path}: {len(bad)} tensors hold NaN or infinite values, first {bad[0]}. That run had diverged.")


def _part(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _rest_of(model: ReidModel, tensors: Tensors) -> Match:
    found = match(
        model, {name: tensor for name, tensor in tensors.items() if not name.startswith("backbone.")}, mapping="by name"
    )
    return replace(found, missing=tuple(name for name in found.missing if not name.startswith("backbone.")))


def _joined(report: WeightReport, rest: Match, mapping: str, notes: tuple[str, ...]) -> WeightReport:
    def prefixed(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"backbone.{name}" for name in names)

    return replace(
        report, mapping=mapping, notes=notes, loaded=prefixed(report.loaded) + tuple(rest.tensors),
        missing=prefixed(report.missing) + rest.missing, mismatched=prefixed(report.mismatched) + rest.mismatched,
        unexpected=prefixed(report.unexpected) + rest.unexpected,
    )  # fmt: skip


def _unfitting(report: WeightReport, min_coverage: float) -> str:
    return (
        f"{report.text()}\nExpected at least {100 * min_coverage:.0f} %: the file is of another network "
        "than MODEL.BACKBONE describes. Set MODEL.BACKBONE (NAME, DEPTH, WITH_IBN) as the file was trained."
    )


def _adopt_structure(model: ReidModel, tensors: Tensors, *, pools_as_fastreid: bool) -> tuple[str, ...]:
    """Give the model what the file's network has and ours has not, so that it scores as it did there."""
    notes = []
    if pools_as_fastreid and isinstance(model.backbone, ResNetBackbone):
        model.backbone.maxpool.become_fastreid()
        notes.append("The stem pools as fast-reid's does.")
    table = tensors.get("camera_embedding.table")
    if table is not None and model.camera_embedding is not None and model.head.classifier is None:
        model.camera_embedding.make_room_for(len(table))  # a model that is scored has no cameras of its own
    weight = tensors.get("head.projection.0.weight")
    if weight is not None and isinstance(model.head.projection, nn.Identity) and model.head.classifier is None:
        model.head.adopt_projection(weight.shape[1], weight.shape[0])
        notes.append("torchreid's layer after the pooling is kept, and there is no BNNeck, as there.")
    return tuple(notes)


def _notes(tensors: Tensors, rest: Match) -> tuple[str, ...]:
    notes = []
    if any("semantic_embed" in name for name in tensors):
        notes.append(
            "SOLIDER's semantic embeddings are left out: its weight is not in the file, so scores can differ from SOLIDER's."
        )
    if any(name.startswith(("b2.", "bottleneck_1.")) for name in tensors):
        notes.append(
            "TransReID's JPM branches are left out: only the global feature is used, so scores can differ from TransReID's."
        )
    if any(name.startswith("head.neck.") for name in rest.missing):
        notes.append("The file has no BNNeck; the model's is fresh.")
    if any(name.startswith("head.classifier.") for name in rest.mismatched):
        notes.append("The file's classifier is of other identities; the model's is fresh.")
    return tuple(notes)
