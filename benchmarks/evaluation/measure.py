"""Ranking and re-ranking against the bare chunked matrix product, their limit, at three published sizes; and equality
with a plain sort. Both sides run in turns in one process; ratios are medians over the turns.

    python benchmarks/evaluation/measure.py [--sizes market msmt17 distractors reranking] [--repeats 3] [--out FILE.md]

Features are drawn: 512 numbers, identities planted with a spread that gives the mAP shown. The machine should be quiet:
the product uses all cores and ranking mostly one, so other people's load changes the ratio.
"""

import argparse
import os
import resource
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from unplateau.evaluation import Embedded, retrieve
from unplateau.evaluation.matches import find_matches
from unplateau.evaluation.reranking import retrieve_reranked
from unplateau.evaluation.scores import DEFAULT_MEMORY_MEGABYTES, block_rows, score_blocks

DIM, CAMERAS = 512, 6


@dataclass(frozen=True)
class Size:
    title: str
    num_queries: int
    num_gallery: int
    num_identities: int
    num_distractors: int = 0
    oracle_queries: int = 100


SIZES = {
    "market": Size("Market-1501: 3,368 × 15,913", 3_368, 15_913, 751, oracle_queries=3_368),
    "msmt17": Size("MSMT17: 11,659 × 82,161", 11_659, 82_161, 3_060),
    "distractors": Size("Market-1501 + 500k distractors: 3,368 × 515,913", 3_368, 15_913, 751, 500_000, 40),
}


def draw(size: Size, spread: float) -> tuple[Embedded, Embedded]:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((size.num_identities, DIM), dtype=np.float32)

    def images(num: int, num_distractors: int) -> Embedded:
        features = np.empty((num + num_distractors, DIM), np.float32)
        rng.standard_normal(out=features, dtype=np.float32)
        persons = np.concatenate((rng.integers(0, size.num_identities, num), np.full(num_distractors, size.num_identities)))
        features[:num] = spread * features[:num] + centres[persons[:num]]
        return Embedded(features, persons, rng.integers(0, CAMERAS, len(persons)))

    return images(size.num_queries, 0), images(size.num_gallery, size.num_distractors)


def bare_product(query_QD: np.ndarray, gallery_GD: np.ndarray, num_rows: int) -> None:
    buffer = np.empty((num_rows, len(gallery_GD)), np.float32)
    for start in range(0, len(query_QD), num_rows):
        block = query_QD[start : start + num_rows]
        np.matmul(block, gallery_GD.T, out=buffer[: len(block)])


def in_turns(one: Callable[[], object], other: Callable[[], object], repeats: int) -> str:
    turns = [(*timed(one), *timed(other)) for _ in range(repeats)]
    wall_one, cpu_one, wall_other, cpu_other = (statistics.median(column) for column in zip(*turns, strict=True))
    ratios = sorted(turn[2] / turn[0] for turn in turns)
    return (
        f"{wall_one:.2f} | {wall_other:.2f} | **{statistics.median(ratios):.2f}** ({ratios[0]:.2f}–{ratios[-1]:.2f}) | "
        f"{cpu_one:.2f} | {cpu_other:.2f} | {cpu_other / cpu_one:.2f}"
    )


def timed(what: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    what()
    return time.perf_counter() - wall, time.process_time() - cpu


def peak_megabytes(what: Callable[[], object]) -> float:
    """Return what NumPy and Python allocate at most while it runs, beyond what there was."""
    tracemalloc.start()
    try:
        what()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def largest_difference_from_sorting(query: Embedded, gallery: Embedded) -> float:
    """Compare average precision with that of a full sort of the same scores, a query at a time."""
    found = retrieve(query, gallery)
    matches = find_matches(query, gallery)
    position_of = {row: position for position, row in enumerate(found.query_rows_Q.tolist())}
    num_rows = block_rows(
        *gallery.features_ND.shape,
        memory_megabytes=DEFAULT_MEMORY_MEGABYTES,
        other_numbers_a_row=16 * matches.most_own,
    )
    differences = []
    valid = query.rows(found.query_rows_Q)
    for rows, scores_BG in score_blocks(valid.features_ND, gallery.features_ND, metric="cosine", num_rows=num_rows):
        for scores_G, row in zip(scores_BG, found.query_rows_Q[rows].tolist(), strict=True):
            is_match_G = gallery.person_ids_N == query.person_ids_N[row]
            kept = ~(is_match_G & (gallery.camera_ids_N == query.camera_ids_N[row]))
            order = np.lexsort((is_match_G[kept], -scores_G[kept]))
            ranks = np.flatnonzero(is_match_G[kept][order]) + 1
            plain = np.mean(np.arange(1, len(ranks) + 1) / ranks)
            differences.append(abs(plain - found.average_precision_Q[position_of[row]]))
    return max(differences)


def ranking_row(size: Size, spread: float, repeats: int) -> str:
    query, gallery = draw(size, spread)
    num_rows = block_rows(*gallery.features_ND.shape, memory_megabytes=DEFAULT_MEMORY_MEGABYTES)
    metrics = retrieve(query.rows(np.arange(500)), gallery).metrics  # also warms up
    times = in_turns(
        lambda: bare_product(query.features_ND, gallery.features_ND, num_rows), lambda: retrieve(query, gallery), repeats
    )
    some = query.rows(np.arange(min(len(query), 2 * num_rows)))
    memory = peak_megabytes(lambda: retrieve(some, gallery))
    few = query.rows(np.arange(min(len(query), size.oracle_queries)))
    difference = largest_difference_from_sorting(few, gallery)
    return f"| {size.title} | {metrics.mAP:.2f} | {times} | {memory:.0f} | {difference:.0e} ({len(few):,}) |"


def reranking_row(repeats: int) -> str:
    query, gallery = draw(SIZES["market"], 2.0)
    everything = np.concatenate((query.features_ND, gallery.features_ND))
    times = in_turns(lambda: bare_product(everything, everything, 512), lambda: retrieve_reranked(query, gallery), repeats)
    memory = peak_megabytes(lambda: retrieve_reranked(query, gallery))
    metrics = retrieve_reranked(query, gallery).metrics
    return f"| re-ranking, Market-1501: 19,281 × 19,281 | {metrics.mAP:.2f} | {times} | {memory:.0f} | – |"


def circumstances() -> str:
    """Return the machine, and what else the numbers depend on: BLAS, other people's load, and this process's peak."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    from benchmarks.machine import machine_line  # loads torch, which must not count in the peak

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]  # type: ignore[index, call-overload]
    load = os.getloadavg()[0]
    return f"{machine_line()}; {blas['name']} {blas['version']}; load average at the end {load:.1f}; process peak {peak:.1f} GB."


HEADER = """| | mAP | product, s | ours, s | ratio (range) | product, CPU s | ours, CPU s | CPU ratio | extra MB | \
AP against a full sort (queries) |
|---|---|---|---|---|---|---|---|---|---|"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=[*SIZES, "reranking"], choices=[*SIZES, "reranking"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--spread", type=float, nargs="+", default=[2.0], help="higher is harder; 2 is a good model, 8 chance")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    lines = [HEADER]
    print(HEADER, flush=True)
    for name in arguments.sizes:
        for spread in arguments.spread if name != "reranking" else [2.0]:
            row = reranking_row(arguments.repeats) if name == "reranking" else ranking_row(SIZES[name], spread, arguments.repeats)
            lines.append(row)
            print(row, flush=True)
    lines.append("\n" + circumstances())
    print(lines[-1])
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
