"""Tables on the terminal, and plain text of full width where the output is no terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def console() -> Console:
    """The terminal; elsewhere text so wide that no cell is cut."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console()
    return Console(width=1000, no_color=True, force_terminal=False, soft_wrap=True)


def table(on: Console, title: str, *columns: tuple[str, str]) -> Table:
    """An empty table; each column is its heading and how it is justified."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    plain = not on.is_terminal
    made = Table(title=Text(title), title_justify="left", box=box.ASCII if plain else box.SIMPLE_HEAD)
    for name, justify in columns:
        made.add_column(name, justify=justify, no_wrap=plain)  # type: ignore[arg-type]
    return made
