"""The network's passes as two CUDA graphs: recorded once, then given to the GPU with one call each instead of a thousand.

A fast card is done with a kernel before Python has launched the next one. A graph is right only while everything stays where
it was: the same tensors, shapes, modes and trained weights. That is looked at in every step; where it has changed the passes
are recorded anew, and what cannot be recorded, or is not the same when it is replayed (`graph_check`), is computed as ever.
Losses and update are not part of it.

B batch, D embedding dim, I identities, C/H/W image.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unplateau.base.errors import first_sentence
from unplateau.config.schema import Config
from unplateau.engine.freezing import unseen_by_losses
from unplateau.engine.graph_check import Places, Witness
from unplateau.engine.precision import Precision
from unplateau.engine.ranks import Ranks
from unplateau.engine.step_state import BufferCopy, Randomness, give_back_memory
from unplateau.models.reid import Outputs, ReidModel

_WARM_UPS = 3  # as torch.cuda.make_graphed_callables: kernels are loaded and chosen before anything is recorded
_MOST_RECORDINGS = 4  # of one run: a thaw needs a second one
_ROOM = 3  # times the trained weights: Adam's two states, made in the first update, and what an update takes meanwhile
_log = logging.getLogger(__name__)


def graph_obstacle(config: Config, device: torch.device, ranks: Ranks, model: nn.Module) -> str:
    """Return why steps cannot be computed as a CUDA graph, in half a sentence; empty where they can."""
    if device.type != "cuda":
        return f"steps are computed on {device.type}"
    if ranks.world_size > 1:
        return "there are several processes"
    if config.SOLVER.COMPILE:
        return "SOLVER.COMPILE is True"
    if config.SOLVER.MEMORY_PLAN not in ("auto", "off"):
        return f"SOLVER.MEMORY_PLAN is {config.SOLVER.MEMORY_PLAN}"
    if unseen_by_losses(config):
        return "a part of the model is seen by no loss"  # in a graph it would get gradients of zero, and weight decay with them
    return "a hook hangs on the model" if any(_has_hooks(part) for part in model.modules()) else ""


class GraphedNetwork(nn.Module):
    """What a step calls in place of the model. Embeddings it returns carry no gradient.

    Args:
        model: trained; its tensors may change their values, and must not be replaced.
        precision: of the steps.
    """

    def __init__(self, model: ReidModel, precision: Precision) -> None:
        super().__init__()
        self.model, self._precision = model, precision
        self._passes: _Passes | None = None
        self._recordings = 0
        self._has_given_up = False

    def forward(self, images_BCHW: Tensor, *, person_ids_B: Tensor, camera_ids_B: Tensor) -> Outputs:
        """Run the network; arguments as of the model, all of them."""
        given = (images_BCHW, person_ids_B, camera_ids_B)
        if not self._may_replay(given):
            outputs: Outputs = self.model(images_BCHW, person_ids_B=person_ids_B, camera_ids_B=camera_ids_B)
            return outputs
        assert self._passes is not None
        features_BD, logits_BI = _Replay.apply(self._passes, *given, *self._passes.parameters)
        return Outputs(features_BD, self._passes.embeddings_BD.clone(), logits_BI)

    def record(self, images_BCHW: Tensor, person_ids_B: Tensor, camera_ids_B: Tensor) -> None:
        """Record the passes for batches of this shape; weights, buffers and random state stay as they are.

        Raises:
            RuntimeError: it cannot be done: out of memory, or the network waits for the GPU, replaces a buffer, or does something
                in Python that a graph would do once for all steps.
        """
        self.release()
        self._recordings += 1
        self._passes = _recorded(self.model, self._precision, (images_BCHW, person_ids_B, camera_ids_B))

    @property
    def holds_graphs(self) -> bool:
        """Whether there is a recording, and the memory it takes."""
        return self._passes is not None

    def release(self) -> None:
        """Forget the graphs and give their memory back."""
        if self._passes is not None:
            device = self._passes.inputs[0].device
            self._passes = None
            give_back_memory(device)

    def give_up(self, problem: str) -> None:
        """Compute as ever from now on, and say why."""
        _log.warning("Steps cannot be computed as a CUDA graph (%s). They are computed as ever.", problem)
        self._has_given_up = True
        self.release()

    def _may_replay(self, given: tuple[Tensor, ...]) -> bool:
        if self._has_given_up or not torch.is_grad_enabled() or not self.model.training:
            return False
        if self._passes is not None and not self._passes.takes(given):
            return False  # another number of images
        if self._passes is None or self._passes.places.now() != self._passes.state:
            self._record_or_give_up(given)
        return not self._has_given_up

    def _record_or_give_up(self, given: tuple[Tensor, ...]) -> None:
        try:
            if self._recordings >= _MOST_RECORDINGS:
                raise RuntimeError("the model changes again and again")
            self.record(*given)
        except RuntimeError as error:
            problem = first_sentence(error)
        else:
            return
        give_back_memory(given[0].device)  # of what was begun; here the error is gone, whose frames held it
        self.give_up(problem)


@dataclass(frozen=True)
class _Passes:
    """Two graphs, and the tensors they read and write."""

    forward_graph: Any
    backward_graph: Any
    inputs: tuple[Tensor, ...]
    parameters: tuple[nn.Parameter, ...]
    outputs: tuple[Tensor, ...]
    """Features and logits."""
    embeddings_BD: Tensor
    output_gradients: tuple[Tensor | None, ...]
    """None for features of a backbone that is frozen."""
    gradients: tuple[Tensor | None, ...]
    """Of the parameters. A parameter's own gradient is this very memory, until the next backward pass writes it."""
    places: Places
    state: tuple[Any, ...]
    """Of the places, as it was when the graphs were recorded."""

    def takes(self, given: tuple[Tensor, ...]) -> bool:
        """Return whether these are a batch of the shape that was recorded."""
        return all(one.shape == kept.shape and one.dtype == kept.dtype for one, kept in zip(given, self.inputs, strict=True))


class _Replay(torch.autograd.Function):
    """A replay as one operation of autograd."""

    @staticmethod
    def forward(ctx: Any, passes: _Passes, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.passes = passes
        for place, tensor in zip(passes.inputs, tensors[: len(passes.inputs)], strict=True):
            place.copy_(tensor, non_blocking=True)
        passes.forward_graph.replay()
        outputs = tuple(output.clone() for output in passes.outputs)  # a loss may keep them: the next replay writes the others
        untrained = (one for one, gradient in zip(outputs, passes.output_gradients, strict=True) if gradient is None)
        ctx.mark_non_differentiable(*untrained)
        return outputs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *output_gradients: Tensor) -> tuple[Tensor | None, ...]:
        passes: _Passes = ctx.passes
        for place, gradient in zip(passes.output_gradients, output_gradients, strict=True):
            if place is not None:
                place.copy_(gradient, non_blocking=True)
        passes.backward_graph.replay()
        gradients = (None if gradient is None else gradient.detach() for gradient in passes.gradients)
        return None, *(None for _ in passes.inputs), *gradients


def _recorded(model: ReidModel, precision: Precision, given: tuple[Tensor, ...]) -> _Passes:
    randomness, buffers = Randomness.now(given[0].device), BufferCopy(model)
    buffers.take()
    before = buffers.present()
    try:
        passes = _record_passes(model, precision, tuple(tensor.detach().clone() for tensor in given), buffers)
        if any(now is not then for now, then in zip(buffers.present(), before, strict=True)):
            raise RuntimeError("the network puts new tensors in the place of its buffers")
        _check_room(passes)
    finally:
        buffers.put_back()
        randomness.put_back()
    return passes


def _check_room(passes: _Passes) -> None:
    """Raise RuntimeError where the first update may not fit beside the graphs: launched singly, activations are gone by then."""
    device, wanted = passes.inputs[0].device, _ROOM * sum(one.numel() * one.element_size() for one in passes.parameters)
    if device.type != "cuda":
        return
    give_back_memory(device)
    free, _ = torch.cuda.mem_get_info(device)
    if free < wanted:
        raise RuntimeError(f"it leaves {free / 1e9:.1f} GB, and the update of the weights may take {wanted / 1e9:.1f} GB")


def _record_passes(model: ReidModel, precision: Precision, inputs: tuple[Tensor, ...], buffers: BufferCopy) -> _Passes:
    parameters = tuple(parameter for parameter in model.parameters() if parameter.requires_grad)
    images_BCHW, person_ids_B, camera_ids_B = inputs

    def run() -> tuple[Tensor, Tensor, Tensor]:
        with _autocast(precision):
            outputs = model(images_BCHW, person_ids_B=person_ids_B, camera_ids_B=camera_ids_B)
        assert outputs.logits_BI is not None
        return outputs.features_BD.float(), outputs.logits_BI.float(), outputs.embeddings_BD.detach()

    def gradients_of(outputs: Sequence[Tensor], output_gradients: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
        pairs = [(one, gradient) for one, gradient in zip(outputs, output_gradients, strict=True) if gradient is not None]
        return _each_its_own(
            torch.autograd.grad([one for one, _ in pairs], parameters, [given for _, given in pairs], allow_unused=True)
        )

    def pass_both() -> None:
        witness.begin()
        *found, _ = run()
        witness.saw(found)
        gradients_of(found, _zeros(found))

    recorder, witness = _Recorder(images_BCHW.device), Witness(model, inputs, buffers)
    recorder.warm_up(pass_both)
    witness.check_host()
    (*outputs, embeddings_BD), forward_graph = recorder.record(run)
    output_gradients = _zeros(outputs)
    gradients, backward_graph = recorder.record(lambda: gradients_of(outputs, output_gradients))
    kept, places = tuple(one.detach() for one in outputs), Places(model)  # without their autograd graph, which has done its duty
    witness.check_replays(forward_graph.replay, kept)
    return _Passes(
        forward_graph, backward_graph, inputs, parameters, kept, embeddings_BD, output_gradients, gradients, places, places.now()
    )


def _each_its_own(gradients: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    """Return the gradients, none in the memory of another: weights that are added up have one gradient, to be clipped twice."""
    memory: set[int] = set()
    found: list[Tensor | None] = []
    for gradient in gradients:
        is_taken = gradient is not None and gradient.untyped_storage().data_ptr() in memory
        found.append(gradient.clone() if gradient is not None and is_taken else gradient)
        if gradient is not None:
            memory.add(gradient.untyped_storage().data_ptr())
    return tuple(found)


def _zeros(outputs: Sequence[Tensor]) -> tuple[Tensor | None, ...]:
    """Return a place for the gradient of each output that has one."""
    return tuple(torch.zeros_like(one) if one.requires_grad else None for one in outputs)


class _Recorder:
    """Records what is given to the GPU on a stream of its own, all into one pool of memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream, self._pool = torch.cuda.Stream(device), torch.cuda.graph_pool_handle()

    def warm_up(self, act: Callable[[], object]) -> None:
        """Do it a few times. Raises RuntimeError where it waits for the GPU, which nothing recorded may do."""
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            for _ in range(_WARM_UPS - 1):
                act()
            with _waiting_raises():
                act()
        torch.cuda.current_stream(self._device).wait_stream(self._stream)
        torch.cuda.synchronize(self._device)

    def record(self, act: Callable[[], Any]) -> tuple[Any, Any]:
        """Return what it returns, whose values come with each replay, and the graph."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            result = act()
        return result, graph


@contextmanager
def _waiting_raises() -> Iterator[None]:
    mode = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that it does not find all that waits
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(mode)


def _autocast(precision: Precision) -> Any:
    """As the step's, but weights are cast anew in every pass: a cast kept from an earlier pass would stay as it was then."""
    return torch.autocast(precision.device_type, dtype=precision.dtype, enabled=precision.dtype is not None, cache_enabled=False)


def _has_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks)
