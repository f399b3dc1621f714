"""A page's content as one self-contained HTML text: no network, no file beside it, readable without its script.

Everything that comes from a run (names, paths, values, log lines) is escaped by the template, and the page's own policy lets no
script run but ours, whose hash it names.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from unplateau.report.content import Chart, Page
from unplateau.report.figures.line_chart import LineChart, line_svg
from unplateau.report.figures.row_chart import row_svg
from unplateau.report.words import duration_words

_TEMPLATE = "page.html.j2"


def page_html(page: Page) -> str:
    """Return the page as HTML."""
    environment = _environment()
    return environment.get_template(_TEMPLATE).render(page=page, script=_script(), style=_style(), policy=_policy())


def svg_of(chart: Chart) -> Markup:
    """Return a chart as SVG."""
    return line_svg(chart) if isinstance(chart, LineChart) else row_svg(chart)


def coded(text: str) -> Markup:
    """Return a text, escaped, with what stands between backticks set as code.

    >>> coded("type `ls <x>`")
    Markup('type <code>ls &lt;x&gt;</code>')
    """
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("unplateau.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals["svg_of"] = svg_of
    environment.filters["coded"] = coded
    environment.filters["duration"] = duration_words
    return environment


def _source(name: str) -> str:
    environment = _environment()
    assert environment.loader is not None  # made above
    return environment.loader.get_source(environment, name)[0]


@cache
def _script() -> Markup:
    return Markup(_source("report.js"))  # ours, not a run's


@cache
def _style() -> Markup:
    return Markup(_source("report.css"))


@cache
def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_script().encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )
