"""An outcome as a block of HTML for notebooks: self-contained, in the colours of the page around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

MOST_ROWS = 12
LINE = "border-bottom:1px solid rgba(128,128,128,.35);"
CELL = f"padding:.15em .9em .15em 0;{LINE}background:none;color:inherit;"


def block(
    name: str, title: str, tables: Sequence[tuple[str, Sequence[Mapping[str, str]]]], chart: str, again: str
) -> str:
    """Title, tables of formatted cells (the first two, cut after some rows) and an SVG drawing; all text escaped."""
    heading = f"<b>{escape(name)}</b>" + (f": {escape(title)}" if title != name else "")
    parts = [f'<div style="margin:.2em 0 .5em">{heading}</div>']
    parts.append('<div style="display:flex;flex-wrap:wrap;gap:1.2em;align-items:flex-start">')
    parts += [_table(caption, rows) for caption, rows in tables[:2] if rows]
    if chart:
        parts.append(f'<div style="max-width:30em;flex:1 1 20em">{_scaled(chart)}</div>')
    parts.append("</div>")
    note = f"to run this again: {escape(again)}; .scenario_yaml has the text"
    parts.append(f'<div style="opacity:.7;font-size:.85em;margin-top:.4em">{note}</div>')
    return f'<div style="color:inherit;font-family:sans-serif;font-size:.9em">{"".join(parts)}</div>'


def _table(caption: str, rows: Sequence[Mapping[str, str]]) -> str:
    columns = list(rows[0])
    head = "" if columns == ["figure", "value"] else _row(columns, "th")
    body = "".join(_row([row.get(c, "") for c in columns], "td") for row in rows[:MOST_ROWS])
    left = f"<tr><td>and {len(rows) - MOST_ROWS:,} more</td></tr>" if len(rows) > MOST_ROWS else ""
    title = f'<caption style="text-align:left;opacity:.7">{escape(caption)}</caption>' if caption else ""
    style = "border-collapse:collapse;color:inherit;background:none;font-variant-numeric:tabular-nums"
    return f'<div style="overflow-x:auto"><table style="{style}">{title}{head}{body}{left}</table></div>'


def _row(cells: Sequence[str], tag: str) -> str:
    """A row whose first cell is a name and the others numbers or words."""
    shown = (
        f'<{tag} style="{CELL}text-align:{"left" if i == 0 else "right"}">{escape(str(cell))}</{tag}>'
        for i, cell in enumerate(cells)
    )
    return f'<tr style="background:none">{"".join(shown)}</tr>'


def _scaled(chart: str) -> str:
    """A drawing that is as wide as its place."""
    return chart.replace("<svg ", '<svg style="width:100%;height:auto" ', 1)
