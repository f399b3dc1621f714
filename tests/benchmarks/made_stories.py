"""Answers, finished runs and stories made by hand, for the tests of PlateauBench."""

from benchmarks.plateaubench.baselines import BASELINES
from benchmarks.plateaubench.diagnosing import Answer
from benchmarks.plateaubench.fault import fault
from benchmarks.plateaubench.planning import Planned
from benchmarks.plateaubench.report import Done
from benchmarks.plateaubench.training import Story

SILENT = Answer(False, (), 0.0)


def told(*sets: str, confidence: float = 0.9) -> Answer:
    return Answer(True, tuple(tuple(words.split()) for words in sets), confidence, tuple("a code" for _ in sets))


def done(group_name: str, name: str, final_map: float, answer: Answer = SILENT) -> Done:
    planted = fault(name, "labels-shuffled", lambda experiment: None) if group_name == "fault" else None
    story = {
        "final_map": final_map, "problem": "",
        "seconds": {"training": 1.0, "watching": 0.0}, "log": [{"iteration": 15}],
    }  # fmt: skip
    names = ("log", "checkpoints", "probes", *BASELINES)
    return Done(Planned(group_name, name, 1, planted), story, dict.fromkeys(names, answer))


def made_story():
    log = [{"epoch": epoch, "iteration": epoch, "lr": 1e-3, "loss": 5.0 - epoch, "mAP": 0.1 * epoch} for epoch in range(1, 4)]
    return Story(log, {}, [], [], [], [vital()], 0.3, "", {"training": 1.0, "watching": 0.0})


def vital(**changes: float) -> dict:
    healthy = {
        "first_gradient": 0.5, "last_gradient": 0.2, "least_mean_gradient": 1e-4, "zero_gradients": 0.1, "rate_ratio_low": 1e-3,
        "rate_ratio_high": 1e-2, "update_low": 1e-3, "update_high": 1e-2, "unchanged_tensors": 0, "input_low": -2.1,
        "input_high": 2.6, "input_mean": 0.1, "label_imbalance": 1.0, "weight_variance_ratio": 50.0, "mean_output": 1.0,
        "large_outputs": 0.0, "not_positive": 0.5, "dead_units": 0.0,
    }  # fmt: skip
    return {**healthy, **changes}
