"""Whether the model that trains is the one that the configuration asks for: its modules, their settings, and what each gives.

A second model is built from the configuration and given the same weights. Hooks, wrapped layers and replaced heads do not show in
the weights; they show in the table of modules, or in the first module whose output differs. Cost: 4 F.

Shape legend: B batch, D values an image.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from unplateau.probes.features import effective_rank
from unplateau.runs.record import Measurement

_SETTINGS = (bool, int, float, str)
_NOT_COMPARED = ("training", "inplace", "call_super_init", "dump_patches", "initial_std")
_WHOLE = "(whole)"
_TINY = 1e-12
_SAME_ROW, _APART = 1e-3, 1e-4  # relative; kernels of two memory layouts differ by some 1e-6


def settings_apart(trained: nn.Module, configured: nn.Module) -> tuple[Measurement, ...]:
    """Compare two models module by module.

    Returns:
        modules_differ: the number of modules that are missing, of another class, or set differently, with group "", and one
        measurement for each with its path and what differs as group, at most eight.
    """
    mine, theirs = (dict(model.named_modules(remove_duplicate=False)) for model in (trained, configured))
    first_place, first_meant = ({module: path for path, module in reversed(places.items())} for places in (mine, theirs))
    told: list[tuple[str, str]] = []
    replaced: list[str] = []
    for path in dict.fromkeys([*theirs, *mine]):
        if any(path.startswith(f"{outer}.") for outer in replaced):
            continue  # what is inside another module differs as a matter of course
        one, other = mine.get(path), theirs.get(path)
        if type(one) is not type(other):
            replaced.append(path)
        if one is not None and other is not None and first_place[one] != path and first_meant[other] == path and one.state_dict():
            told.append((path, f"{type(one).__name__} shared with {first_place[one]}"))
        elif what := _difference(one, other):
            told.append((path, what))
    found = [Measurement("modules_differ", float(len(told)), "modules")]
    return (*found, *(Measurement("modules_differ", 1.0, "modules", group=f"{path}: {what}") for path, what in told[:8]))


@torch.no_grad()
def initial_weights_apart(begun: nn.Module, configured: nn.Module) -> tuple[Measurement, ...]:
    """Compare the weights a training began with and those that its configuration, seed included, gives.

    Args:
        begun: as the training began.
        configured: built anew, with the weights that the configuration names.

    Returns:
        initial_weights_differ: share of the parameter tensors that are not equal; and for at most four of them, those whose
        lengths are furthest apart, initial_length: the length begun with over the configured one, with the name as group.
    """
    theirs = dict(configured.named_parameters())
    pairs = [(name, mine, theirs[name]) for name, mine in begun.named_parameters() if name in theirs]
    pairs = [(name, mine, other) for name, mine, other in pairs if mine.shape == other.shape]
    if not pairs:
        return ()
    off = {name: _ratio(mine, other) for name, mine, other in pairs if not torch.equal(mine.cpu(), other.cpu())}
    worst = sorted(off, key=lambda name: -abs(math.log(max(off[name], _TINY))))[:4]
    return (
        Measurement("initial_weights_differ", len(off) / len(pairs), "share"),
        *(Measurement("initial_length", off[name], "ratio", group=name) for name in worst),
    )


def _ratio(mine: Tensor, theirs: Tensor) -> float:
    return float(mine.double().norm()) / max(float(theirs.double().norm()), _TINY)


@torch.no_grad()
def outputs_apart(trained: nn.Module, configured: nn.Module, forward: Callable[[nn.Module], Any]) -> tuple[Measurement, ...]:
    """Run one batch through both, in evaluation and in training mode with the same draws, and find where they part.

    Args:
        trained: the model that trains.
        configured: another of the same structure; it takes on the weights and buffers of the first that fit.
        forward: runs a model on a batch.

    Returns:
        output_differs: relative difference of the output of the first module that differs, in the order of the forward pass,
        with "mode: path (class)" as group; with group "" the largest of them, 0 where none differs. Of that module too
        output_zeros (share of its output that is 0, beyond the configured model's), output_random (relative difference of its
        output under other draws) and output_rank (effective rank of its output over that of the configured model's); and, where
        it is the first of all and is given something else already, input_differs (relative) and input_explained (share of
        its variance that a factor and an offset for each channel explain). rows_exchanged: share of the images whose output, of
        that module and of the last one too, is another image's. modules_unused: number of modules with weights that the forward
        pass does not call, and the configured model's does, with group ""; 1 for at most four of them by path.
    """
    _give_weights(trained, configured)
    classes = {path or _WHOLE: type(module).__name__ for path, module in trained.named_modules()}
    found: list[Measurement] = []
    for mode in ("evaluation", "training"):
        is_training = mode == "training"
        given: tuple[dict[str, Tensor], dict[str, Tensor]] = ({}, {})
        mine, theirs = (
            _outputs(one, forward, is_training=is_training, given=into)
            for one, into in zip((trained, configured), given, strict=True)
        )
        if not is_training:
            found += _unused(trained, mine, theirs)
        path = next((path for path in mine if path in theirs and _apart(mine[path], theirs[path]) > _APART), None)
        if path is None:
            continue
        last = next(path for path in reversed(mine) if path in theirs)
        again, group = _outputs(trained, forward, is_training=is_training, seed=1)[path], f"{mode}: {path} ({classes[path]})"
        zeros = float((mine[path] == 0).double().mean() - (theirs[path] == 0).double().mean())
        found += [
            Measurement("output_differs", _apart(mine[path], theirs[path]), "relative", group=group),
            Measurement("output_zeros", zeros, "share", group=group),
            Measurement("output_random", _apart(again, mine[path]), "relative", group=group),
            Measurement("output_rank", _rank(mine[path]) / max(_rank(theirs[path]), 1e-9), "ratio", group=group),
            Measurement("rows_exchanged", min(_exchanged(mine[one], theirs[one]) for one in (path, last)), "share", group=group),
            *_inputs_apart(given[0].get(path), given[1].get(path), group),
        ]
    largest = max((m.value or 0.0 for m in found if m.name == "output_differs"), default=0.0)
    return (Measurement("output_differs", largest, "relative"), *found)


def gradients_apart(
    trained: nn.Module, configured: nn.Module, forward: Callable[[nn.Module], Sequence[Tensor]]
) -> tuple[Measurement, ...]:
    """Send the same values back through both, and compare what arrives at the weights: outputs may agree where this does not.

    Args:
        trained: the model that trains.
        configured: another with its weights and outputs, in the same mode.
        forward: runs a model on a batch and returns outputs with their graph.

    Returns:
        model_gradient_cosine and model_gradient_ratio (length over the configured one's), and model_gradient_gone: share of the
        square of the configured gradient whose tensors get exactly 0. Tensors that are frozen are left out.
    """
    known = {name for name, _ in configured.named_parameters()}
    names = [name for name, p in trained.named_parameters() if p.requires_grad and name in known]
    if not names:
        return ()
    mine, theirs = (_sent_back(one, names, forward) for one in (trained, configured))
    one, other = (torch.cat([gradient.flatten() for gradient in gradients]) for gradients in (mine, theirs))
    size, own = float(other.norm()), float(one.norm())
    if size <= _TINY:
        return ()
    gone = sum(float(b.square().sum()) for a, b in zip(mine, theirs, strict=True) if not bool(a.count_nonzero()))
    return (
        Measurement("model_gradient_cosine", float(one @ other) / (own * size) if own > 0 else None, "cosine"),
        Measurement("model_gradient_ratio", own / size, "ratio"),
        Measurement("model_gradient_gone", gone / size**2, "share"),
    )


def _sent_back(model: nn.Module, names: Sequence[str], forward: Callable[[nn.Module], Sequence[Tensor]]) -> list[Tensor]:
    parameters = dict(model.named_parameters())
    wanted = [parameters[name] for name in names]
    with torch.enable_grad(), _draws(0):
        outputs = forward(model)
        values = [torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0)).to(tensor) for tensor in outputs]
        total = torch.stack([(tensor * value).sum() for tensor, value in zip(outputs, values, strict=True)]).sum()
        if not total.requires_grad:
            return [torch.zeros_like(parameter, dtype=torch.double) for parameter in wanted]
        found = torch.autograd.grad(total, wanted, allow_unused=True, materialize_grads=True)
    return [gradient.double() for gradient in found]


def _unused(trained: nn.Module, mine: dict[str, Tensor], theirs: dict[str, Tensor]) -> tuple[Measurement, ...]:
    own = {path for path, module in trained.named_modules() if any(True for _ in module.parameters(recurse=False))}
    unused = [path for path in theirs if path in own and path not in mine]
    return (
        Measurement("modules_unused", float(len(unused)), "modules"),
        *(Measurement("modules_unused", 1.0, "modules", group=path) for path in unused[:4]),
    )


def _exchanged(mine_BD: Tensor, theirs_BD: Tensor) -> float:
    """Share of the rows that are another's row."""
    if mine_BD.shape != theirs_BD.shape or len(mine_BD) < 2 or not bool(torch.isfinite(mine_BD).all()):
        return 0.0
    distances_BB = torch.cdist(mine_BD, theirs_BD)
    nearest_B, whose_B = distances_BB.min(1)
    is_same_B = nearest_B < _SAME_ROW * theirs_BD.norm(dim=1)[whose_B]
    return float((is_same_B & (whose_B != torch.arange(len(whose_B), device=whose_B.device))).double().mean())


def _inputs_apart(mine: Tensor | None, theirs: Tensor | None, group: str) -> tuple[Measurement, ...]:
    if mine is None or theirs is None or mine.shape != theirs.shape or mine.dim() < 2 or (apart := _apart(mine, theirs)) < _APART:
        return ()
    one_CN, other_CN = (tensor.transpose(0, 1).flatten(1) for tensor in (mine, theirs))
    one_CN, other_CN = (values - values.mean(1, keepdim=True) for values in (one_CN, other_CN))
    correlation_C = nn.functional.cosine_similarity(one_CN, other_CN, dim=1)
    explained = float(correlation_C.square().min())
    return (
        Measurement("input_differs", apart, "relative", group=group),
        Measurement("input_explained", explained, "share", group=group),
    )


def _difference(mine: nn.Module | None, theirs: nn.Module | None) -> str:
    if mine is None or theirs is None:
        there, where = (mine, "not configured") if theirs is None else (theirs, "missing")
        return f"{type(there).__name__} {where}"
    if type(mine).__name__ != type(theirs).__name__:
        return f"{type(mine).__name__} instead of {type(theirs).__name__}"
    own, asked = _settings(mine), _settings(theirs)
    names = [name for name in asked if name in own and own[name] != asked[name]]
    return ", ".join(f"{name} {own[name]} instead of {asked[name]}" for name in names)


def _settings(module: nn.Module) -> dict[str, Any]:
    plain = {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and name not in _NOT_COMPARED and isinstance(value, (*_SETTINGS, tuple))
    }
    own = module.named_parameters(recurse=False)
    return {**plain, **{f"shape of {name}": tuple(parameter.shape) for name, parameter in own}}


@torch.no_grad()
def _give_weights(trained: nn.Module, configured: nn.Module) -> None:
    source = {**dict(trained.named_parameters()), **dict(trained.named_buffers())}
    for name, tensor in [*configured.named_parameters(), *configured.named_buffers()]:
        if name in source and source[name].shape == tensor.shape:
            tensor.copy_(source[name])


def _outputs(
    model: nn.Module, forward: Callable[[nn.Module], Any], *, is_training: bool, seed: int = 0,
    given: dict[str, Tensor] | None = None,
) -> dict[str, Tensor]:  # fmt: skip
    """Outputs of all modules by path, each as it ends and after all of its hooks, (B, D); the first call of each counts.

    What the first one is given, after the hooks before it, goes into `given`.
    """
    seen: dict[str, Tensor] = {}

    def watch(path: str) -> Callable[..., None]:
        def take(module: nn.Module, inputs: Any, output: Any) -> None:
            if path not in seen and (values := [tensor.detach().double() for tensor in _tensors(output)]):
                seen[path] = _joined(values)
                if given == {} and (first := next(_tensors(inputs), None)) is not None:
                    given[path] = first.detach().double()

        return take

    modes = {path: module.training for path, module in model.named_modules()}
    model.train(is_training)
    hooks = [module.register_forward_hook(watch(path or _WHOLE)) for path, module in model.named_modules()]
    try:
        with _draws(seed):
            forward(model)
    finally:
        for hook in hooks:
            hook.remove()
        for path, module in model.named_modules():
            module.training = modes.get(path, module.training)
    return seen


def _joined(values: list[Tensor]) -> Tensor:
    """One row an image; one row of all where tensors have not the same number of images."""
    if len({len(tensor) if tensor.dim() else 0 for tensor in values}) == 1 and values[0].dim():
        return torch.cat([tensor.flatten(1) if tensor.dim() > 1 else tensor[:, None] for tensor in values], dim=1)
    return torch.cat([tensor.flatten() for tensor in values])[None]


def _rank(output_BD: Tensor) -> float:
    centred_BD = output_BD - output_BD.mean(0)
    return effective_rank(centred_BD) if bool(torch.isfinite(centred_BD).all()) else 0.0


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, (tuple, list)):
        for part in output:
            yield from _tensors(part)


def _apart(one: Tensor, other: Tensor) -> float:
    if one.shape != other.shape:
        return float("inf")
    size = float(other.double().norm())
    return float((one.double() - other.double()).norm()) / max(size, 1e-12)


@contextmanager
def _draws(seed: int) -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
