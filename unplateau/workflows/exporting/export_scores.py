"""The scores of a run as its records have them, with intervals where the average precision of each query was kept."""

import numpy as np

from unplateau.export.model_card import Score
from unplateau.runs.reader import RunRecord, read_average_precision
from unplateau.runs.record import RetrievalMetrics, from_plain
from unplateau.selection.crossed import Panel
from unplateau.selection.statistics import Estimate


def scores_of(run: RunRecord) -> tuple[Score, ...]:
    """Return the validation's score at the best epoch and the test scores, in this order; what was not measured is left out."""
    arrays = read_average_precision(run.folder)
    tests = tuple(from_plain(RetrievalMetrics, plain) for plain in run.info.get("test", []))
    times = int(run.info.get("times_test_was_scored", 1))
    scores = [Score(metrics, _estimate(arrays, _prefix_of(metrics)), times) for metrics in tests]
    if run.best is None or run.best.validation is None or run.best.validation.protocol == "test":
        return tuple(scores)  # validation on the test set is the test score
    return (Score(run.best.validation, _validation_estimate(arrays, run.best.epoch)), *scores)


def _prefix_of(metrics: RetrievalMetrics) -> str:
    is_reranked = any("rerank" in name.lower() or "rerank" in value.lower() for name, value in metrics.options.items())
    return f"test_{metrics.dataset}{'_reranked' if is_reranked else ''}"


def _validation_estimate(arrays: dict[str, np.ndarray], epoch: int) -> Estimate | None:
    if epoch not in arrays.get("validation_epochs", ()):
        return None
    row = int(np.flatnonzero(arrays["validation_epochs"] == epoch)[0])
    return _interval(arrays["validation_average_precision"][row], arrays["validation_person_ids"])


def _estimate(arrays: dict[str, np.ndarray], prefix: str) -> Estimate | None:
    names = (f"{prefix}_average_precision", f"{prefix}_person_ids")
    return _interval(*(arrays[name] for name in names)) if all(name in arrays for name in names) else None


def _interval(average_precision_Q: np.ndarray, person_ids_Q: np.ndarray) -> Estimate:
    return Panel(person_ids_Q).mean(average_precision_Q[None].astype(np.float64)).estimate()
