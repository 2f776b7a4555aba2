"""Where a page of the documentation is: on the site that $PEAKDAY_DOCS names, else the file in the repository."""

from __future__ import annotations

import os

SITE_VARIABLE = "PEAKDAY_DOCS"
"""Address of a site that `make docs` built, such as https://docs.example.com/peakday; nothing of ours is published."""


def page_of(page: str) -> str:
    """Address of a page by its name, `alerts` or `alerts#turnsfail`.

    A site that is none (no http address) counts as unset: the file's name is then what a reader gets.
    """
    name, mark, heading = page.partition("#")
    site = os.environ.get(SITE_VARIABLE, "").strip().rstrip("/")
    on_site = site.startswith(("http://", "https://")) and site.isprintable() and " " not in site
    return f"{site}/{name}.html{mark}{heading}" if on_site else f"docs/{name}.md{mark}{heading}"
