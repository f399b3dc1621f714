"""`--eval-only`: score a model file, ours or another trainer's, or plain feature arrays. Trains nothing, writes nothing."""

from pathlib import Path

from unplateau.base.errors import UsageError
from unplateau.config.load import load
from unplateau.report.lines import metrics_line
from unplateau.runs.record import RetrievalMetrics


def run_scoring(
    config_file: Path | None, overrides: tuple[str, ...], *, features: Path | None = None
) -> tuple[RetrievalMetrics, ...]:
    """Score and print; return the scores.

    Raises:
        UsageError: there is nothing to score.
        WeightsError, DataError: with what does not fit.
    """
    results = _score_features(features, overrides) if features is not None else _score_model(config_file, overrides)
    for metrics in results:
        print(metrics_line(metrics))
    return results


def _score_features(path: Path, overrides: tuple[str, ...]) -> tuple[RetrievalMetrics, ...]:
    from unplateau.evaluation.features_file import read_query_and_gallery
    from unplateau.evaluation.ranking import retrieve

    metric = load(None, overrides).config.TEST.METRIC
    query, gallery = read_query_and_gallery(path)
    return (retrieve(query, gallery, metric=metric, protocol="test", dataset=path.stem).metrics,)


def _score_model(config_file: Path | None, overrides: tuple[str, ...]) -> tuple[RetrievalMetrics, ...]:
    from unplateau.data.find import find_items
    from unplateau.engine.precision import choose_device
    from unplateau.engine.ranks import join_ranks
    from unplateau.engine.scoring import RetrievalTask, Scorer
    from unplateau.models.build import build_model
    from unplateau.workflows.training.score_way import choice_for_scoring

    if config_file is None:
        raise UsageError(
            "--eval-only needs --config-file F: it says which network MODEL.WEIGHTS is for, and on what to score it."
        )
    config = load(config_file, overrides).config
    if not config.MODEL.WEIGHTS and not config.MODEL.BACKBONE.PRETRAIN:
        raise UsageError(
            "--eval-only: MODEL.WEIGHTS is empty. Add, for example: MODEL.WEIGHTS logs/market1501/first_run/best_model.pth"
        )
    device = choose_device(config)
    ranks = join_ranks(device.type)
    built = build_model(config, num_identities=0, num_cameras=1)
    if built.report is not None:
        print(built.report.text())
    model = built.model.to(device).eval()
    tests = find_items(config).tests
    if not tests:
        raise UsageError(
            "--eval-only: DATASETS.TESTS is empty, so there is nothing to score on. Name a test set, such as Market1501."
        )
    tasks = [RetrievalTask("test", test.name, test.query, test.gallery) for test in tests]
    choice = choice_for_scoring(config, model, tasks, device=device, ranks=ranks)
    if ranks.is_main:
        print(choice.line())
    scorer = Scorer(config, device=device, ranks=ranks, way=choice.way)
    results = []
    for task in tasks:
        results.append(scorer.score(model, task).metrics)
        if config.TEST.RERANK.ENABLED:
            results.append(scorer.score(model, task, rerank=True).metrics)
    return tuple(results)
