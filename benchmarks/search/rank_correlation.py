"""How much an early epoch says of the whole training: rank correlation on the recorded trials (`record_trials.py`).

python benchmarks/search/rank_correlation.py benchmarks/results/search/trials.jsonl
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from unplateau.base.files import read_json_lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    lines = read_json_lines(parser.parse_args().table)
    curves_TE = np.array([line["held_out_map"] for line in lines])
    test_T = np.array([line["test_map"] for line in lines])
    rng = np.random.default_rng(0)
    print(f"{len(lines)} trials; Spearman's rank correlation with 95 % bootstrap interval over trials")
    print(
        "| best held-out mAP up to epoch | with the test mAP of the whole training | rank of the trial with the best test mAP |"
    )
    print("|---|---|---|")
    for epoch in range(1, curves_TE.shape[1] + 1):
        best_T = curves_TE[:, :epoch].max(axis=1)
        draws = [rng.integers(len(lines), size=len(lines)) for _ in range(2000)]
        low, high = np.percentile([spearmanr(best_T[rows], test_T[rows])[0] for rows in draws], (2.5, 97.5))
        rank = 1 + int((best_T > best_T[test_T.argmax()]).sum())
        print(f"| {epoch} | {spearmanr(best_T, test_T)[0]:.2f} ({low:.2f} to {high:.2f}) | {rank} |")


if __name__ == "__main__":
    main()
