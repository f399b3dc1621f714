"""When a training ends by itself."""

from unplateau.config.delta import with_values
from unplateau.config.schema import Config
from unplateau.engine.stopping import Progress, decide, take_drop
from unplateau.optim.schedules import Schedule

STEPS_PER_EPOCH = 10


def _config(**solver: object) -> Config:
    values = {"MAX_EPOCH": 90, "STEPS": (40, 70), "WARMUP_ITERS": 0, "EARLY_STOP_PATIENCE": 3, **solver}
    return with_values(Config(), {f"SOLVER.{key}": value for key, value in values.items()})


def _after(config: Config, scores: list[float | None]) -> Progress:
    progress = Progress(Schedule.from_config(config, STEPS_PER_EPOCH))
    for epoch, score in enumerate(scores, start=1):
        progress = progress.after(epoch, epoch * STEPS_PER_EPOCH, score)
    return progress


def test_patience_counts_epochs_without_a_better_score_and_equal_is_not_better() -> None:
    config = _config()
    assert decide(config, _after(config, [0.1, 0.3, 0.3, 0.2])) is None
    progress = _after(config, [0.1, 0.3, 0.3, 0.2, 0.25])
    assert (progress.best_map, progress.best_epoch, progress.stale_epochs) == (0.3, 2, 3)
    assert decide(config, progress) == "no-improvement"


def test_a_better_score_begins_patience_anew() -> None:
    config = _config()
    assert decide(config, _after(config, [0.3, 0.2, 0.2, 0.4, 0.3, 0.3])) is None


def test_patience_counts_epochs_where_only_some_are_validated() -> None:
    config = with_values(_config(EARLY_STOP_PATIENCE=6), {"TEST.EVAL_PERIOD": 3})
    scores = [None, None, 0.3, None, None, 0.2, None, None]
    assert decide(config, _after(config, scores)) is None
    progress = _after(config, [*scores, 0.2])
    assert (progress.best_epoch, progress.stale_epochs) == (3, 6)
    assert decide(config, progress) == "no-improvement"


def test_it_stops_after_a_validated_epoch_only() -> None:
    config = with_values(_config(EARLY_STOP_PATIENCE=3), {"TEST.EVAL_PERIOD": 2})
    assert decide(config, _after(config, [None, 0.3, None, 0.2, None])) is None
    assert decide(config, _after(config, [None, 0.3, None, 0.2, None, 0.2])) == "no-improvement"


def test_before_the_first_validation_patience_does_not_run() -> None:
    config = with_values(_config(EARLY_STOP_PATIENCE=3), {"TEST.EVAL_PERIOD": 10})
    assert decide(config, _after(config, [None] * 9 + [0.1])) is None
    assert _after(config, [None] * 9).stale_epochs == 0


def test_patience_zero_never_stops() -> None:
    config = _config(EARLY_STOP_PATIENCE=0)
    assert decide(config, _after(config, [0.3] + [0.1] * 50)) is None


def test_all_epochs_done_is_completed_even_when_patience_ends_with_them() -> None:
    config = _config(MAX_EPOCH=4, STEPS=())
    assert decide(config, _after(config, [0.3, 0.2, 0.2, 0.2])) == "completed"


def test_the_target_is_met_before_anything_else() -> None:
    config = _config(MAX_EPOCH=2, TARGET_MAP=0.5)
    assert decide(config, _after(config, [0.4, 0.5])) == "target-reached"


def test_an_earlier_stop_epoch_pauses_on_the_long_schedule() -> None:
    config = _config(STOP_EPOCH=5)
    assert decide(config, _after(config, [0.1, 0.2, 0.3, 0.4, 0.5])) == "paused"


def test_on_plateau_drop_takes_the_next_drop_and_stops_when_none_is_left() -> None:
    config = _config(ON_PLATEAU="drop")
    progress = _after(config, [0.3, 0.2, 0.2, 0.2])
    assert decide(config, progress) == "drop"
    dropped = take_drop(progress)
    assert dropped.schedule.rate_at(progress.step) == progress.schedule.rate_at(40 * STEPS_PER_EPOCH)
    assert dropped.stale_epochs == 0
    later = _with_three_bad_epochs(dropped)
    assert later.schedule.drops_ahead(later.step) == (4 + 30,)
    assert decide(config, later) == "drop"
    last = _with_three_bad_epochs(take_drop(later))
    assert last.schedule.drops_ahead(last.step) == ()
    assert decide(config, last) == "no-improvement"


def _with_three_bad_epochs(progress: Progress) -> Progress:
    for epoch in range(progress.epoch + 1, progress.epoch + 4):
        progress = progress.after(epoch, epoch * STEPS_PER_EPOCH, 0.0)
    return progress
