"""From the configuration's MODEL.LOSSES to the losses. Adding one: its file, a line in the table, the contract tests."""

from collections.abc import Callable
from dataclasses import dataclass

from unplateau.base.errors import ConfigError
from unplateau.config.schema import Config
from unplateau.config.schema_model import Losses as Settings
from unplateau.losses.center import CenterLoss
from unplateau.losses.circle import CircleLoss
from unplateau.losses.combine import Losses
from unplateau.losses.cross_entropy import CrossEntropyLoss
from unplateau.losses.own_loss import load_own_loss
from unplateau.losses.terms import Loss
from unplateau.losses.triplet import TripletLoss


@dataclass(frozen=True)
class Sizes:
    """What a loss with parameters needs to know of the problem."""

    num_identities: int
    feature_dim: int


@dataclass(frozen=True)
class Entry:
    """A line of the table of losses."""

    part: str
    """Name of its part in LossTerms and in every record."""
    build: Callable[[Settings, Sizes], Loss]
    scale: Callable[[Settings], float]


REGISTRY: dict[str, Entry] = {
    "CrossEntropyLoss": Entry(
        "cross_entropy",
        lambda settings, sizes: CrossEntropyLoss(smoothing=settings.CE.EPSILON),
        lambda settings: settings.CE.SCALE,
    ),
    "TripletLoss": Entry("triplet", lambda settings, sizes: _triplet(settings), lambda settings: settings.TRI.SCALE),
    "CircleLoss": Entry(
        "circle",
        lambda settings, sizes: CircleLoss(margin=settings.CIRCLE.MARGIN, gamma=settings.CIRCLE.GAMMA),
        lambda settings: settings.CIRCLE.SCALE,
    ),
    "CenterLoss": Entry("center", lambda settings, sizes: _center(settings, sizes), lambda settings: settings.CENTER.SCALE),
}


def build_losses(config: Config, *, num_identities: int, feature_dim: int) -> Losses:
    """Return the losses that MODEL.LOSSES.NAME lists, in its order.

    Args:
        config: MODEL.LOSSES is read.
        num_identities: I, identities really trained on.
        feature_dim: D, dimension of the features that metric losses see.

    Raises:
        ConfigError: an unknown, repeated or unimportable loss, or nothing to minimise; all problems at once.
    """
    settings, sizes = config.MODEL.LOSSES, Sizes(num_identities, feature_dim)
    problems = _problems(settings)
    if problems:
        raise ConfigError(problems)
    terms = {part_name(name): _build(name, settings, sizes) for name in settings.NAME}
    return Losses(terms, {part_name(name): _scale(name, settings) for name in settings.NAME})


def part_name(name: str) -> str:
    """Return the part's name of a loss named in the configuration.

    >>> part_name("TripletLoss"), part_name("my.losses:focal")
    ('triplet', 'focal')
    """
    return REGISTRY[name].part if name in REGISTRY else name.rpartition(":")[2]


def _problems(settings: Settings) -> list[str]:
    known = ", ".join(REGISTRY)
    problems = [
        f"MODEL.LOSSES.NAME: there is no loss {name}. Known: {known}, or your own as `package.module:function`."
        for name in settings.NAME
        if name not in REGISTRY and ":" not in name
    ]
    parts = [part_name(name) for name in settings.NAME]
    problems += [f"MODEL.LOSSES.NAME lists {part} twice. Name it once and set its SCALE." for part in _repeated(parts)]
    if not problems and not any(_scale(name, settings) > 0 for name in settings.NAME):
        problems.append("MODEL.LOSSES: nothing would be minimised. Name at least one loss with a SCALE above 0.")
    return problems


def _repeated(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _build(name: str, settings: Settings, sizes: Sizes) -> Loss:
    if name in REGISTRY:
        return REGISTRY[name].build(settings, sizes)
    return load_own_loss(name, num_identities=sizes.num_identities, feature_dim=sizes.feature_dim)


def _scale(name: str, settings: Settings) -> float:
    return REGISTRY[name].scale(settings) if name in REGISTRY else 1.0


def _triplet(settings: Settings) -> TripletLoss:
    chosen = settings.TRI
    return TripletLoss(margin=chosen.MARGIN, hard_mining=chosen.HARD_MINING, unit_features=chosen.NORM_FEAT)


def _center(settings: Settings, sizes: Sizes) -> CenterLoss:
    return CenterLoss(num_identities=sizes.num_identities, feature_dim=sizes.feature_dim, scale=settings.CENTER.SCALE)
