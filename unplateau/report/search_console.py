"""What a person sees while a search runs: one line for every part of a trial that begins or ends."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from unplateau.search.trial import FAILED, FINISHED, PAUSED, RUNNING, Standing

_STATES = {FINISHED: "finished", PAUSED: "compared at the end of its rung", FAILED: "failed"}


class SearchConsole:
    """Tells of trials."""

    def __init__(self, max_epochs: int, *, is_quiet: bool = False) -> None:
        """`max_epochs`: of a whole training."""
        self._console = Console(soft_wrap=True, highlight=False, quiet=is_quiet)
        self._max_epochs = max_epochs

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(text, markup=False)

    def began(self, standing: Standing, until: int) -> None:
        """Tell that a part of a trial begins."""
        going_on = f" (goes on after epoch {standing.epochs})" if standing.epochs else ""
        changes = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in standing.trial.changes.items())
        self.say(
            f"{standing.trial.name}: to epoch {until} of {self._max_epochs}{going_on or (f': {changes}' if changes else '')}"
        )

    def ended(self, standing: Standing, all_trials: Sequence[Standing], words: str = "") -> None:
        """Tell how a part of a trial ended, and where the search stands."""
        state = _STATES.get(standing.state, "broken off, will go on")
        why = standing.ended or (words if standing.state not in _STATES else "")
        score = f"held-out mAP {standing.best:.2%}" if standing.best is not None else "no mAP"
        what = f"{standing.trial.name}: {state} at epoch {standing.epochs}, {score}{f' ({why})' if why else ''}"
        self.say(f"{what}; {_stand(all_trials)}")


def _stand(trials: Sequence[Standing]) -> str:
    best = max((one for one in trials if one.best is not None), key=lambda one: one.best or 0.0, default=None)
    epochs, running = sum(one.epochs for one in trials), sum(one.state == RUNNING for one in trials)
    leader = f", best {best.trial.name} {best.best:.2%}" if best is not None and best.best is not None else ""
    return f"{len(trials)} trials, {epochs} epochs, {running} running{leader}"
