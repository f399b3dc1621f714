"""Samplers suggest points of the space, learn from scores, and say the same again after a kill."""

import sys

import pytest

from unplateau.base.errors import UsageError
from unplateau.search.space import Choice, Number, Space
from unplateau.search.suggest import SAMPLERS, Scored, importances, suggest

SPACE = Space(
    (
        Number("SOLVER.BASE_LR", 1e-4, 1e-2, is_log=True),
        Number("SOLVER.WARMUP_ITERS", 0, 50, is_whole=True),
        Choice("schedule", {"cosine": {"SOLVER.SCHED": "CosineAnnealingLR"}, "drops": {"SOLVER.SCHED": "MultiStepLR"}}),
        Choice("SOLVER.IMS_PER_BATCH", {str(size): {"SOLVER.IMS_PER_BATCH": size} for size in (16, 32, 64, 128)}),
    )
)  # fmt: skip


def score(point) -> float:
    """Best at a rate of 0.001 with a cosine."""
    from math import log10

    return 1 - abs(log10(point["SOLVER.BASE_LR"]) + 3) - 0.3 * (point["schedule"] == "drops")


def tried(number: int, sampler: str) -> list[Scored]:
    known: list[Scored] = []
    for draw in range(number):
        point = suggest(SPACE, known, sampler=sampler, draw=draw)
        known.append(Scored(point, score(point)))
    return known


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_gives_points_within_the_space(sampler: str) -> None:
    for one in tried(14, sampler):
        assert 1e-4 <= one.point["SOLVER.BASE_LR"] <= 1e-2
        assert one.point["SOLVER.WARMUP_ITERS"] in range(51)
        assert one.point["schedule"] in ("cosine", "drops")
        assert one.point["SOLVER.IMS_PER_BATCH"] in ("16", "32", "64", "128")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_is_suggested_depends_on_what_is_known_and_nothing_else(sampler: str) -> None:
    known = tried(12, "random")
    first = suggest(SPACE, known, sampler=sampler, seed=3, draw=12)
    assert suggest(SPACE, known, sampler=sampler, seed=3, draw=12) == first


def test_another_draw_gives_another_point() -> None:
    assert suggest(SPACE, [], draw=1) != suggest(SPACE, [], draw=2)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes"])
def test_a_sampler_that_learns_finds_better_points_than_random_ones(sampler: str) -> None:
    num_trials = 60 if sampler == "cmaes" else 30
    learned = [one.score for one in tried(num_trials, sampler)][-10:]
    blind = [one.score for one in tried(num_trials, "random")]
    assert sum(learned) / len(learned) > sum(blind) / len(blind) + 0.2


def test_running_points_are_avoided() -> None:
    known = tried(20, "random")
    alone = suggest(SPACE, known, draw=5)
    assert suggest(SPACE, known, [alone] * 5, draw=5) != alone


def test_the_parameter_that_decides_is_named_most_important() -> None:
    shares = importances(SPACE, tried(60, "random"))
    assert next(iter(shares)) == "SOLVER.BASE_LR"
    assert sum(shares.values()) == pytest.approx(1)


def test_a_sampler_that_needs_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cmaes", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'unplateau\[search\]'"):
        suggest(SPACE, [], sampler="cmaes")
    with pytest.raises(UsageError, match="expected one of tpe, gp, cmaes, random"):
        suggest(SPACE, [], sampler="annealing")
