"""What to do after the solutions were tried, by the rules that were asked for, judged on the winner's test mAP."""

from __future__ import annotations

from unplateau.diagnosis.advice import DEPLOYABLE_MAP, validation_trend
from unplateau.report.selection_words import USUAL_SEEDS, noise_is_unknown, seeds_to_decide
from unplateau.report.solutions_content import SolutionsReport, TriedSolution
from unplateau.selection.select import AHEAD, CLEAR
from unplateau.selection.statistics import CHECKPOINT

_COSINE = "solution_2_cosine_annealing"


def next_steps(report: SolutionsReport) -> list[str]:
    """Return the sentences, the most important first."""
    winner = report.winner
    if winner is None:
        return _nothing_trained(report)
    steps = []
    if report.broken_pipeline and not report.helped:
        steps.append(f"Repair the pipeline first; `python solve_plateau.py --run {_control_folder(report)}` says how.")
    steps += _by_test(report, winner) if not winner.foreign_protocol else []
    steps += _more_epochs(winner)
    steps += [
        f"{run.name}: out of memory. Retry with a smaller batch, SOLVER.IMS_PER_BATCH." for run in _of(report, "out-of-memory")
    ]
    steps += [f"{run.name} diverged: a lower SOLVER.BASE_LR is the usual cure." for run in _of(report, "diverged")]
    steps += _more_seeds(report, winner)
    if winner.foreign_protocol:
        return steps
    refit = f"{winner.command} --refit VALIDATION.SCORE_TEST True"
    steps.append(f"For numbers that compare with published ones, retrain it on all identities: {refit}")
    return steps


def _by_test(report: SolutionsReport, winner: TriedSolution) -> list[str]:
    if not report.tests:
        return [
            f"Its test mAP is not known{f' ({report.test_problem})' if report.test_problem else ''}: {_score_command(winner)}"
        ]
    score, trend = report.tests[0].mAP, _trend(winner)
    if score < DEPLOYABLE_MAP:
        return [
            f"Test mAP {score:.4f} is below {DEPLOYABLE_MAP}: try the next solution. All of these were tried, so ask for others "
            f"by evidence: python solve_plateau.py --run {winner.folder.path} --output-dir custom_configs/next_solutions"
        ]
    if trend == "improving":
        return [f"Test mAP {score:.4f} is above {DEPLOYABLE_MAP} and it was still improving: deploy {winner.folder.best_model}."]
    if trend in ("", "undecided") and (winner.stop is None or winner.stop.code != "no-improvement"):
        return [f"Test mAP {score:.4f} is above {DEPLOYABLE_MAP}: {winner.folder.best_model} can be deployed."]
    if winner.name == _COSINE or any(run.name == _COSINE and run.epochs for run in report.tried):
        return [
            f"Test mAP {score:.4f} is above {DEPLOYABLE_MAP} and it plateaued: {winner.folder.best_model} can be used. "
            "Solution 2, which is the advice here, is among the runs above."
        ]
    return [f"Test mAP {score:.4f} is above {DEPLOYABLE_MAP} and it plateaued: for more, try solution 2 (cosine annealing)."]


def _more_seeds(report: SolutionsReport, winner: TriedSolution) -> list[str]:
    can_train = bool(report.compare_command) and not winner.foreign_protocol
    if report.selection.verdict in (CLEAR, AHEAD) and report.selection.level == CHECKPOINT and can_train:
        return [
            "To know whether its recipe is better, and not only this checkpoint, train it and the runner-up with fresh seeds: "
            f"{report.compare_command} --seeds {USUAL_SEEDS} --top 2"
        ]
    if report.selection.verdict == CLEAR or not report.selection.undecided:
        return []
    names = f"{winner.name} and {report.selection.undecided[0].name}"
    needed = seeds_to_decide(report.selection)
    if noise_is_unknown(report.selection):
        return [
            f"To decide between {names}, compare them on more identities (VALIDATION.HELD_OUT), or give the average precision of "
            "each query: too little is known for an interval."
        ]
    if needed is None:
        return [
            f"{names} hardly differ: take either, or hold more identities out (VALIDATION.HELD_OUT) to see smaller differences."
        ]
    if not can_train:
        return [f"To decide between {names}, train both with about {needed} seeds each."]
    return [
        f"To decide between {names}, train both with about {needed} fresh seeds each: {report.compare_command} --seeds {needed}"
    ]


def _more_epochs(winner: TriedSolution) -> list[str]:
    if winner.stop is None or winner.stop.code != "completed" or _trend(winner) != "improving":
        return []
    more = winner.stop.max_epochs + max(10, winner.stop.max_epochs // 3)
    return [f"It may gain from more epochs: {winner.command} --resume SOLVER.MAX_EPOCH {more}"]


def _trend(run: TriedSolution) -> str:
    """The verdict on the end of its validation curve; empty where it is too short for one."""
    trend = validation_trend(run.epochs, run.config.SOLVER.MAX_EPOCH if run.config is not None else 0)
    return "" if trend is None else trend.verdict


def _nothing_trained(report: SolutionsReport) -> list[str]:
    steps = [f"{run.name}: {run.ended}" for run in report.tried]
    if _of(report, "out-of-memory"):
        steps.append("Out of memory: all of them again with a smaller batch, SOLVER.IMS_PER_BATCH 8.")
    if report.broken_pipeline:
        steps.append("Repair the pipeline first: no hyper-parameter, and so none of these solutions, acts before that.")
    return [*steps, "Repair what is said there and start again; every run goes on where it stood."]


def _of(report: SolutionsReport, code: str) -> list[TriedSolution]:
    return [run for run in report.tried if run.stop is not None and run.stop.code == code]


def _control_folder(report: SolutionsReport) -> object:
    return report.control.folder.path if report.control is not None else ""


def _score_command(winner: TriedSolution) -> str:
    config, model = winner.folder.config, winner.folder.best_model
    return f"python train_research_grade.py --config-file {config} --eval-only MODEL.WEIGHTS {model}"
