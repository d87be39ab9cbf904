"""Markdown tables and text from plain values."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from pydantic import BaseModel


def cell(value: object) -> str:
    """A value as the text of a table's cell."""
    return " ".join(str(value).split()).replace("|", "\\|")


def table(heading: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: Sequence[str] = ()) -> str:
    """A table; columns named in `numbers` are set flush right."""
    lines = ["| " + " | ".join(heading) + " |"]
    lines.append("| " + " | ".join("---:" if name in numbers else "---" for name in heading) + " |")
    lines += ["| " + " | ".join(map(cell, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def code(value: object) -> str:
    """A value in a code span."""
    return f"`{value}`"


# Front matter of a page whose one table needs the width of the contents beside it.
WIDE = "---\nhide: [toc]\n---\n\n"


def written(value: object) -> str:
    """A value as one would write it in YAML, in a code span."""
    plain = json.dumps(value, default=_plain)
    return code(plain[1:-1] if isinstance(value, str) else plain)


def _plain(value: object) -> object:
    return value.model_dump(exclude_defaults=True) if isinstance(value, BaseModel) else str(value)


def slug(text: str) -> str:
    """The anchor of a heading, as Markdown's own table of contents makes it."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text).strip().lower())


def paragraphs(text: str) -> str:
    """A docstring as Markdown: angle brackets and dollars stay what they are outside code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;").replace("*", "\\*") for part in parts)
