"""Pages that are a row of sections: what is said, tables and drawings under one heading each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.specs.part import Part

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

PAGES = Path(__file__).parent

Row = Mapping[str, str]
Rows = Sequence[Row]
# Title, explanation and SVG.
Figure = tuple[str, str, str]
# A cell that is read as a number: digits with a sign before and a unit or a difference behind, or nothing.
NUMBER = re.compile(r"^(|-|[-+−]?[\d.,]+( ?(%|x|s|GB))?( \([-+−][\d.,]+%\))?)$")


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it; `about` explains it in small print, `code` is shown as it is.

    Lines of a cell after its first are shown small. Cells of the column `verdicts` that begin with "better" or "worse"
    are coloured so. What is `folded` is shown when a reader opens it, and on paper.
    """

    title: str
    rows: Rows = ()
    about: str = ""
    sentences: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    code: str = ""
    verdicts: str = ""
    folded: bool = False


@dataclass(frozen=True, slots=True)
class KeyFigure:
    """One of the few large figures at the head of a page; `between` is its interval, or what to hold it against."""

    name: str
    value: str
    unit: str = ""
    between: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reader who decides takes from the first screen: a few figures, a sentence or two, and what to mind."""

    figures: Sequence[KeyFigure]
    sentences: Sequence[str] = ()
    warnings: Sequence[str] = ()


def sectioned_page(title: str, subtitle: str, sections: Iterable[Section], answer: Answer | None = None) -> str:
    """The page as text; sections without content are left out. Everything that comes from the user is escaped."""
    shown = [s for s in sections if s.rows or s.sentences or s.figures or s.code]
    return _template("sections.html").render(
        title=title,
        subtitle=subtitle,
        answer=answer,
        sections=[(s, sorted(numeric(s.rows)), headless(s.rows)) for s in shown],
    )


def table_sections(tables: Iterable[tuple[str, Rows]]) -> list[Section]:
    """Tables as the terminal prints them, each under its title."""
    return [Section(title[0].upper() + title[1:], rows) for title, rows in tables]


def numeric(rows: Rows) -> set[str]:
    """Columns whose cells are all numbers."""
    return {c for c in (rows[0] if rows else ()) if all(NUMBER.match(row[c].split("\n")[0]) for row in rows)}


def headless(rows: Rows) -> bool:
    """Whether rows name their figures themselves and need no head."""
    return bool(rows) and list(rows[0]) == ["figure", "value"]


def scenario_text(scenario: Part) -> str:
    """A scenario as the text of a file from which the same one can be read."""
    import yaml

    values = scenario.model_dump(include={"kind"}) | scenario.model_dump(exclude_defaults=True, by_alias=True)
    return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))


def again(scenario: Part, command: str = "simulator train scenario.yaml --out out/") -> Section:
    """How to get the page again: the scenario, and the command that takes it."""
    return Section(
        "To run this again", about=f"Save as {command.split()[2]}, then {command}", code=scenario_text(scenario)
    )


def _breakable(text: str) -> Markup:
    """A heading that may be broken behind the dots and underscores of a field's name."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"(?<=[._])(?=\w)", "<wbr>", str(escape(text))))


def _template(name: str) -> Template:
    """A page of this folder; what is filled in is escaped."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    def asset(file: str) -> Markup:
        return Markup((PAGES / "assets" / file).read_text(encoding="utf-8"))

    environment = Environment(autoescape=True, trim_blocks=True, loader=FileSystemLoader(PAGES))
    environment.globals["asset"] = asset
    environment.filters["breakable"] = _breakable
    return environment.get_template(name)
