"""A page as one HTML file: the templates, the style, the script and Plotly inside, and no request to anywhere.

Every text is escaped by the templates. What is marked safe is ours alone: the two assets and the installed Plotly.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dashboards.html.page import Page
from dashboards.numbers.run import Number
from dashboards.numbers.units import UNKNOWN
from host.atomic import write_text
from wire.text import Untrusted, plotly_chart

SYMBOLS = {"good": "✓", "bad": "✕", "warn": "!"}


def write_page(page: Page, out: Path) -> Path:
    """Write one self-contained file, aside and renamed."""
    write_text(out, render(page))
    return out


def render(page: Page) -> str:
    """The whole document."""
    charts: list[Mapping[str, object]] = []
    places: dict[tuple[int, int], int] = {}
    for chapter, part in enumerate(page.parts):
        for index, panel in enumerate(part.panels):
            if panel.chart is not None:
                places[chapter, index] = len(charts)
                charts.append(plotly_chart(panel.chart))
    plotly = plotly_js() if charts else Markup("")
    scripts = [asset("page.js"), *([plotly] if charts else [])]
    return template_text("page.html", page=page, charts=charts, places=places, plotly=plotly, policy=policy(scripts))


def template_text(name: str, **values: object) -> str:
    """One of our templates, filled in."""
    return templates().get_template(name).render(**values)


def template_set(package: str, folder: str) -> Environment:
    """Templates that escape every text; a name that a page forgets is an error, never an empty string."""
    return Environment(
        loader=PackageLoader(package, folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )


@cache
def templates() -> Environment:
    """Those of the records' pages."""
    environment = template_set("dashboards", "html/templates")
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.policies["json.dumps_function"] = json.dumps
    environment.filters["exact"] = lambda value: repr(float(value))
    environment.tests["figure"] = lambda value: isinstance(value, Number)
    environment.globals |= {"symbols": SYMBOLS, "unknown": UNKNOWN, "asset": asset}
    return environment


def _shown(value: object) -> object:
    """Text of any origin without characters that act; the template escapes it afterwards."""
    if isinstance(value, Markup) or not isinstance(value, str) or (value.isascii() and value.isprintable()):
        return value
    return Untrusted(value).html_text


def policy(scripts: list[Markup]) -> str:
    """The page's own content security policy: only these scripts run, and nothing is fetched."""
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {hashes}; img-src data: blob:; font-src data:"


@cache
def _digest(script: Markup) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def plotly_js() -> Markup:
    """The library, from the installed plotly package."""
    text = files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")
    return Markup(text.replace("</script", "<\\/script"))  # noqa: S704 - the installed package


@cache
def asset(name: str) -> Markup:
    """A style or a script of ours, as it is."""
    return Markup(files("dashboards").joinpath("html", "assets", name).read_text(encoding="utf-8"))  # noqa: S704 - a file of ours
