"""Whether the optimiser's updates are those of its formula. Cost: a few training steps, and a copy of the model.

The optimiser that the configuration asks for is built anew for a copy of the weights and given, step by step, the very gradients
that the training's own optimiser was given. From an empty state both must go the same way: Kingma and Ba 2015, algorithm 1, or
whatever torch does for the configured name. What is written to the weights beside the optimiser is left out (`updates_kept`).
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unplateau.optim.schedules import write_rate
from unplateau.probes.step_hooks import right_after_update
from unplateau.runs.record import Measurement


class Twin:
    """A copy of the model with the configured optimisers, which is given the gradients of the first."""

    def __init__(self, model: nn.Module, build: Callable[[nn.Module], Sequence[Optimizer]]) -> None:
        """Copy the model as it stands.

        Args:
            model: the network, before the first step.
            build: gives the configured optimisers for a model.
        """
        self._model = copy.deepcopy(model)
        self._optimizers = build(self._model)

    def step(self, gradients: Mapping[str, Tensor], rate: float) -> dict[str, Tensor]:
        """Return how far each weight goes with these gradients at this rate of the schedule; decay is left out."""
        weights = {name: parameter for name, parameter in self._model.named_parameters() if name in gradients}
        for name, parameter in self._model.named_parameters():
            parameter.grad = gradients[name].clone() if name in gradients else None
        before = {name: weight.detach().clone() for name, weight in weights.items()}
        write_rate(self._optimizers, rate)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["weight_decay"] = 0.0
            optimizer.step()
        return {name: weight.detach() - before[name] for name, weight in weights.items()}


def updates_apart(
    parameters: Mapping[str, Tensor], optimizers: Sequence[Optimizer], twin: Twin, steps: Iterable[Callable[[], object]],
    *, rate: float,
) -> tuple[Measurement, ...]:  # fmt: skip
    """Do training steps and compare the optimisers' updates with those of the configured optimisers.

    Args:
        parameters: name to weight, of the model.
        optimizers: that train them, with an empty state; their step hooks tell when they step.
        twin: with the same weights, and an empty state.
        steps: each does one training step at `rate`.
        rate: of the schedule.

    Returns:
        update_cosine and update_ratio (length over the configured one's), over all steps; 1 and 1 where the formula is the same,
        NaN as a cosine of 0. Nothing where no gradient arrived, or gradients are scaled within the optimiser's own kernel.
    """
    recorder = _Recorder(parameters, optimizers)
    products = torch.zeros(3, dtype=torch.float64)
    with recorder:
        for do in steps:
            recorder.forget()
            do()
            if not recorder.gradients or recorder.is_scaled:
                continue
            meant = twin.step(recorder.gradients, rate)
            for name, gone in recorder.gone().items():
                mine, theirs = gone.double().cpu(), meant[name].double().cpu()
                products += torch.stack([(mine * theirs).sum(), (mine * mine).sum(), (theirs * theirs).sum()])
    both, own, configured = products.tolist()
    if configured == 0:
        return ()
    if not bool(products.isfinite().all()):
        return (Measurement("update_cosine", 0.0, "cosine", note="updates that are no numbers"),)
    cosine = both / (own * configured) ** 0.5 if own > 0 else 0.0
    return (Measurement("update_cosine", cosine, "cosine"), Measurement("update_ratio", (own / configured) ** 0.5, "ratio"))


class _Recorder:
    """What the optimisers were given in a step, and how far they went with it."""

    def __init__(self, parameters: Mapping[str, Tensor], optimizers: Sequence[Optimizer]) -> None:
        self._parameters, self._optimizers = parameters, optimizers
        self._before: dict[str, Tensor] = {}
        self._after: dict[str, Tensor] = {}
        self.gradients: dict[str, Tensor] = {}
        self.is_scaled = False

    def __enter__(self) -> None:
        self._hooks = [optimizer.register_step_pre_hook(self._look) for optimizer in self._optimizers]
        self._hooks += [right_after_update(optimizer, self._look_after) for optimizer in self._optimizers]

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def forget(self) -> None:
        self._before, self._after, self.gradients = {}, {}, {}

    def gone(self) -> dict[str, Tensor]:
        return {name: after - self._before[name] for name, after in self._after.items()}

    def _look(self, optimizer: Optimizer, *_: object) -> None:
        self.is_scaled = self.is_scaled or getattr(optimizer, "grad_scale", None) is not None
        for name, parameter in self._held(optimizer):
            if parameter.grad is not None:
                self.gradients[name], self._before[name] = parameter.grad.detach().clone(), parameter.detach().clone()

    def _look_after(self, optimizer: Optimizer, *_: object) -> None:
        for name, parameter in self._held(optimizer):
            if name in self._before:
                self._after[name] = parameter.detach().clone()

    def _held(self, optimizer: Optimizer) -> list[tuple[str, Tensor]]:
        held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        return [(name, parameter) for name, parameter in self._parameters.items() if id(parameter) in held]
