"""Where a long command is: a line on the terminal with what is done, the rate and the time left."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from simulator.report.terminal import draws_progress

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

SHOW_AFTER_S = 1.5
BAR_CELLS = 20

Total = float | Callable[[], float | None] | None


class Update(Protocol):
    """Told the count done so far, the count at the end if known by now, and what else is worth knowing."""

    def __call__(self, done: float, total: float | None = None, note: str = "") -> None: ...


@contextmanager
def progress(doing: str, unit: str = "", total: Total = None) -> Iterator[Update | None]:
    """Show where a block is once it has run for a second and a half; yields what is to be told the count done.

    `total` is the count at the end, or a function that finds it and is called only if the line is drawn. Yields
    None, and draws nothing, where standard error is no terminal, or quiet or plain output is asked for.
    """
    if not draws_progress():
        yield None
        return
    line = _Line(doing, unit, total)
    timer = threading.Timer(SHOW_AFTER_S, line.draw)
    timer.daemon = True
    timer.start()
    try:
        yield line.update
    finally:
        timer.cancel()
        timer.join()
        line.clear()


def over_runs(update: Update | None) -> Update | None:
    """`update` for a count that begins again with every run of several: the counts of earlier runs are added."""
    if update is None:
        return None
    before = last = 0.0

    def add(done: float, total: float | None = None, note: str = "") -> None:
        nonlocal before, last
        if done < last:
            before += last
        last = done
        update(before + done, total, note)

    return add


def figures(done: float, total: float | None, unit: str, elapsed_s: float, rate: float = 0.0) -> str:
    """The figures of the line, such as "1,024 of 4,000 requests, 512/s, 0:06 left"; a rate of 0 is not known yet."""
    if total is not None and total < done:
        total = None
    if not unit or (not done and total is None):
        return clock(elapsed_s)
    count = f"{done:,.0f} {unit}" if total is None else f"{done:,.0f} of {total:,.0f} {unit}"
    if not rate:
        return f"{count}, {clock(elapsed_s)}"
    end = clock(elapsed_s) if total is None else f"{clock((total - done) / rate)} left"
    return f"{count}, {rate:,.0f}/s, {end}" if rate >= 10 else f"{count}, {rate:.2g}/s, {end}"


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds, or hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


class _Line:
    """The count so far, told by one thread, and the line, drawn by another."""

    def __init__(self, doing: str, unit: str, total: Total) -> None:
        self._doing, self._unit, self._find_total = doing, unit, total
        self._started, self._done, self._note = time.monotonic(), 0.0, ""
        # What was done before, as of a search that goes on, is no part of the rate: it counts from the first update.
        self._first: tuple[float, float] | None = None
        self._rate = 0.0
        self._total: float | None = None
        self._live: Live | None = None

    def update(self, done: float, total: float | None = None, note: str = "") -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = now, done
        elif now > self._first[0]:
            self._rate = (done - self._first[1]) / (now - self._first[0])
        self._done, self._note = done, note
        if total is not None:
            self._total = total

    def draw(self) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.progress_bar import ProgressBar
        from rich.spinner import Spinner
        from rich.table import Table
        from rich.text import Text

        if self._total is None:
            self._total = self._find_total() if callable(self._find_total) else self._find_total
        spinner = Spinner("line")

        def row() -> Table:
            elapsed = time.monotonic() - self._started
            shown = f"{self._doing}: {figures(self._done, self._total, self._unit, elapsed, self._rate)}"
            text = Text(f"{shown}, {self._note}" if self._note else shown, no_wrap=True, overflow="ellipsis")
            known = self._total is not None
            bar = [ProgressBar(total=self._total, completed=self._done, width=BAR_CELLS)] if known else []
            grid = Table.grid(padding=(0, 1))
            grid.add_row(spinner, *bar, text)
            return grid

        # What a command prints meanwhile goes above the line, unless it goes to a file.
        above = sys.stdout.isatty()
        console = Console(stderr=True)
        self._live = Live(get_renderable=row, console=console, transient=True, redirect_stdout=above)
        self._live.start(refresh=True)

    def clear(self) -> None:
        if self._live is not None:
            self._live.stop()
