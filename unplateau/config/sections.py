"""How a section of the configuration behaves: frozen, typed, no unknown keys, every key documented."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Section(BaseModel):
    """A group of keys. Extra keys are errors, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def key(default: Any, meaning: str, **limits: Any) -> Any:
    """A configuration key: its default, what it means (unit included), and its limits as pydantic knows them."""
    return Field(default, description=meaning, validate_default=True, **limits)


def section(kind: type[Section], meaning: str) -> Any:
    """A nested group of keys."""
    return Field(default_factory=kind, description=meaning)


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
"""One name or several; YAML's `('Market1501')` is a plain string and is taken as one name."""


class Switch(Section):
    """A feature with an on/off key."""

    ENABLED: bool = key(False, "whether the feature is used")
