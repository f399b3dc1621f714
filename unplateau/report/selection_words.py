"""Why a run or a recipe was chosen, and how sure that is, in sentences. The whole text: `solutions_text`."""

from __future__ import annotations

import math

from unplateau.report.solutions_content import SolutionsReport
from unplateau.report.solutions_rounds import of_dropped, of_rounds
from unplateau.report.words import difference_words, interval_words, points
from unplateau.selection.planning import seeds_to_see
from unplateau.selection.select import AHEAD, CLEAR, MATTERS, TIE, Ranked, Selection
from unplateau.selection.statistics import CHECKPOINT, RECIPE, Difference

_FEW_SEEDS = 3  # fewer leave an interval of 10 points and more
USUAL_SEEDS = 5


def how_sure(report: SolutionsReport) -> str:
    """Return the second line of the text, without its label."""
    if report.selection.winner is None:
        return "there is nothing to choose from: no run finished an epoch with a validated model"
    mark = " (chosen on the test set: optimistic)" if report.protocol == "test" else ""
    section = "ROUNDS" if report.rounds is not None else "NOTES"
    drops = of_dropped(len(report.dropped), section) or of_rounds(report.rounds)
    return f"{_verdict_words(report.selection)}{mark}{drops}"


def _verdict_words(selection: Selection) -> str:
    names = ", ".join(one.name for one in selection.undecided)
    seeds = _seeds_words(selection)
    if not selection.rivals:
        return _alone_words(selection)
    if selection.verdict == AHEAD:
        return f"ahead, and no clear winner yet: better than every other run after the same epochs ({seeds})"
    if selection.level == RECIPE:
        if selection.verdict == CLEAR:
            return f"clear winner: its recipe is better than every other one compared ({seeds})"
        if selection.verdict == TIE:
            return f"tie with {names}: recipes that differ by less than {points(MATTERS)} of mAP ({seeds})"
        return f"not enough evidence: the recipe {names} cannot be told apart from it ({seeds}); {_more_seeds(selection)}"
    if selection.verdict == CLEAR:
        return f"clear winner, better than every other run on the identities held out (this checkpoint; {seeds})"
    if selection.verdict == TIE:
        return f"tie with {names}: they differ by less than {points(MATTERS)} of mAP"
    return f"not enough evidence: {names} cannot be told apart from it"


def _alone_words(selection: Selection) -> str:
    winner = selection.winner
    if selection.not_comparable:
        return "not enough evidence: the other runs were scored on other queries"
    if winner is not None and len(winner.runs) > 1:
        return f"not enough evidence: all {len(winner.runs)} runs are seeds of one recipe, there is no other to compare it with"
    return "not enough evidence: no other run was trained to compare it with"


def _seeds_words(selection: Selection) -> str:
    winner = selection.winner
    compared = [one for one in (winner, *selection.rivals) if one is not None]
    fewest, most = (pick((max(1, len(one.runs)) for one in compared), default=1) for pick in (min, max))
    if most == 1:
        return "one seed each"
    return f"{fewest} seeds each" if fewest == most else f"{fewest} to {most} seeds each"


def seeds_to_decide(selection: Selection) -> int | None:
    """Return how many seeds of each, about, would decide between the winner and those that cannot be told apart from it.

    None where no reasonable number would. With one seed each the noise of seeds is not known, and the usual one is taken.
    """
    differences = [one.behind_winner for one in selection.undecided if one.behind_winner is not None]
    if not differences:
        return None
    if selection.level == CHECKPOINT:
        numbers = [seeds_to_see(abs(one.estimate.value)) for one in differences]
        return min(10, max([USUAL_SEEDS, *(number for number in numbers if number is not None)]))
    needed = [one.seeds_needed for one in differences]
    return None if None in needed else max(number for number in needed if number is not None)


def noise_is_unknown(selection: Selection) -> bool:
    """Return whether some difference from the winner has no interval, so that nothing says whether it is large or small."""
    return any(one.behind_winner is not None and math.isinf(one.behind_winner.estimate.high) for one in selection.undecided)


def _more_seeds(selection: Selection) -> str:
    if noise_is_unknown(selection):
        return "too few persons, or seeds that agree to the last digit: nothing is known of the noise"
    needed = seeds_to_decide(selection)
    if needed is None:
        return "if the difference is really that small, not even 50 seeds of each would show it on these identities"
    return f"if the difference is really that large, about {needed} seeds of each would show it"


def why(report: SolutionsReport) -> list[str]:
    """Return what speaks for the winner, a sentence each, the strongest first."""
    selection = report.selection
    winner = selection.winner
    if winner is None:
        return ["No run has a validated model. Why each of them ended stands below."]
    protocol = "test-set" if report.protocol == "test" else "held-out"
    sentences = [_first(selection, winner, protocol)]
    sentences += _against(selection)
    sentences += _lucky_seeds(selection, winner)
    if selection.undecided and selection.rivals and selection.num_identities > 1:
        width = max(_half_width(one) for one in selection.undecided)
        sentences.append(
            f"With {selection.num_identities} identities and {_seeds_words(selection)}, differences below about {points(width)} "
            "of mAP cannot be seen."
        )
    return sentences + _reach(report)


def _first(selection: Selection, winner: Ranked, protocol: str) -> str:
    if winner.mean is None or len(winner.runs) < 2:
        return f"It has the highest {protocol} mAP of {len(selection.ranked)} runs: {interval_words(winner.best_map)}."
    lowest, highest = (pick(run.best_map for run in winner.runs) for pick in (min, max))
    return (
        f"It is the best run of {winner.name}, of {len(selection.ranked)} recipes the one with the highest {protocol} mAP. "
        f"Mean over {len(winner.runs)} seeds, epochs chosen on other identities: {interval_words(winner.mean)}; "
        f"best epochs of its seeds: {lowest:.2%} to {highest:.2%}."
    )


def _against(selection: Selection) -> list[str]:
    """The winner against the runner-up, and against the control where that is another one."""
    winner, sentences = selection.winner, []
    runner_up = selection.rivals[0] if selection.rivals else None
    if runner_up is not None and runner_up.behind_winner is not None:
        against = runner_up.behind_winner
        sentences.append(f"Against the runner-up {runner_up.name}: {difference_words(against)}{second_opinion(against)}.")
    if winner is not None and winner.over_control is not None and (runner_up is None or runner_up.name != selection.control):
        sentences.append(f"Against the control {selection.control}: {difference_words(winner.over_control)}.")
    if winner is not None and winner.name == selection.control:
        sentences.append("The winner is the unchanged configuration: no solution reached more than a trainer that works.")
    return sentences


def second_opinion(difference: Difference) -> str:
    """Return the permutation test and the size of the effect of a comparison of recipes; nothing for checkpoints."""
    if difference.level != RECIPE or difference.share_better is None:
        return ""
    words = f"; better in {difference.share_better:.0%} of all pairs of seeds"
    if difference.effect_size is not None:
        words += f", {abs(difference.effect_size):.1f} standard deviations between seeds"
    if difference.p_permutation is not None:
        words += f"; exchanging seeds at random gives p = {difference.p_permutation:.3f}"
        words += " (with three seeds each no less than 0.1 is possible)" if difference.num_seeds == (3, 3) else ""
    return words


def _lucky_seeds(selection: Selection, winner: Ranked) -> list[str]:
    lucky = [one for one in selection.rivals if one.runs and winner.runs and one.runs[0].best_map > winner.runs[0].best_map]
    return [
        f"A single run of {one.name} reached more ({one.best_run}: {one.runs[0].best_map:.2%}); the mean over seeds decides, "
        "because one lucky seed does not come again."
        for one in lucky
    ]  # fmt: skip


def _reach(report: SolutionsReport) -> list[str]:
    """What may be concluded, and what not."""
    selection = report.selection
    if not selection.rivals:
        return []
    if selection.level == CHECKPOINT:
        each = "One seed each" if _seeds_words(selection) == "one seed each" else "Not every recipe has several seeds"
        return [
            f'{each}: this supports "this checkpoint is better than that one", never "this recipe is better". For the recipe, '
            "train the best ones with several seeds."
        ]
    fewest = min(len(one.runs) for one in (selection.winner, *selection.rivals) if one is not None)
    if fewest < _FEW_SEEDS:
        return ["Two seeds say little of how much seeds differ, so the intervals are very wide. Take three or more."]
    if selection.num_identities == 1:
        return ["Only the mAP of each seed is known, so this speaks of these test identities and of no others."]
    return ["This speaks of the recipes: of new seeds, and of new identities like these."]


def _half_width(one: Ranked) -> float:
    difference = one.behind_winner
    return 0.0 if difference is None else (difference.estimate.high - difference.estimate.low) / 2
