"""Chooses how a run embeds images for its scores, by timing a few passes: number format, layout, batch norms folded or not.

A way is used only where its embeddings are those of the plainest way, and where it is faster by enough; nothing is measured where
that would take over 2 % of the images that the run embeds. Which formats and layouts are open is `precision`'s business: what
SOLVER says of them is obeyed. B batch, C/H/W image, D embedding dim.
"""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from unplateau.config.schema import Config
from unplateau.data.image_source import DecodedImages
from unplateau.data.items import Item, spread
from unplateau.data.loader import Batch, EvaluationLoader
from unplateau.engine.embedding import IMAGES_COMPARED, embed, embedding_network, folded_network, layout_of
from unplateau.engine.kernels import without_search
from unplateau.engine.precision import layouts, number_formats, precision_of
from unplateau.engine.ranks import Ranks
from unplateau.engine.step_choice import machine, wait
from unplateau.probes.leave_no_trace import untouched
from unplateau.runs.embed_choice import EmbedChoice, EmbedTiming, EmbedWay
from unplateau.runs.step_choice import StepWay

_SHARE_OF_RUN = 0.02
_ROUNDS = 3  # the first one checks
_MOST_IMAGES_ON_CPU = 16  # a pass of ResNet-50 then takes a second; larger ones are faster by a few per cent in every way
_DIFFERENT_IMAGES = 16
_HOPELESS = 1.3  # times the fastest so far, after the first timed round
_HEAD_STARTS = {"plain": 1.0, "fp32": 1.02, "half": 1.1}  # what another way, and fewer bits, must at least gain
_SHORTEST = 1e-150  # of a network with random weights all of an embedding may be tiny
_LEAST_AGREEMENTS = {"same format": 0.999, "fewer bits": 0.97}  # bf16 was seen at 0.99 and more on images of persons


@dataclass(frozen=True)
class ToEmbed:
    """A model before it is known how it embeds images."""

    config: Config
    device: torch.device
    ranks: Ranks
    model: nn.Module
    step: StepWay
    """How its steps are computed: what is done where nothing is measured."""
    num_images: int
    """How many will be embedded in all; both images of a mirrored pair count."""
    batch: Callable[[], Batch]
    """Some images in the size of the evaluation."""


def embedding_by_rule(task: ToEmbed) -> EmbedChoice:
    """Return the way in which steps are computed."""
    return EmbedChoice(EmbedWay.of_step(task.step), "set" if len(embed_ways(task)) == 1 else "rule")


def embed_ways(task: ToEmbed) -> tuple[EmbedWay, ...]:
    """Return the ways that are worth timing: the plainest, then the likely layout in every open number format, folded and not."""
    formats, open_layouts = number_formats(task.config, task.device), layouts(task.config, task.device, task.model)
    folding = (False, True) if any(isinstance(part, nn.BatchNorm2d) for part in task.model.modules()) else (False,)
    plainest = EmbedWay(formats[0], open_layouts[0])
    others = [EmbedWay(one, open_layouts[-1], is_folded) for one in formats for is_folded in folding]
    return tuple(dict.fromkeys((plainest, *others)))


def is_open(way: EmbedWay, config: Config, device: torch.device, model: nn.Module) -> bool:
    """Return whether configuration and machine allow this way."""
    return way.number_format in number_formats(config, device) and way.channels_last in layouts(config, device, model)


def choose_embedding(task: ToEmbed) -> EmbedChoice:
    """Return the fastest right way to embed this run's images. To be called on every rank; leaves no trace."""
    ways = embed_ways(task)
    may_measure = task.config.TEST.MEASURE_EMBEDDING and not task.config.DETERMINISTIC
    if len(ways) == 1 or not may_measure or _is_short(task, len(ways)):
        return embedding_by_rule(task)
    started = time.perf_counter()
    with untouched([]), without_search():
        batch = _of_measure(task.batch(), task)
        timings = measure_ways(task, ways, batch)
    spent = time.perf_counter() - started
    choice = EmbedChoice(winner(timings), "measured", timings, len(batch.images_BCHW), machine(task.device), spent)
    if all(timing.problem for timing in timings):
        choice = embedding_by_rule(task)
    return cast(EmbedChoice, task.ranks.from_main(choice))


def measure_ways(task: ToEmbed, ways: tuple[EmbedWay, ...], batch: Batch) -> tuple[EmbedTiming, ...]:
    """Check every way on one batch, then time them in turn, so that all meet the same machine. Works on copies.

    Args:
        task: its model is left as it is, in its mode too.
        ways: the plainest first.
        batch: images on the device.
    """
    model = copy.deepcopy(task.model).eval()
    runners = [_Runner(model, way, batch, task.device) for way in ways]
    wanted_BD: Tensor | None = None
    for runner in runners:
        given_BD = runner.check(wanted_BD)
        wanted_BD = given_BD if wanted_BD is None else wanted_BD
    racing = [runner for runner in runners if not runner.timing.problem]
    for _ in range(_ROUNDS - 1):
        for runner in racing:
            runner.time_pass()
        fastest = min((runner.timing.seconds for runner in racing), default=0.0)
        racing = [one for one in racing if one is racing[0] or one.timing.seconds < _HOPELESS * fastest]
    return tuple(runner.timing for runner in runners)


def winner(timings: tuple[EmbedTiming, ...]) -> EmbedWay:
    """Return the fastest of the usable ways, each with its handicap."""
    plainest = timings[0].way

    def handicap(way: EmbedWay) -> float:
        if way == plainest:
            return _HEAD_STARTS["plain"]
        return _HEAD_STARTS["fp32" if way.number_format == plainest.number_format else "half"]

    return min(timings, key=lambda one: (bool(one.problem), one.seconds * handicap(one.way))).way


def images_as_evaluated(items: Sequence[Item], config: Config, device: torch.device) -> Batch:
    """Return some of the images as a score sees them, read from their files: no cache is made for so few."""
    images = DecodedImages(config.INPUT.SIZE_TEST)
    return next(iter(EvaluationLoader(spread(items, _DIFFERENT_IMAGES), config, device=device, images=images)))


class _Runner:
    """One way, embedding the same images again and again."""

    def __init__(self, model: nn.Module, way: EmbedWay, batch: Batch, device: torch.device) -> None:
        self._model, self._batch, self._device = model, batch, device
        self._network = model
        self._images_BCHW = batch.images_BCHW.contiguous(memory_format=layout_of(way))
        self.timing = EmbedTiming(way, math.inf)

    def check(self, wanted_BD: Tensor | None) -> Tensor | None:
        """Compare with the embeddings of the plainest way that can be used, or become the reference; return right embeddings."""
        way = self.timing.way
        try:
            self._network = self._made(way)
            given_BD = self._pass()
        except (RuntimeError, IndexError, NotImplementedError) as error:  # out of memory, or no kernel for this format or layout
            self.timing = replace(self.timing, problem=f"it failed: {str(error).splitlines()[0][:120]}")
            return None
        agreement = _agreement(given_BD, wanted_BD) if wanted_BD is not None else 1.0
        self.timing = replace(self.timing, agreement=agreement)
        least = _LEAST_AGREEMENTS["same format" if way.number_format == "fp32" else "fewer bits"]
        if not torch.isfinite(given_BD).all():
            self.timing = replace(self.timing, agreement=0.0, problem="its embeddings are not finite")
        elif agreement < least:
            self.timing = replace(self.timing, problem=f"its embeddings point elsewhere (cosine {agreement:.3f})")
        return None if self.timing.problem else given_BD

    def _made(self, way: EmbedWay) -> nn.Module:
        few = _first(self._batch, IMAGES_COMPARED)
        network = folded_network(self._model, way, few) if way.is_folded else embedding_network(self._model, way, lambda: few)
        if network is None:
            raise RuntimeError("no batch norm can be folded")
        return network

    def time_pass(self) -> None:
        """Embed the images and keep the time where it is the shortest so far."""
        wait(self._device)
        started = time.perf_counter()
        self._pass()
        wait(self._device)
        self.timing = replace(self.timing, seconds=min(self.timing.seconds, time.perf_counter() - started))

    @torch.inference_mode()
    def _pass(self) -> Tensor:
        with precision_of(self.timing.way.number_format, self._device).autocast():
            return embed(self._network, self._images_BCHW, self._batch.camera_ids_B).float()


def _is_short(task: ToEmbed, num_ways: int) -> bool:
    return num_ways * _ROUNDS * _images_in_measure(task) > _SHARE_OF_RUN * task.num_images


def _images_in_measure(task: ToEmbed) -> int:
    most = task.config.TEST.IMS_PER_BATCH
    return min(most, _MOST_IMAGES_ON_CPU) if task.device.type == "cpu" else most


def _first(batch: Batch, most: int) -> Batch:
    return Batch(batch.images_BCHW[:most], batch.person_ids_B[:most], batch.camera_ids_B[:most])


def _of_measure(batch: Batch, task: ToEmbed) -> Batch:
    """Return as many images as a pass of the measurement has; where there are fewer, they are repeated."""
    rows = torch.arange(_images_in_measure(task), device=batch.images_BCHW.device) % len(batch.images_BCHW)
    return Batch(batch.images_BCHW[rows], batch.person_ids_B[rows], batch.camera_ids_B[rows])


def _agreement(given_BD: Tensor, wanted_BD: Tensor) -> float:
    """Return the least cosine of an embedding with what it should be. What all images share, which would hide it, is left out."""
    if given_BD.shape != wanted_BD.shape:
        return 0.0
    given_BD, wanted_BD = given_BD.cpu().double(), wanted_BD.cpu().double()  # synchronises the GPU
    middle_D = wanted_BD.mean(0)
    one_BD, other_BD = (F.normalize(values_BD - middle_D, eps=_SHORTEST) for values_BD in (given_BD, wanted_BD))
    return float((one_BD * other_BD).sum(1).min())
