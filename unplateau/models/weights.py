"""Loads weights into a network and says what fitted. Reading files: `weight_files`; other trainers' names: `weight_names`."""

from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn

from unplateau.base.errors import WeightsError
from unplateau.models.weight_advice import probable_cause
from unplateau.models.weight_files import read_weights
from unplateau.models.weight_fitting import fit
from unplateau.models.weight_names import COUNTER, Tensors, backbone_namings

_SHOWN = 4  # names of each kind in a text
_HARMLESS = ("pixel_mean", "pixel_std", "relative_position_index", "attn_mask")  # constants that files carry along


@dataclass(frozen=True)
class WeightReport:
    """What a weight file did to a network. Names are the network's, save for `unexpected`."""

    path: str
    mapping: str
    """How names were matched: "by name", "by order ...", or whose naming it was."""
    coverage: float
    """Share of the backbone's parameters (scalars) that were loaded, 0 to 1."""
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    """In the network, not in the file: these stay random."""
    mismatched: tuple[str, ...]
    """In both, of another shape; each with both shapes."""
    unexpected: tuple[str, ...]
    """In the file only."""
    notes: tuple[str, ...] = field(default=())
    """What a reader should know: probable causes, parts that were left out."""
    normalisation: str = ""
    """Where the weights were trained with another normalisation than the images get: a sentence; else empty."""

    def text(self) -> str:
        """Return the report in a few lines."""
        lines = [
            f"Weights {self.path}: {len(self.loaded)} tensors loaded {self.mapping}, "
            f"{100 * self.coverage:.1f} % of the backbone's parameters."
        ]
        kinds = (("missing", self.missing), ("of another shape", self.mismatched), ("left in the file", self.unexpected))
        lines += [f"  {len(names)} {kind}: {_some(names)}" for kind, names in kinds if names]
        return "\n".join([*lines, *(f"  {note}" for note in (*self.notes, self.normalisation) if note)])


def load_weights(network: nn.Module, path: Path, *, min_coverage: float = 0.0) -> WeightReport:
    """Load a file into a backbone, whatever naming fits best.

    Args:
        network: a backbone; changed in place, and not at all on an error.
        path: weight file.
        min_coverage: smallest share of the parameters that must load, 0 to 1.

    Raises:
        DataNotFoundError: no such file.
        WeightsError: not plain tensors, or less than `min_coverage` fits.
    """
    matched = best_match(network, read_weights(path))
    report = report_of(network, matched, path)
    check_coverage(report, min_coverage)
    apply(network, matched.tensors)
    return report


@dataclass(frozen=True)
class Match:
    """Which tensors of a file go where in a network."""

    mapping: str
    tensors: Tensors
    missing: tuple[str, ...]
    mismatched: tuple[str, ...]
    unexpected: tuple[str, ...]


def best_match(network: nn.Module, source: Tensors) -> Match:
    """Return the naming under which most parameters load; the most literal of equals."""
    target = network.state_dict()
    matches = [match(network, tensors, mapping=how) for how, tensors in backbone_namings(source, target)]
    return max(matches, key=lambda found: coverage_of(network, found.tensors))


def match(network: nn.Module, source: Tensors, *, mapping: str) -> Match:
    """Fit tensors to a network by name; shapes that have a known translation are translated."""
    target = network.state_dict()
    fitted = {name: fit(network, name, source[name], target[name]) for name in target if name in source}
    tensors = {name: tensor for name, tensor in fitted.items() if tensor is not None}
    return Match(
        mapping, tensors,
        missing=tuple(name for name in target if name not in source and not name.endswith(COUNTER)),
        mismatched=tuple(_shapes(name, source[name], target[name]) for name, tensor in fitted.items() if tensor is None),
        unexpected=tuple(name for name in source if name not in target and not name.endswith((COUNTER, *_HARMLESS))),
    )  # fmt: skip


def report_of(network: nn.Module, matched: Match, path: Path) -> WeightReport:
    """Return the report on a match with a backbone, probable causes of what does not fit included."""
    notes = probable_cause(
        any_loaded=bool(matched.tensors),
        missing=matched.missing, mismatched=matched.mismatched, unexpected=matched.unexpected,
    )  # fmt: skip
    return WeightReport(
        str(path), matched.mapping, coverage_of(network, matched.tensors), tuple(matched.tensors),
        matched.missing, matched.mismatched, matched.unexpected, notes,
    )  # fmt: skip


def coverage_of(network: nn.Module, tensors: Tensors) -> float:
    """Return the share of a network's parameters, counted in scalars, that `tensors` holds."""
    sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
    return sum(size for name, size in sizes.items() if name in tensors) / max(1, sum(sizes.values()))


def apply(network: nn.Module, tensors: Tensors) -> None:
    """Copy fitted tensors into the network, in its own precision and on its device."""
    network.load_state_dict(tensors, strict=False)


def check_coverage(report: WeightReport, min_coverage: float) -> None:
    """Raise WeightsError where nothing or less than `min_coverage` of the backbone fits, with names and the probable cause."""
    if report.loaded and report.coverage >= min_coverage:
        return
    raise WeightsError(
        f"{report.text()}\nExpected at least {100 * min_coverage:.0f} % (MODEL.BACKBONE.PRETRAIN_MIN_COVERAGE), so nothing was "
        "loaded. Give weights of this very network, or lower that key if a partly random network is meant."
    )


def _shapes(name: str, found: Tensor, wanted: Tensor) -> str:
    return f"{name} ({_shape(found)} in the file, {_shape(wanted)} in the network)"


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _some(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown}, ..."
