"""One table of several reports of PlateauBench: the standard one, other data, another network, another seed.

    python benchmarks/plateaubench/across.py [--output benchmarks/results/plateaubench_across.md]

Reads what `measure.py` wrote into benchmarks/results; trains and judges nothing. A report that is not there has no row.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.plateaubench.baselines import BASELINES  # noqa: E402
from benchmarks.plateaubench.scoring import interval  # noqa: E402

REPORTS = (
    ("standard: MiniMarket, standard network", "plateaubench"),
    ("the same, second seed", "plateaubench_seed2"),
    ("another network (residual)", "plateaubench_residual"),
    ("another network (OSNet x0.25)", "plateaubench_osnet_x0_25"),
    ("photographs: Market-1501 mini", "plateaubench_market1501mini"),
    ("photographs: PKU", "plateaubench_pku"),
    ("mistakes in the configuration", "plateaubench_configured"),
)
"""(what it is of, its file), in the order of the table."""
_HEADER = (
    "| runs | hurt of planted | top-1 | top-3 | silent | wrong | surely wrong | false alarms | best baseline | repaired |\n"
    "|---|---|---|---|---|---|---|---|---|---|"
)


def row(what: str, report: dict[str, Any]) -> str:
    """Return a report's line of the table; all figures with watching and probes."""
    told, hurt = report["scores"]["probes"]["all"], sum(fault["hurts"] for fault in report["faults"])
    alarms, repair = report["false_alarms"]["probes"], report.get("repair")
    low, high = interval(told["top1"], hurt)
    best = max(report["scores"][name]["all"]["top1"] for name in BASELINES)
    cells = (
        what,
        f"{hurt} of {len(report['faults'])}",
        f"{_share(told['top1'], hurt)}, {100 * low:.0f} to {100 * high:.0f} %",
        *(_share(told[name], hurt) for name in ("top3", "abstained", "wrong", "surely_wrong")),
        f"{alarms['count']} of {alarms['of']}",
        _share(best, hurt),
        "–" if repair is None else f"{_share(repair['repaired'], hurt)}, {repair['cured']} by a trained change",
    )
    return f"| {' | '.join(cells)} |"


def table(folder: Path) -> str:
    """Return the table of the reports in a folder."""
    found = ((what, folder / f"{name}.json") for what, name in REPORTS)
    rows = [row(what, json.loads(path.read_text(encoding="utf-8"))) for what, path in found if path.exists()]
    return "\n".join([_HEADER, *rows])


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/plateaubench_across.md"))
    arguments = parser.parse_args()
    lines = [
        "# PlateauBench: other data, another network, another seed",
        "`benchmarks/plateaubench/across.py`, from the reports beside it (each says its machine, seeds and protocol). With "
        "watching and probes; intervals are of 95 %. Rules, thresholds and fault kinds were tuned on the first row, "
        "and one rule on a run of Market-1501.",
        table(arguments.results),
    ]
    text = "\n\n".join(lines) + "\n"
    arguments.output.write_text(text, encoding="utf-8")
    print(text)


def _share(part: int, count: int) -> str:
    return f"{part / count:.0%} ({part}/{count})" if count else "–"


if __name__ == "__main__":
    main()
