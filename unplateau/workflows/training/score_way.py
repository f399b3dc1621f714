"""In which way `--eval-only` embeds images: as the run that the model is of did, else as it is measured here."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import nn

from unplateau.config.schema import Config
from unplateau.engine.embed_choice import ToEmbed, choose_embedding, images_as_evaluated, is_open
from unplateau.engine.precision import ways
from unplateau.engine.ranks import Ranks
from unplateau.engine.scoring import RetrievalTask
from unplateau.engine.step_rule import way_of_run
from unplateau.runs.embed_choice import EmbedChoice, EmbedWay, read_embed_choice
from unplateau.runs.layout import RunFolder
from unplateau.runs.step_choice import read_step_choice


def choice_for_scoring(
    config: Config, model: nn.Module, tasks: Sequence[RetrievalTask], *, device: torch.device, ranks: Ranks
) -> EmbedChoice:
    """Return how the tasks' images are embedded, so that a run's model scores here what it scored there.

    Args:
        config: MODEL.WEIGHTS may lie in a run's folder, whose choice is then taken where this machine computes so.
        model: in evaluation mode, on the device.
        tasks: that will be scored.
        device, ranks: where.

    Raises:
        CheckpointError: the run's record of its choice is damaged.
    """
    open_ways = ways(config, device, model)
    folder = RunFolder(Path(config.MODEL.WEIGHTS).parent) if config.MODEL.WEIGHTS else None
    stored = read_embed_choice(folder) if folder else None
    if stored is not None and is_open(stored.way, config, device, model):
        return stored
    step = read_step_choice(folder) if folder else None
    if step is not None:  # of a run that says nothing of embedding: it computed scores as its steps
        return EmbedChoice(EmbedWay.of_step(way_of_run(step, open_ways)), "rule")
    items = tuple(item for task in tasks for item in (*task.query, *task.gallery))
    passes = (2 if config.TEST.FLIP.ENABLED else 1) * (2 if config.TEST.RERANK.ENABLED else 1)
    images = partial(images_as_evaluated, items, config, device)
    return choose_embedding(ToEmbed(config, device, ranks, model, open_ways[-1], passes * len(items), images))
