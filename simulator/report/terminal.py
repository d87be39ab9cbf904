"""What commands print: tables on a terminal, plain text of full width elsewhere, nothing where quiet is asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# So wide that no cell is cut.
FULL_WIDTH = 1000
DUMB = ("dumb", "unknown")


@dataclass(frozen=True, slots=True)
class Output:
    """How a command prints: not at all, or plainly even on a terminal."""

    quiet: bool = False
    plain: bool = False


_USUAL = Output()
_OUTPUT: ContextVar[Output] = ContextVar("output", default=_USUAL)


@contextmanager
def own_output() -> Iterator[None]:
    """Undo at the end what `set_output` changed inside."""
    token = _OUTPUT.set(_USUAL)
    try:
        yield
    finally:
        _OUTPUT.reset(token)


def set_output(*, quiet: bool = False, plain: bool = False) -> None:
    """Print nothing, or plainly, from here on; what was asked for before stays."""
    known = _OUTPUT.get()
    _OUTPUT.set(replace(known, quiet=known.quiet or quiet, plain=known.plain or plain))


def is_quiet() -> bool:
    """Whether only errors are to be printed."""
    return _OUTPUT.get().quiet


def is_plain() -> bool:
    """Whether text is to be plain whatever it is printed on: asked for, or the terminal can do no more."""
    return _OUTPUT.get().plain or os.environ.get("TERM", "").lower() in DUMB


def draws_progress() -> bool:
    """Whether a moving line can be shown: standard error is a terminal, and neither quiet nor plain is asked for."""
    return sys.stderr.isatty() and not is_quiet() and not is_plain()


def console() -> Console:
    """The terminal, or what FORCE_COLOR calls one; elsewhere plain text so wide that no cell is cut."""
    from rich.console import Console

    drawn = sys.stdout.isatty() or bool(os.environ.get("FORCE_COLOR"))
    if drawn and not is_plain():
        return Console(quiet=is_quiet())
    return Console(width=FULL_WIDTH, no_color=True, force_terminal=False, soft_wrap=True, quiet=is_quiet())


def say(text: str) -> None:
    """Print a line as it is, unless quiet is asked for."""
    if not is_quiet():
        print(text)


def table(on: Console, title: str, *columns: tuple[str, str]) -> Table:
    """An empty table; each column is its heading and how it is justified. Right-justified cells are never wrapped."""
    from rich import box
    from rich.text import Text

    from simulator.report.fitted_table import FittedTable

    plain = not on.is_terminal
    made = FittedTable(title=Text(title), title_justify="left", box=box.ASCII if plain else box.SIMPLE_HEAD)
    for name, justify in columns:
        made.add_column(name, justify=justify, no_wrap=plain)  # type: ignore[arg-type]
    return made
