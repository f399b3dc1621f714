"""What one training is made of, built from the configuration and handed to the loop. Nothing is built here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.optim import Optimizer

from unplateau.config.schema import Config
from unplateau.data.loader import TrainLoader
from unplateau.engine.frozen_format import FrozenFormat
from unplateau.engine.memory_plan import StepMemory
from unplateau.engine.precision import Precision
from unplateau.engine.ranks import Ranks
from unplateau.evaluation.ranking import Retrieval
from unplateau.losses.combine import Losses
from unplateau.models.reid import ReidModel
from unplateau.optim.moving_average import MovingAverage


@dataclass(frozen=True)
class Parts:
    """The parts of one training."""

    config: Config
    device: torch.device
    precision: Precision
    ranks: Ranks
    model: ReidModel
    """The model itself: what is saved."""
    network: nn.Module
    """What the step calls: the model, or its compiled or distributed wrapper."""
    losses: Losses
    optimizers: tuple[Optimizer, ...]
    average: MovingAverage | None
    train_loader: TrainLoader
    validate: Callable[[nn.Module], Retrieval] | None
    """Scores a model on the run's validation protocol; None where nothing is validated."""
    frozen: FrozenFormat | None = None
    """How frozen layers are computed in a plain step, where not as the others."""
    memory: StepMemory = field(default_factory=StepMemory)
    """How a step is done where its activations do not fit at once; by default plainly, whatever happens."""

    @contextmanager
    def number_formats(self, model: nn.Module) -> Iterator[None]:
        """Open a block in which the model, or a copy of it, is computed as a plain step of the training computes it."""
        frozen = nullcontext() if self.frozen is None else self.frozen.applied(model)
        with frozen, self.precision.autocast():
            yield

    @property
    def scored_model(self) -> nn.Module:
        """The weights that are validated, and saved as the best: the moving average where there is one."""
        return self.average.model if self.average is not None else self.model
