"""SVG elements as escaped strings. Every attribute and every text passes through here, so none of them can become markup."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from markupsafe import Markup, escape

Attribute = str | float | int


def element(name: str, attributes: Mapping[str, Attribute], children: Iterable[Markup] = ()) -> Markup:
    """Return one element.

    Args:
        name: of the element.
        attributes: by name; `_` stands for `-`, and values are escaped.
        children: already elements, or `label` texts.

    >>> element("circle", {"r": 3, "stroke_width": 1.5})
    Markup('<circle r="3" stroke-width="1.5"/>')
    """
    words = Markup("").join(Markup(' {}="{}"').format(key.replace("_", "-"), _plain(value)) for key, value in attributes.items())
    inside = Markup("").join(children)
    if not inside:
        return Markup("<{}{}/>").format(Markup(name), words)
    return Markup("<{0}{1}>{2}</{0}>").format(Markup(name), words, inside)


def label(text: str, attributes: Mapping[str, Attribute]) -> Markup:
    """Return a text element with `text` escaped."""
    return element("text", attributes, (escape(text),))


def percent(share: float) -> str:
    """Return a place as SVG wants it.

    >>> percent(0.12345)
    '12.35%'
    """
    return f"{_plain(round(100 * share, 2))}%"


def _plain(value: Attribute) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
