"""Whether one batch can be learned by heart. Cost: 50 to 200 B. Karpathy, A Recipe for Training Neural Networks.

Run it inside `leave_no_trace.untouched`, with a step that has no augmentation, weight decay or dropout.
"""

from collections.abc import Callable
from statistics import fmean

from unplateau.runs.record import Measurement

_TAIL = 5  # steps averaged at the end


def overfit_batch(step: Callable[[], float], *, num_steps: int = 100, unit: str = "nats") -> tuple[Measurement, ...]:
    """Train on one batch.

    Args:
        step: does one training step on always the same batch and returns the loss before it.
        num_steps: at least 1.
        unit: of the loss.

    Returns:
        overfit_first_loss, overfit_last_loss (mean of the last five), overfit_lowest_loss.
    """
    losses = [step() for _ in range(num_steps)]
    return (
        Measurement("overfit_first_loss", losses[0], unit),
        Measurement("overfit_last_loss", fmean(losses[-_TAIL:]), unit, num_steps),
        Measurement("overfit_lowest_loss", min(losses), unit),
    )
