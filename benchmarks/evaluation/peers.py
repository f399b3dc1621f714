"""Ranking and re-ranking beside two published programs on the same features, in turns in one process: time, memory, equality.

    python benchmarks/evaluation/peers.py --fastreid FOLDER [--torchreid FILE] [--sizes market msmt17] [--write FILE.md]

FOLDER holds fast-reid's compiled ranking (the module `rank_cy`, of its fastreid/evaluation/rank_cylib: `python setup.py
build_ext --inplace` in it); FILE is torchreid's torchreid/utils/rerank.py. Neither comes with this project. The peers are given
what they ask for, the matrix of distances; computing it (one chunked product) counts on both sides, as both need it.
Memory is resident memory above the features at its highest, each side in a process of its own.
"""

import argparse
import importlib.util
import multiprocessing
import os
import resource
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.evaluation.measure import SIZES, draw, timed
from unplateau.evaluation import Embedded, retrieve
from unplateau.evaluation.reranking import retrieve_reranked

SPREAD = 2.0  # a good model
MAX_RANK = 50


@dataclass(frozen=True)
class Sides:
    """The same measurement by us and by the peer; each returns mAP."""

    title: str
    peer: str
    ours: Callable[[Embedded, Embedded], float]
    theirs: Callable[[Embedded, Embedded], float]


def module_of(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compiled(folder: Path) -> ModuleType:
    files = [*folder.glob("rank_cy*.so"), *folder.glob("rank_cy*.pyd")]
    if not files:
        raise SystemExit(f"{folder} holds no compiled rank_cy. Build it there: python setup.py build_ext --inplace.")
    return module_of(files[0], "rank_cy")


def unit(features_ND: np.ndarray) -> np.ndarray:
    return features_ND / np.linalg.norm(features_ND, axis=1, keepdims=True)


def distances(one_ND: np.ndarray, other_MD: np.ndarray) -> np.ndarray:
    product_NM = unit(one_ND) @ unit(other_MD).T
    return np.subtract(1, product_NM, out=product_NM)


def ranked_by(rank_cy: ModuleType, distances_QG: np.ndarray, query: Embedded, gallery: Embedded) -> float:
    ids = (query.person_ids_N, gallery.person_ids_N, query.camera_ids_N, gallery.camera_ids_N)
    average_precision_Q = np.asarray(rank_cy.evaluate_cy(distances_QG, *ids, MAX_RANK)[1])
    return float(average_precision_Q.mean())


def ranking(rank_cy: ModuleType) -> Sides:
    return Sides(
        "ranking",
        "fast-reid, Cython",
        lambda query, gallery: retrieve(query, gallery).metrics.mAP,
        lambda query, gallery: ranked_by(rank_cy, distances(query.features_ND, gallery.features_ND), query, gallery),
    )


def reranking(rerank: ModuleType, rank_cy: ModuleType) -> Sides:
    def theirs(query: Embedded, gallery: Embedded) -> float:
        of_queries, of_gallery = query.features_ND, gallery.features_ND
        pairs = (of_queries, of_gallery), (of_queries, of_queries), (of_gallery, of_gallery)
        # The formula squares its distances; Euclidean ones, as the paper and as ours.
        euclidean = [np.sqrt(np.maximum(0, 2 * distances(*pair))) for pair in pairs]
        return ranked_by(rank_cy, rerank.re_ranking(*euclidean), query, gallery)

    return Sides("re-ranking", "torchreid", lambda query, gallery: retrieve_reranked(query, gallery).metrics.mAP, theirs)


def highest_memory(side: Callable[[Embedded, Embedded], float], query: Embedded, gallery: Embedded) -> float:
    """Return megabytes resident above what the process held before, in a child of its own."""

    def measure(answer: "multiprocessing.connection.Connection") -> None:  # type: ignore[name-defined]
        with Path("/proc/self/clear_refs").open("w", encoding="ascii") as reset:
            reset.write("5")  # the highest mark starts anew
        before = _highest()
        side(query, gallery)
        answer.send(_highest() - before)

    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=measure, args=(sender,))
    child.start()
    sender.close()
    try:
        return float(receiver.recv())
    except EOFError:
        return float("nan")  # it was killed: out of memory
    finally:
        child.join()


def _highest() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def row(sides: Sides, size_name: str, repeats: int) -> str:
    query, gallery = draw(SIZES[size_name], SPREAD)
    ours_mb, theirs_mb = (highest_memory(side, query, gallery) for side in (sides.ours, sides.theirs))
    if np.isnan(theirs_mb):
        return (
            f"| {sides.title}, {SIZES[size_name].title} | {sides.peer} | killed | | | {ours_mb:.0f} | above this machine's | | |"
        )
    scores: list[float] = []
    turns = []
    for _ in range(repeats):
        ours = timed(lambda: scores.append(sides.ours(query, gallery)))[0]
        theirs = timed(lambda: scores.append(sides.theirs(query, gallery)))[0]
        turns.append((ours, theirs))
    ratios = sorted(theirs / ours for ours, theirs in turns)
    seconds = " | ".join(f"{statistics.median(column):.2f}" for column in zip(*turns, strict=True))
    ratio = f"**{statistics.median(ratios):.1f}** ({ratios[0]:.1f}–{ratios[-1]:.1f})"
    memory = f"{ours_mb:.0f} | {theirs_mb:.0f} | 1/{theirs_mb / max(ours_mb, 1e-9):.0f}"
    title = f"{sides.title}, {SIZES[size_name].title}"
    return f"| {title} | {sides.peer} | {seconds} | {ratio} | {memory} | {abs(scores[0] - scores[1]):.0e} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fastreid", type=Path, required=True)
    parser.add_argument("--torchreid", type=Path)
    parser.add_argument("--sizes", nargs="+", default=["market"], choices=["market", "msmt17"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    rank_cy = compiled(options.fastreid)
    lines = ["| | peer | ours, s | peer, s | peer / ours (range) | ours, MB | peer, MB | memory | mAP differs by |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    lines += [row(ranking(rank_cy), name, options.repeats) for name in options.sizes]
    if options.torchreid:
        lines.append(row(reranking(module_of(options.torchreid, "rerank"), rank_cy), "market", min(options.repeats, 2)))
    from benchmarks.machine import machine_line  # loads torch, which must not count in the memory

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    head = (
        f"{machine_line()}; 512-d, cosine, camera rule; load average at the start {load_before:.1f}; process peak {peak:.1f} GB"
    )
    text = "\n".join(
        ["# Evaluation beside published programs", "", "`python benchmarks/evaluation/peers.py`", "", head, "", *lines]
    )
    print(text)
    if options.write:
        options.write.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
