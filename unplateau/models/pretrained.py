"""Pretrained backbone weights: from a local file, or by the network from where their authors keep them. Never waits long.

Reading and fitting a file: `weights`.
"""

import hashlib
import re
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path

import huggingface_hub
import torch

from unplateau.base import reachable
from unplateau.base.errors import WeightsError
from unplateau.base.files import replacing
from unplateau.config.schema import Config
from unplateau.models.network import Network, PublicWeights
from unplateau.models.weights import WeightReport, load_weights

_STALL_SECONDS = 30.0  # a download that gives nothing for so long has failed
_COLOUR_TOLERANCE = 5.0  # of 255; 0.485 and 0.5 differ by 3.8 in red, but their standard deviations by 69


def load_pretrained(network: Network, config: Config) -> WeightReport:
    """Load `PRETRAIN_PATH`, or the network's public weights where it is empty, into the backbone.

    Raises:
        WeightsError: no weights can be had, or less than `PRETRAIN_MIN_COVERAGE` fits.
    """
    backbone = config.MODEL.BACKBONE
    path = Path(backbone.PRETRAIN_PATH).expanduser() if backbone.PRETRAIN_PATH else fetch(network.public, backbone.NAME)
    report = load_weights(network.module, path, min_coverage=backbone.PRETRAIN_MIN_COVERAGE)
    return replace(report, normalisation=_colour_note(network, config))


@dataclass(frozen=True)
class Availability:
    """Where public weights are."""

    path: Path | None
    """The local copy, if there is one."""
    address: str = ""
    """What was asked for them, if there is none."""
    answers: bool = False


def availability(public: PublicWeights) -> Availability:
    """Return whether public weights are on this machine, else whether the address that keeps them answers."""
    cached = _cached(public)
    if cached is not None:
        return Availability(cached)
    address = huggingface_hub.constants.ENDPOINT if public.hub_id else public.url
    return Availability(None, address, reachable.answers(address))


def fetch(public: PublicWeights | None, name: str) -> Path:
    """Return a local copy of public weights, downloading it to torch's or the hub's cache where it is not there yet.

    Raises:
        WeightsError: there are none for this network, or they are out of reach; the message lists the choices.
    """
    if public is None:
        raise WeightsError(f"MODEL.BACKBONE.PRETRAIN is True, but no public weights of {name} are known here.{_choices(None)}")
    where = availability(public)
    if where.path is not None:
        return where.path
    if not where.answers:
        raise WeightsError(
            f"Weights {public.name} are not on this machine, and {where.address} did not answer.{_choices(public)}"
        )
    try:
        return _from_hub(public) if public.hub_id else _download(public.url, _torch_cache(public.url))
    except (OSError, ValueError) as error:  # the hub's and urllib's errors are these
        raise WeightsError(f"Weights {public.name} could not be downloaded ({_first_line(error)}).{_choices(public)}") from error


def _choices(public: PublicWeights | None) -> str:
    source = ""
    if public is not None:
        source = (
            f" They are kept at {public.url or public.hub_id}."
            if not public.hub_id
            else f" They are kept on the hub as {public.hub_id}."
        )
    return (
        f"{source} Choose one: set MODEL.BACKBONE.PRETRAIN_PATH to a local weight file (.pth, .safetensors, ...), copied from "
        "a machine with a network; set MODEL.BACKBONE.PRETRAIN False to start from random weights, which costs much accuracy; "
        "or run once where there is a network, and it stays in the cache."
    )


def _cached(public: PublicWeights) -> Path | None:
    for filename in public.hub_files if public.hub_id else ():
        found = huggingface_hub.try_to_load_from_cache(public.hub_id, filename)
        if isinstance(found, str):
            return Path(found)
    if public.url and _torch_cache(public.url).is_file():
        return _torch_cache(public.url)
    return None


def _torch_cache(url: str) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def _from_hub(public: PublicWeights) -> Path:
    for filename in public.hub_files:
        try:
            return Path(huggingface_hub.hf_hub_download(public.hub_id, filename, etag_timeout=reachable.ANSWER_SECONDS))
        except huggingface_hub.errors.EntryNotFoundError:
            continue  # older repositories hold only the second file
    raise ValueError(f"{public.hub_id} holds none of {', '.join(public.hub_files)}")


def _download(url: str, path: Path) -> Path:
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=_STALL_SECONDS) as response, replacing(path) as temporary:
        with temporary.open("wb") as stream:
            while block := response.read(1 << 20):
                digest.update(block)
                stream.write(block)
        named = re.search(r"-([0-9a-f]{8,})\.", path.name)  # torch's file names carry the beginning of their SHA-256
        if named is not None and not digest.hexdigest().startswith(named[1]):
            raise ValueError(f"the file's SHA-256 does not begin with {named[1]}, as its name promises")
    return path


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def _colour_note(network: Network, config: Config) -> str:
    """Say where the weights were trained with another normalisation than the images get."""
    theirs, model = network.colours, config.MODEL
    if theirs is None:
        return ""
    pairs = zip((*theirs.mean, *theirs.std), (*model.PIXEL_MEAN, *model.PIXEL_STD), strict=True)
    if all(abs(channel - ours) <= _COLOUR_TOLERANCE for channel, ours in pairs):
        return ""
    return (
        f"Another normalisation: this network's public weights were trained with PIXEL_MEAN {theirs.mean} and "
        f"PIXEL_STD {theirs.std}, and MODEL has {model.PIXEL_MEAN} and {model.PIXEL_STD}."
    )
