"""What the build of the site adds: reference pages written from the package, and a place for every page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from reference import PAGES, schema


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Write the reference pages, and add pages that the navigation does not name to its guides."""
    for path, write in PAGES.items():
        files.append(File.generated(config, path, content=write()))
    assert config.nav is not None
    fields = [{schema.title(kind): f"reference/fields/{kind}.md"} for kind in schema.ROOTS]
    _section(config.nav, "Scenario fields").extend(fields)
    named = set(_paths(config.nav))
    guides = [f for f in files.documentation_pages() if f.src_uri not in named]
    _section(config.nav, "Guides").extend({_heading(f): f.src_uri} for f in sorted(guides, key=_heading))
    return files


def _section(nav: list[Any], name: str) -> list[Any]:
    """The entries of the section of this name, at any depth."""
    for entry in nav:
        for title, inside in entry.items() if isinstance(entry, dict) else ():
            if title == name:
                return inside  # type: ignore[no-any-return]
            if isinstance(inside, list):
                try:
                    return _section(inside, name)
                except KeyError:
                    continue
    raise KeyError(name)


def _paths(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    inside = nav.values() if isinstance(nav, dict) else nav
    return [path for entry in inside for path in _paths(entry)]


def _heading(file: File) -> str:
    """The first heading of a page, without marks of code."""
    found = re.search(r"^# (.+)$", Path(file.abs_src_path or "").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1].replace("`", "").strip() if found else file.name
