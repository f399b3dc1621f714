"""A sparse matrix by rows, and the few operations that re-ranking needs of it. (NumPy alone: SciPy is no dependency.)"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
_MOST_ENTRIES = 2**18  # merged at once: they stay in the cache


@dataclass(frozen=True)
class SparseRows:
    """The entries of row i are those from `offsets[i]` to `offsets[i + 1]`, columns ascending."""

    offsets: Rows
    columns: NDArray[np.int32]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.offsets) - 1

    def entry_places(self, rows: Rows | NDArray[np.int32]) -> tuple[Rows, Rows]:
        """Return where the entries of these rows lie, row after row, and how many each row has."""
        starts, sizes = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        return np.arange(sizes.sum()) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes), sizes


def stack(parts: list[SparseRows]) -> SparseRows:
    """Return the rows of all parts, one under the other."""
    sizes = np.concatenate([np.diff(part.offsets) for part in parts])
    return SparseRows(
        offsets_of(sizes),
        np.concatenate([part.columns for part in parts]),
        np.concatenate([part.values for part in parts]),
    )


def offsets_of(sizes: Rows) -> Rows:
    """Return where rows of these sizes begin, and where the last ends."""
    return np.concatenate(([0], np.cumsum(sizes)))


def from_row(matrix: SparseRows, first: int) -> SparseRows:
    """Return the rows from `first` on."""
    start = matrix.offsets[first]
    return SparseRows(matrix.offsets[first:] - start, matrix.columns[start:], matrix.values[start:])


def transpose(matrix: SparseRows, num_columns: int) -> SparseRows:
    """Return columns as rows."""
    order = np.argsort(matrix.columns, kind="stable")
    rows = np.repeat(np.arange(len(matrix), dtype=np.int32), np.diff(matrix.offsets))
    return SparseRows(offsets_of(np.bincount(matrix.columns, minlength=num_columns)), rows[order], matrix.values[order])


def mean_of_rows(matrix: SparseRows, rows_NK: NDArray[np.int32], *, entries_at_once: int) -> SparseRows:
    """Return, as row i, the mean of the rows that `rows_NK[i]` names.

    Args:
        entries_at_once: bound on what is merged at once; a little memory (about 60 bytes) for each.
    """
    most = min(entries_at_once, _MOST_ENTRIES)
    total_N = np.cumsum((matrix.offsets[rows_NK + 1] - matrix.offsets[rows_NK]).sum(axis=1))
    parts, start = [], 0
    while start < len(rows_NK):
        done = total_N[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(total_N, done + most, "right")))
        parts.append(_mean(matrix, rows_NK[start:stop].astype(np.int64)))
        start = stop
    return stack(parts)


def _mean(matrix: SparseRows, rows_BK: Rows) -> SparseRows:
    num_rows, num_merged = rows_BK.shape
    places, sizes = matrix.entry_places(rows_BK.ravel())
    target = np.repeat(np.arange(num_rows).repeat(num_merged), sizes)
    width, place_bits = len(matrix), len(places).bit_length()
    # entry numbers ride along in the low bits: a plain sort of numbers is several times faster than an argsort
    packed = (target * width + matrix.columns[places]) << place_bits | np.arange(len(places))
    packed.sort()
    cells = packed >> place_bits
    first = np.flatnonzero(np.diff(cells, prepend=-1))
    ordered = matrix.values[places[packed & (2**place_bits - 1)]]
    summed = np.add.reduceat(ordered, first) if len(first) else ordered
    merged_rows, columns = np.divmod(cells[first], width)
    sizes_B = np.bincount(merged_rows, minlength=num_rows)
    return SparseRows(offsets_of(sizes_B), columns.astype(np.int32), (summed / num_merged).astype(np.float32))
