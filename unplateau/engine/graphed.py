"""The network's passes as two CUDA graphs: recorded once, then given to the GPU with one call each instead of a thousand.

A fast card is done with a kernel before Python has launched the next one. A graph is right only while everything stays where
it was: the same tensors, shapes, modes and trained weights. That is looked at in every step; where it has changed the passes
are recorded anew, and what cannot be recorded is computed as ever. Losses and update are not part of it.

B batch, D embedding dim, I identities, C/H/W image.
"""

import gc
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unplateau.base.errors import first_sentence
from unplateau.config.schema import Config
from unplateau.engine.freezing import unseen_by_losses
from unplateau.engine.precision import Precision
from unplateau.engine.ranks import Ranks
from unplateau.engine.step_state import BufferCopy, Randomness
from unplateau.models.reid import Outputs, ReidModel

_WARM_UPS = 3  # as torch.cuda.make_graphed_callables: kernels are loaded and chosen before anything is recorded
_MOST_RECORDINGS = 4  # of one run: a thaw needs a second one
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
    """What a step calls in place of the model. Embeddings it returns carry no gradient and hold until the next call.

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
        return Outputs(features_BD, self._passes.embeddings_BD, logits_BI)

    def record(self, images_BCHW: Tensor, person_ids_B: Tensor, camera_ids_B: Tensor) -> None:
        """Record the passes for batches of this shape; weights, buffers and random state stay as they are.

        Raises:
            RuntimeError: it cannot be done: out of memory, or the network waits for the GPU or replaces a buffer.
        """
        self.release()
        self._recordings += 1
        self._passes = _recorded(self.model, self._precision, (images_BCHW, person_ids_B, camera_ids_B))

    def release(self) -> None:
        """Forget the graphs and give their memory back."""
        if self._passes is not None:
            self._passes = None
            gc.collect()
            torch.cuda.empty_cache()

    def give_up(self) -> None:
        """Compute as ever from now on: memory is short."""
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
        _log.warning("Steps cannot be computed as a CUDA graph (%s). They are computed as ever.", problem)
        self.give_up()


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
    places: "_Places"
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
        outputs = tuple(output.detach() for output in passes.outputs)
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
        passes = _record_passes(model, precision, tuple(tensor.detach().clone() for tensor in given))
        if any(now is not then for now, then in zip(buffers.present(), before, strict=True)):
            raise RuntimeError("the network puts new tensors in the place of its buffers")
    finally:
        buffers.put_back()
        randomness.put_back()
    return passes


def _record_passes(model: ReidModel, precision: Precision, inputs: tuple[Tensor, ...]) -> _Passes:
    parameters = tuple(parameter for parameter in model.parameters() if parameter.requires_grad)
    images_BCHW, person_ids_B, camera_ids_B = inputs

    def run() -> tuple[Tensor, Tensor, Tensor]:
        with _autocast(precision):
            outputs = model(images_BCHW, person_ids_B=person_ids_B, camera_ids_B=camera_ids_B)
        assert outputs.logits_BI is not None
        return outputs.features_BD.float(), outputs.logits_BI.float(), outputs.embeddings_BD.detach()

    def gradients_of(outputs: Sequence[Tensor], output_gradients: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
        pairs = [(one, gradient) for one, gradient in zip(outputs, output_gradients, strict=True) if gradient is not None]
        return torch.autograd.grad([one for one, _ in pairs], parameters, [given for _, given in pairs], allow_unused=True)

    def pass_both() -> None:
        *found, _ = run()
        gradients_of(found, _zeros(found))

    recorder = _Recorder(images_BCHW.device)
    recorder.warm_up(pass_both)
    (*outputs, embeddings_BD), forward_graph = recorder.record(run)
    output_gradients = _zeros(outputs)
    gradients, backward_graph = recorder.record(lambda: gradients_of(outputs, output_gradients))
    kept, places = tuple(one.detach() for one in outputs), _Places(model)  # without their autograd graph, which has done its duty
    return _Passes(
        forward_graph, backward_graph, inputs, parameters, kept, embeddings_BD, output_gradients, gradients, places, places.now()
    )


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


class _Places:
    """What a recording rests on: where the tensors lie, which weights are trained, which parts are in training mode."""

    def __init__(self, model: nn.Module) -> None:
        self._parts = list(model.modules())  # found once: to walk through a model takes half a millisecond
        self._parameters = _slots(part._parameters for part in self._parts)
        self._buffers = _slots(part._buffers for part in self._parts)

    def now(self) -> tuple[Any, ...]:
        """Return it as it is at present."""
        parameters, buffers = (
            [tensor for tensors, name in slots if (tensor := tensors[name]) is not None]
            for slots in (self._parameters, self._buffers)
        )
        return (
            [tensor.data_ptr() for tensor in parameters], [tensor.requires_grad for tensor in parameters],
            [tensor.data_ptr() for tensor in buffers], [part.training for part in self._parts],
        )  # fmt: skip


def _slots(tensors_of_parts: Iterable[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    return [(tensors, name) for tensors in tensors_of_parts for name, tensor in tensors.items() if tensor is not None]


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
