"""Makes run folders without training, to try the report on: synthetic, and each run says so in its notes.

python benchmarks/report/made_runs.py FOLDER --runs 20 --epochs 120
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from unplateau.base.files import write_json
from unplateau.config.delta import flatten, to_yaml, with_values
from unplateau.config.schema import Config
from unplateau.report.selection_words import how_sure
from unplateau.report.solutions_content import SolutionsReport
from unplateau.runs.layout import RunFolder
from unplateau.runs.record import EpochRecord, RankedImage, RankedQuery, RankList, RetrievalMetrics, StopReason, to_plain
from unplateau.runs.writer import RunWriter
from unplateau.selection.select import select
from unplateau.selection.statistics import ValidationCurve

NOTE = "Synthetic: made to try the report. No training took place."
IDENTITIES, QUERIES_EACH, TRAIN_IDENTITIES = 75, 4, 676
_SOLUTIONS = (
    "solution_0_control", "solution_1_higher_lr", "solution_2_cosine_annealing", "solution_3_heavy_triplet",
    "solution_4_aggressive_lr_drop", "solution_5_smaller_batch_higher_lr",
)  # fmt: skip
_PERSONS_Q = np.repeat(np.arange(1, IDENTITIES + 1), QUERIES_EACH)
_VARIANTS = (
    {},
    {"SOLVER.BASE_LR": 0.0007},
    {"SOLVER.SCHED": "CosineAnnealingLR"},
    {"MODEL.LOSSES.CE.SCALE": 0.3, "MODEL.LOSSES.TRI.SCALE": 2.0},
    {"SOLVER.BASE_LR": 0.001, "SOLVER.STEPS": (20, 50)},
    {"SOLVER.IMS_PER_BATCH": 32, "SOLVER.BASE_LR": 0.001},
)


def make_run(path: Path, *, epochs: int = 60, seed: int = 0, is_stalled: bool = False, is_over: bool = True) -> RunFolder:
    """Make one run folder and return it.

    Args:
        path: the folder, which is made.
        epochs: how many epochs it has.
        seed: of its curves; also picks the change of configuration.
        is_stalled: whether it sits at the initialisation value, as a run whose weights do not move.
        is_over: whether it has a stopping reason.
    """
    rng = np.random.default_rng(seed)
    writer, config = RunWriter(RunFolder(path)), _config(seed, epochs)
    writer.config(to_yaml(config))
    writer.folder.log.write_text("synthetic\n", encoding="utf-8")
    skill, speed = rng.uniform(0.3, 0.62), rng.uniform(8, 25)
    hardness_Q = np.repeat(rng.normal(0, 0.17, IDENTITIES), QUERIES_EACH) + rng.normal(0, 0.1, len(_PERSONS_Q))
    rows, records = [], []
    for epoch in range(1, epochs + 1):
        level = 0.02 if is_stalled else 0.05 + skill * (1 - np.exp(-epoch / speed))
        rows.append(np.clip(level + hardness_Q * (0.05 if is_stalled else 1) + rng.normal(0, 0.02), 0.001, 1).astype(np.float32))
        records.append(_epoch(epoch, epochs, rng, float(rows[-1].mean()), is_stalled, config))
    best = max(record.validation.mAP for record in records if record.validation)
    is_best = np.maximum.accumulate([record.validation.mAP for record in records if record.validation])
    for record, so_far in zip(records, is_best, strict=True):
        assert record.validation is not None  # made above
        writer.epoch(replace(record, is_best=bool(record.validation.mAP == so_far)))
    arrays = {"validation_epochs": np.arange(1, epochs + 1), "validation_average_precision": np.stack(rows)}
    writer.average_precision({**arrays, "validation_person_ids": _PERSONS_Q})
    writer.folder.best_model.write_bytes(b"synthetic")
    write_json(writer.folder.rank_lists, [to_plain(_rank_list(rng))])
    _info_and_stop(writer, epochs, best, is_over, seed)
    return writer.folder


def _config(seed: int, epochs: int) -> Config:
    base = {
        "SOLVER.MAX_EPOCH": epochs, "SOLVER.BASE_LR": 0.00035, "SOLVER.STEPS": (40, 90), "SOLVER.IMS_PER_BATCH": 64,
        "DATALOADER.SAMPLER_TRAIN": "NaiveIdentitySampler", "MODEL.LOSSES.NAME": ("CrossEntropyLoss", "TripletLoss"),
        "MODEL.LOSSES.CE.EPSILON": 0.1, "SEED": seed,
    }  # fmt: skip
    return with_values(Config(), {**base, **_VARIANTS[seed % len(_VARIANTS)]})


def _epoch(epoch: int, epochs: int, rng: np.random.Generator, score: float, is_stalled: bool, config: Config) -> EpochRecord:
    done = 1 - np.exp(-epoch / 18)
    cross_entropy = 6.618 + rng.normal(0, 0.008) if is_stalled else 6.6 - 5.3 * done + rng.normal(0, 0.03)
    triplet = 2.82 + rng.normal(0, 0.02) if is_stalled else 1.1 * (1 - done) + 0.05 + abs(rng.normal(0, 0.01))
    rate = config.SOLVER.BASE_LR * 0.1 ** sum(epoch > step for step in config.SOLVER.STEPS)
    if config.SOLVER.SCHED == "CosineAnnealingLR":
        rate = config.SOLVER.BASE_LR * (0.5 * (1 + np.cos(np.pi * epoch / (epochs + 1))))
    metrics = RetrievalMetrics(
        "held-out", score, 0.3 * score, {"1": min(1.0, 1.35 * score), "5": min(1.0, 1.6 * score), "10": min(1.0, 1.75 * score)},
        len(_PERSONS_Q), 1296, IDENTITIES, 0.021, "Market1501", {"metric": "cosine"},
    )  # fmt: skip
    measurements = {
        "weight_motion": 0.0 if is_stalled else 1e-3 * rate / config.SOLVER.BASE_LR * rng.uniform(0.8, 1.2),
        "gradient_norm": rng.uniform(4, 6) if is_stalled else 6 * (1 - done) + rng.uniform(0.5, 0.9),
        "active_triplets": 0.99 if is_stalled else 1 - 0.9 * done,
        "d_ap": 9.0 if is_stalled else 9 - 6 * done,
        "d_an": 6.4 if is_stalled else 6.4 + 1.5 * done,
        "positives_per_anchor": 3.0,
    }
    weights = config.MODEL.LOSSES
    return EpochRecord(
        epoch, 165 * epoch, float(rate), float(weights.CE.SCALE * cross_entropy + weights.TRI.SCALE * triplet),
        {"cross_entropy": float(cross_entropy), "triplet": float(triplet)}, accuracy=0.001 if is_stalled else float(0.97 * done),
        measurements={name: float(value) for name, value in measurements.items()}, train_seconds=float(rng.uniform(58, 63)),
        validation_seconds=6.2, images_per_second=float(rng.uniform(168, 182)), validation=metrics,
    )  # fmt: skip


def _rank_list(rng: np.random.Generator) -> RankList:
    queries = []
    for kind, score, first in (("best", 1.0, 1), ("median", 0.48, 2), ("worst", 0.01, 61)):
        answers = tuple(
            RankedImage(f"made/{place:04d}_c{place % 6 + 1}s1_000000_00.jpg", 7, place % 6, bool(rng.random() < score))
            for place in range(10)
        )
        queries.append(RankedQuery(kind, score, first, RankedImage("made/0007_c1s1_000000_00.jpg", 7, 0), answers))
    return RankList("held-out", "Market1501", tuple(queries))


def _info_and_stop(writer: RunWriter, epochs: int, best: float, is_over: bool, seed: int) -> None:
    info = {
        "run": writer.folder.name,
        "data": {"train_identities": TRAIN_IDENTITIES, "train_images": 11_640, "validation": "held-out Market1501"},
        "model": {"backbone": "build_resnet_backbone", "parameters": 23_500_000, "feature_dim": 2048, "embedding_dim": 2048},
        "seed": seed,
        "notes": [NOTE],
        "provenance": {"command_line": ["made_runs.py"], "system": "none", "versions": {"numpy": np.__version__}},
    }
    if is_over:
        reason = StopReason(
            "completed", "Training completed all epochs", ("Validation mAP was still improving from epoch 40 on.",),
            ("May gain from more epochs: it never plateaued. Check whether it was still improving.",),
            epochs_trained=epochs, max_epochs=epochs, best_epoch=epochs, best_map=best, best_protocol="held-out",
        )  # fmt: skip
        writer.stop(reason, f"STOPPING REASON: {reason.headline}\n")
    writer.info(info)


def make_solutions(folder: Path, *, epochs: int = 45) -> Path:
    """Make a folder as `run-solutions` leaves it, with the selection that the product makes of the runs; return it."""
    curves, runs = [], {}
    for seed, name in enumerate(_SOLUTIONS):
        run = make_run(folder / name, epochs=epochs, seed=seed)
        with np.load(run.average_precision) as arrays:
            values_EQ, persons_Q = arrays["validation_average_precision"].astype(float), arrays["validation_person_ids"]
        curves.append(ValidationCurve(name, np.arange(1, epochs + 1), values_EQ, persons_Q))
        changes = {key: [flatten(Config())[key], value] for key, value in _VARIANTS[seed].items()}
        runs[name] = {"ended": f"Training completed all epochs ({epochs}/{epochs})", "code": "completed", "changes": changes}
    selection = select(curves, control=_SOLUTIONS[0])
    plain = {"winner": selection.ranked[0].name, "helped": [], "selection": to_plain(selection), "tests": [], "runs": runs}
    sure = how_sure(SolutionsReport(selection, (), protocol="held-out"))
    write_json(folder / "selection.json", {**plain, "broken_pipeline": "", "how_sure": sure, "protocol": "held-out"})
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=120)
    arguments = parser.parse_args()
    for seed in range(arguments.runs):
        make_run(
            arguments.folder / f"made_{seed:02d}", epochs=arguments.epochs, seed=seed, is_stalled=seed == 7, is_over=seed != 9
        )
    print(f"{arguments.runs} synthetic runs of {arguments.epochs} epochs in {arguments.folder}")


if __name__ == "__main__":
    main()
