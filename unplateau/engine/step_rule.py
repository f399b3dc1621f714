"""How a training's step is computed where nothing is measured, and which ways are open to a measurement (`step_choice`).

B batch.
"""

from dataclasses import dataclass, replace

import torch

from unplateau.base.errors import ConfigError
from unplateau.config.schema import Config
from unplateau.data.loader import TrainLoader
from unplateau.engine.graphed import graph_obstacle
from unplateau.engine.precision import ways
from unplateau.engine.ranks import Ranks
from unplateau.losses.combine import Losses
from unplateau.models.reid import ReidModel
from unplateau.runs.step_choice import StepChoice, StepWay


@dataclass(frozen=True)
class Unmeasured:
    """A training before its step is chosen: model and losses on their device, the model still contiguous."""

    config: Config
    device: torch.device
    ranks: Ranks
    model: ReidModel
    losses: Losses
    loader: TrainLoader


def step_by_rule(training: Unmeasured) -> StepChoice:
    """Return what the configuration says, by rule where it leaves something open.

    A graph is by rule where nothing may be measured (MEASURE_STEP False, DETERMINISTIC): it computes what its kernels, launched
    singly, compute. Where it is asked for and cannot be, there is none: `step_as_asked` refuses that.
    """
    config, open_ways = training.config, ways(training.config, training.device, training.model)
    is_rule = may_try_graph(training) and (config.DETERMINISTIC or not config.SOLVER.MEASURE_STEP)
    is_graphed = is_rule or (config.SOLVER.CUDA_GRAPH == "on" and not obstacle_of(training))
    return StepChoice(replace(open_ways[-1], is_graphed=is_graphed), "set" if len(open_ways) == 1 else "rule")


def step_as_asked(training: Unmeasured) -> StepChoice:
    """Return the same for a training that begins, or goes on otherwise.

    Raises:
        ConfigError: a CUDA graph is asked for where there can be none.
    """
    if training.config.SOLVER.CUDA_GRAPH == "on" and (obstacle := obstacle_of(training)):
        raise ConfigError([f"SOLVER.CUDA_GRAPH is on, but {obstacle}. Use auto or off."])
    return step_by_rule(training)


def may_try_graph(training: Unmeasured) -> bool:
    """Return whether a graph is tried without being asked for.

    Not with a backbone of one's own: what it does in Python, such as draw a number, would be done once for all steps.
    """
    config = training.config
    return config.SOLVER.CUDA_GRAPH == "auto" and ":" not in config.MODEL.BACKBONE.NAME and not obstacle_of(training)


def obstacle_of(training: Unmeasured) -> str:
    """Return why this training's steps cannot be computed as a CUDA graph; empty where they can."""
    return graph_obstacle(training.config, training.device, training.ranks, training.model)


def way_of_run(stored: StepChoice | None, open_ways: tuple[StepWay, ...]) -> StepWay:
    """Return the way of a run whose model is looked at again, or the one by rule where this machine does not compute so.

    Without a graph: other things than a training are done with the model.
    """
    return stored.way.launched_singly if stored is not None and stored.way.launched_singly in open_ways else open_ways[-1]


def ways_to_time(training: Unmeasured) -> tuple[StepWay, ...]:
    """Return the open ways, the plainest first, and behind them graphs of the likely layout where they may be."""
    singly = ways(training.config, training.device, training.model)
    is_asked = training.config.SOLVER.CUDA_GRAPH == "on" and not obstacle_of(training)
    if is_asked and len(singly) == 1:
        return (replace(singly[0], is_graphed=True),)
    if not (is_asked or may_try_graph(training)):
        return singly
    likely = (way for way in singly if way.channels_last == singly[-1].channels_last and not way.frozen_format)
    return (*singly, *(replace(way, is_graphed=True) for way in likely))
