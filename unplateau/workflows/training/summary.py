"""What the command line says when a training has ended: the reason, the scores, where things are, what to do."""

from unplateau.report.lines import metrics_line
from unplateau.workflows.training.request import TrainOutcome


def print_outcome(outcome: TrainOutcome) -> None:
    """Print the end of a run."""
    for line in outcome_lines(outcome):
        print(line)


def outcome_lines(outcome: TrainOutcome) -> list[str]:
    """Return the end of a run as lines."""
    reason, folder = outcome.reason, outcome.folder
    if outcome.was_finished:
        return [
            f"{folder.path} is finished: {reason.headline} ({reason.epochs_trained}/{reason.max_epochs}). Nothing was done.",
            *(f"  {sentence}" for sentence in reason.recommendation),
        ]
    lines = ["", f"STOPPING REASON: {reason.headline}"]
    if reason.code == "error" and reason.evidence:
        lines += reason.evidence[0].splitlines()[1:]  # where it was looked for, and how to fix it
    if reason.best_map is not None:
        lines.append(f"BEST mAP: {reason.best_map:.4f} (Epoch {reason.best_epoch}), {reason.best_protocol}")
    lines += [metrics_line(test) for test in outcome.tests]
    lines += [f"  {sentence}" for sentence in reason.recommendation]
    if folder.best_model.exists():
        lines.append(f"Use this:  {folder.best_model}")
    lines.append(f"Read this: {folder.stopping_reason}")
    return lines
