"""Whether training images are the pictures of their files: each is looked for, pixel by pixel, among the files.

Augmentation as recipes use it mirrors, shifts and covers part of an image; the rest is equal to the file to the digit. Where it
is not, something changes images that nobody asked for, and where it is, the file says which label belongs to the image. Cost: no
network; one small FFT for each image and each of its candidates.

Shape legend: N images, M files, P pairs, K candidates of an image, C/H/W image, D descriptor.
"""

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import torch
from torch import Tensor
from torch.nn import functional as F

from unplateau.runs.record import Measurement

_GRID = (16, 8)
_CLOSE, _ALIKE = 8, 4  # candidates of an image by colours, and by colours on a scale of its own
_COVERED = 0.5  # standard deviations
_PEAKS = 3  # of the phase correlation that are tried
_SAME = 0.03  # standard deviations: two of 255 grey levels
_FOUND = 0.4  # of an image's pixels; erasing covers at most that much, and nothing else may
_NEARLY = 0.1  # of an image's pixels
_CHUNK_VALUES = 2**24  # of the transforms held at once

_WHITE = 255.0
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as PIL and OpenCV make grey

Change = Callable[[Tensor], Tensor]
"""Of normalised files, as a mistake would have changed them."""


@dataclass(frozen=True)
class Files:
    """Pictures of files, each once, with every label that a copy of it has."""

    images_MCHW: Tensor
    labels: tuple[frozenset[int], ...]


@dataclass(frozen=True)
class Match:
    """The file that fits each image best."""

    shares_N: Tensor
    """Share of the image's pixels that are equal to the file's, where the two overlap."""
    files_N: Tensor
    correlations_N: Tensor
    """Of all values where they overlap: 1 where brightness and contrast alone differ."""
    alike: tuple[frozenset[int], ...]
    """The files that fit each image nearly as well as the best: pictures that are damaged cannot be told apart."""


def distinct_files(images_MCHW: Tensor, labels_M: Tensor) -> Files:
    """Join files that show one picture."""
    labels: dict[bytes, set[int]] = {}
    first_row: dict[bytes, int] = {}
    for row, (image_CHW, label) in enumerate(zip(images_MCHW.cpu(), labels_M.tolist(), strict=True)):
        digest = hashlib.blake2b(image_CHW.contiguous().numpy().tobytes()).digest()
        first_row.setdefault(digest, row)
        labels.setdefault(digest, set()).add(label)
    rows_U = torch.tensor(list(first_row.values()))
    return Files(images_MCHW.cpu()[rows_U], tuple(frozenset(labels[digest]) for digest in first_row))


def labels_of_files(files: Files) -> tuple[Measurement, ...]:
    """Return files_of_several_labels: share of the distinct pictures that the list gives more than one label."""
    several = sum(len(labels) > 1 for labels in files.labels)
    return (Measurement("files_of_several_labels", several / max(len(files.labels), 1), "share"),)


@torch.no_grad()
def images_of_files(
    images_NCHW: Tensor, labels_N: Tensor, files: Files, *, padding: int, normalisation: tuple[Sequence[float], Sequence[float]]
) -> tuple[Measurement, ...]:
    """Look for training images among the files they should come from.

    Args:
        images_NCHW: as training hands them to the network.
        labels_N: their labels.
        files: prepared as evaluation prepares them, with the labels that the list of files gives; of these people at least.
        padding: pixels by which an image may be shifted.
        normalisation: mean and standard deviation of the channels that files were normalised with, on the 0-255 scale.

    Returns:
        pixels_of_file (median over images of the share of pixels equal to the best file's), file_correlation (median),
        images_found (share), images_unchanged (share that is a file as it is, neither mirrored nor shifted nor covered), and over
        those found labels_of_file (share whose file has the batch's label) and files_in_batch
        (distinct files over images). Under other groups, for images that are not found: pixels_of_file and images_found beside
        files that are changed in a known way.
    """
    match = best_files(images_NCHW, files, padding=padding)
    found_N = match.shares_N > _FOUND
    rows = found_N.nonzero().flatten().tolist()
    measured = [
        Measurement("pixels_of_file", float(match.shares_N.median()), "share"),
        Measurement("file_correlation", float(match.correlations_N.median()), "correlation"),
        Measurement("images_found", float(found_N.float().mean()), "share"),
        Measurement("images_unchanged", _unchanged(images_NCHW, files, match), "share"),
    ]
    if rows:
        right = sum(any(int(labels_N[row]) in files.labels[file] for file in match.alike[row]) for row in rows)
        distinct = len({int(match.files_N[row]) for row in rows})
        measured += [
            Measurement("labels_of_file", right / len(rows), "share", note=f"{len(rows)} images"),
            Measurement("files_in_batch", distinct / len(rows), "share"),
        ]
    return (*measured, *_otherwise(images_NCHW[~found_N], files, padding, known_changes(*normalisation), of=len(images_NCHW)))


def _unchanged(images_NCHW: Tensor, files: Files, match: Match) -> float:
    apart_N = (images_NCHW.float() - files.images_MCHW[match.files_N].float()).abs().amax((1, 2, 3))
    return float((apart_N < _SAME).float().mean())


def _otherwise(lost_NCHW: Tensor, files: Files, padding: int, changes: Mapping[str, Change], *, of: int) -> list[Measurement]:
    """Look for images that were not found once more, among files changed in each known way."""
    measured = []
    for what, change in changes.items() if len(lost_NCHW) else ():
        changed = replace(files, images_MCHW=change(files.images_MCHW.float()))
        shares_N = best_files(lost_NCHW, changed, padding=padding).shares_N
        measured += [
            Measurement("pixels_of_file", float(shares_N.median()), "share", group=what),
            Measurement("images_found", float((shares_N > _FOUND).sum()) / of, "share", group=what),
        ]
    return measured


def known_changes(mean: Sequence[float], std: Sequence[float]) -> dict[str, Change]:
    """Return what may have been done to pictures by mistake.

    Args:
        mean, std: of the channels, on the 0-255 scale, that pictures are normalised with afterwards.
    """
    mean_C11, std_C11 = (torch.tensor(values)[:, None, None] for values in (mean, std))

    def of_pixels(change: Change) -> Change:
        return lambda files_MCHW: (change(files_MCHW * std_C11 + mean_C11) - mean_C11) / std_C11

    found: dict[str, Change] = {"upside down": lambda files_MCHW: files_MCHW.flip(2)}
    for order in list(permutations(range(3)))[1:]:
        found[f"channels in the order {order[0]}{order[1]}{order[2]}"] = of_pixels(_reordered(order))
    found["channels reversed after normalising"] = _reordered((2, 1, 0))
    found["colours inverted"] = of_pixels(lambda files_MCHW: _WHITE - files_MCHW)
    found["colours gone"] = of_pixels(_grey)
    return found


@torch.no_grad()
def best_files(images_NCHW: Tensor, files: Files, *, padding: int) -> Match:
    """Return the file that each image shows, up to mirroring, a shift of at most `padding` pixels and covered parts."""
    both_ways = torch.cat([_descriptors(files.images_MCHW), _descriptors(files.images_MCHW.flip(3))])
    pieces = [
        _best(part_NCHW, files.images_MCHW, both_ways, padding)
        for part_NCHW in images_NCHW.float().cpu().split(_chunk(images_NCHW))
    ]
    shares, files_found, correlations, alike = zip(*pieces, strict=True)
    return Match(torch.cat(shares), torch.cat(files_found), torch.cat(correlations), tuple(itertools.chain(*alike)))


def _chunk(images_NCHW: Tensor) -> int:
    return max(1, _CHUNK_VALUES // (4 * (_CLOSE + _ALIKE) * images_NCHW[0].numel()))


def _best(
    images_NCHW: Tensor, files_MCHW: Tensor, both_ways: Tensor, padding: int
) -> tuple[Tensor, Tensor, Tensor, list[frozenset[int]]]:
    num_images, num_files = len(images_NCHW), len(files_MCHW)
    mine_ND = _descriptors(images_NCHW)
    chosen_NK = torch.cat([
        _distance(mine_ND, both_ways).topk(min(_CLOSE, 2 * num_files), dim=1, largest=False).indices,
        _distance(_scaled(mine_ND), _scaled(both_ways)).topk(min(_ALIKE, 2 * num_files), dim=1, largest=False).indices,
    ], dim=1)  # fmt: skip
    count = chosen_NK.shape[1]
    rows_P, files_P = torch.arange(num_images).repeat_interleave(count), chosen_NK.flatten() % num_files
    theirs_PCHW = files_MCHW[files_P].float()
    is_mirrored_P = chosen_NK.flatten() >= num_files
    theirs_PCHW = torch.where(is_mirrored_P[:, None, None, None], theirs_PCHW.flip(3), theirs_PCHW)
    shares_P, correlations_P = _compared(images_NCHW[rows_P], theirs_PCHW, padding)
    share_NK, correlation_NK = shares_P.view(num_images, count), correlations_P.view(num_images, count)
    # where nothing is equal to the digit, the file that looks most alike is the best
    best_N1 = (share_NK + 1e-3 * correlation_NK).argmax(1, keepdim=True)
    files_NK = files_P.view(num_images, count)
    best_share_N = share_NK.gather(1, best_N1)[:, 0]
    is_alike_NK = share_NK >= best_share_N[:, None] - _NEARLY
    alike = [frozenset(files_K[is_K].tolist()) for files_K, is_K in zip(files_NK, is_alike_NK, strict=True)]
    return best_share_N, files_NK.gather(1, best_N1)[:, 0], correlation_NK.amax(1), alike


def _descriptors(images_NCHW: Tensor) -> Tensor:
    """Mean colours on a coarse grid, (N, D)."""
    return F.adaptive_avg_pool2d(images_NCHW.float(), _GRID).flatten(1)


def _compared(mine_PCHW: Tensor, theirs_PCHW: Tensor, padding: int) -> tuple[Tensor, Tensor]:
    """Share of equal pixels and correlation of each pair, each at the best of a few shifts."""
    shares, correlations = [], []
    for shifts_P2 in _shifts(mine_PCHW, theirs_PCHW, padding).unbind(1):
        moved_PCHW, overlap_PHW = _shifted(theirs_PCHW, shifts_P2)
        same_PHW = ((mine_PCHW - moved_PCHW).abs().amax(1) < _SAME) & overlap_PHW
        shares.append(same_PHW.sum((1, 2)) / overlap_PHW.sum((1, 2)).clamp(min=1))
        correlations.append(_correlation(mine_PCHW, moved_PCHW, overlap_PHW))
    return torch.stack(shares).amax(0), torch.stack(correlations).amax(0)


def _scaled(values_ND: Tensor) -> Tensor:
    return (values_ND - values_ND.mean(1, keepdim=True)) / values_ND.std(1, correction=0, keepdim=True).clamp(min=1e-6)


def _distance(mine_ND: Tensor, theirs_MD: Tensor) -> Tensor:
    """Mean difference over the cells; one that differs much counts no more than another: a part of the image may be covered."""
    return torch.stack([(mine_D - theirs_MD).abs().clamp(max=_COVERED).mean(1) for mine_D in mine_ND])


def _shifts(mine_PCHW: Tensor, theirs_PCHW: Tensor, padding: int) -> Tensor:
    """Rows and columns by which the file may have to be moved: the highest values of two correlations, (P, few, 2)."""
    height, width = mine_PCHW.shape[2:]
    size = (2 * height, 2 * width)
    grey = [one.mean(1) - one.mean((1, 2, 3))[:, None, None] for one in (mine_PCHW, theirs_PCHW)]
    mine, theirs = (torch.fft.rfft2(one, s=size) for one in grey)
    product = mine * theirs.conj()
    # phases alone find what is sharp, whatever covers the rest; the plain correlation finds what is blurred
    by_phase = product / product.abs().clamp(min=1e-9)
    reach = torch.arange(-padding, padding + 1)
    best = []
    for spectrum, count in ((by_phase, _PEAKS), (product, 1)):
        heights_PHW = torch.fft.irfft2(spectrum, s=size)
        window_PR = heights_PHW[:, reach % size[0]][:, :, reach % size[1]].flatten(1)
        best.append(window_PR.topk(min(count, window_PR.shape[1]), dim=1).indices)
    places_PK = torch.cat(best, dim=1)
    return torch.stack([reach[places_PK // len(reach)], reach[places_PK % len(reach)]], dim=2)


def _shifted(images_PCHW: Tensor, shifts_P2: Tensor) -> tuple[Tensor, Tensor]:
    """Move images by whole pixels; returns them and where they still have values."""
    height, width = images_PCHW.shape[2:]
    rows_PH = torch.arange(height) - shifts_P2[:, :1]
    columns_PW = torch.arange(width) - shifts_P2[:, 1:]
    inside_PHW = ((rows_PH >= 0) & (rows_PH < height))[:, :, None] & ((columns_PW >= 0) & (columns_PW < width))[:, None, :]
    every_P = torch.arange(len(images_PCHW))[:, None, None]
    moved_PHWC = images_PCHW.permute(0, 2, 3, 1)[
        every_P, rows_PH.clamp(0, height - 1)[:, :, None], columns_PW.clamp(0, width - 1)[:, None, :]
    ]
    return moved_PHWC.permute(0, 3, 1, 2), inside_PHW


def _correlation(mine_PCHW: Tensor, theirs_PCHW: Tensor, where_PHW: Tensor) -> Tensor:
    weight_P1HW = where_PHW[:, None].float()
    count_P111 = weight_P1HW.sum((2, 3), keepdim=True).clamp(min=1)
    centred = [
        (one - (one * weight_P1HW).sum((2, 3), keepdim=True) / count_P111) * weight_P1HW for one in (mine_PCHW, theirs_PCHW)
    ]
    mine_PD, theirs_PD = (one.flatten(1) for one in centred)
    return (mine_PD * theirs_PD).sum(1) / (mine_PD.norm(dim=1) * theirs_PD.norm(dim=1)).clamp(min=1e-9)


def _grey(files_MCHW: Tensor) -> Tensor:
    shares_C11 = torch.tensor(_LUMA)[:, None, None]
    return (files_MCHW * shares_C11).sum(1, keepdim=True).expand_as(files_MCHW)


def _reordered(order: Sequence[int]) -> Change:
    return lambda files_MCHW: files_MCHW[:, list(order)]
