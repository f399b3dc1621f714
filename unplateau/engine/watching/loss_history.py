"""Loss terms as a training gives them: kept on the device until a flush, then in bounded memory on the host.

A step does not wait for the GPU: reading happens once in many steps, in one transfer.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

Terms = Mapping[str, Tensor | float]

MOST_BINS = 1000  # curves are looked at through 120 means; more would only cost memory


class LossHistory:
    """Series of loss terms by name, neighbouring steps averaged once there are many."""

    def __init__(self, most_bins: int = MOST_BINS) -> None:
        self._most = most_bins
        self._pending: list[tuple[int, tuple[str, ...], Tensor | None, dict[str, float]]] = []
        self._width = 1
        self._bins: list[dict[str, list[float]]] = []
        self._last_step = 0
        self.first: dict[str, float] = {}
        """The first value of each term."""
        self.latest: dict[str, float] = {}
        self.not_finite: dict[str, int] = {}
        """Steps in which a term was NaN or infinite; they are left out of the means."""

    def add(self, step: int, terms: Terms) -> None:
        """Take a step's terms in without reading tensors; they are copied, for a graph may write over its outputs.

        Args:
            step: counted from 1.
            terms: tensors of one element (or a vector of per-device losses, which is averaged), or numbers.
        """
        tensors = {name: value for name, value in terms.items() if isinstance(value, Tensor)}
        numbers = {name: float(value) for name, value in terms.items() if name not in tensors}
        row = torch.stack([_scalar(value) for value in tensors.values()]) if tensors else None
        self._pending.append((step, tuple(tensors), row, numbers))

    @property
    def num_pending(self) -> int:
        """Steps that have not been read yet."""
        return len(self._pending)

    def flush(self, extra: Mapping[str, float] | None = None) -> None:
        """Read what is still on the device, and add `extra` to the last step. Synchronises the GPU once."""
        pending, self._pending = self._pending, []
        for start, end in _stretches(pending):
            rows = [row for _, _, row, _ in pending[start:end] if row is not None]
            table = torch.stack(rows).tolist() if rows else [[]] * (end - start)
            for (step, names, _, numbers), values in zip(pending[start:end], table, strict=True):
                self._take(step, {**dict(zip(names, values, strict=True)), **numbers})
        if pending and extra:
            self._put(self._last_step, extra)

    def points(self) -> list[tuple[int, dict[str, float]]]:
        """Return (last step of the bin, means) in order."""
        filled = [(number, bin_) for number, bin_ in enumerate(self._bins) if bin_]
        return [
            (min((number + 1) * self._width, self._last_step), {name: total / count for name, (total, count) in bin_.items()})
            for number, bin_ in filled
        ]

    def _take(self, step: int, values: Mapping[str, float]) -> None:
        self._last_step = step
        for name, value in values.items():
            self.first.setdefault(name, value)
            self.latest[name] = value
            if not math.isfinite(value):
                self.not_finite[name] = self.not_finite.get(name, 0) + 1
        self._put(step, {name: value for name, value in values.items() if math.isfinite(value)})

    def _put(self, step: int, values: Mapping[str, float]) -> None:
        while (step - 1) // self._width >= self._most:
            self._bins = [_merged(pair) for pair in _pairs(self._bins)]
            self._width *= 2
        place = (step - 1) // self._width
        self._bins.extend({} for _ in range(place + 1 - len(self._bins)))
        for name, value in values.items():
            kept = self._bins[place].setdefault(name, [0.0, 0])
            kept[0] += value
            kept[1] += 1


def _scalar(value: Tensor) -> Tensor:
    value = value.detach()
    return (value if value.dim() == 0 else value.mean()).float()


def _stretches(pending: list[tuple[int, tuple[str, ...], Tensor | None, dict[str, float]]]) -> list[tuple[int, int]]:
    """Places between which rows have the same terms on the same device, so that they can be stacked."""
    kinds = [(names, None if row is None else row.device) for _, names, row, _ in pending]
    cuts = [0, *(place for place in range(1, len(kinds)) if kinds[place] != kinds[place - 1]), len(kinds)]
    return [(start, end) for start, end in zip(cuts, cuts[1:], strict=False) if end > start]


def _pairs(bins: list[dict[str, list[float]]]) -> list[list[dict[str, list[float]]]]:
    return [bins[place : place + 2] for place in range(0, len(bins), 2)]


def _merged(pair: list[dict[str, list[float]]]) -> dict[str, list[float]]:
    names = {name for bin_ in pair for name in bin_}
    return {name: [sum(bin_[name][k] for bin_ in pair if name in bin_) for k in (0, 1)] for name in names}
