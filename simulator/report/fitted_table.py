"""A table that a narrow terminal shows in parts, one below the other, instead of cutting its figures."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Column, Table
from rich.text import Text

# Text is wrapped between words into columns of at least so many cells, longer where a word is, up to the most.
LEAST_TEXT = 16
MOST_WORD = 40
# Labels that need more cells than this are not repeated.
MOST_LABELS = 40
# Cells beside each column: a space on either side and a divider.
BESIDE = 3


class FittedTable(Table):
    """A table whose right-justified cells, the figures, stay whole at any width.

    Where the columns do not fit side by side, the table is drawn in parts, one below the other. Each begins with the
    columns that tell the rows apart, or with the numbers of the rows if those columns are wide.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if _natural_width(self.columns) <= options.max_width or not console.is_terminal:
            yield from super().__rich_console__(console, options)
            return
        labels, columns = _told_apart(self.columns), list(self.columns)
        if sum(map(_need, columns[:labels])) > MOST_LABELS:
            labels, columns = 1, [_numbers(self.row_count), *columns]
        needs = [_need(column) for column in columns]
        for number, chosen in enumerate(_even_parts(needs, labels, options.max_width)):
            part = Table(box=self.box, show_header=self.show_header, title_justify="left")
            part.title = None if number else self.title
            for i in chosen:
                width = needs[i] if columns[i].justify == "right" else None
                part.add_column(columns[i].header, justify=columns[i].justify, width=width)
            for row in zip(*(columns[i].cells for i in chosen), strict=True):
                part.add_row(*row)
            yield from part.__rich_console__(console, options)


def _told_apart(columns: Sequence[Column]) -> int:
    """The fewest leading columns in which no two rows are equal; the first where there is no such number."""
    cells = [[_text(cell) for cell in column.cells] for column in columns]
    for count in range(1, len(cells)):
        rows = list(zip(*cells[:count], strict=True))
        if len(set(rows)) == len(rows):
            return count
    return 1


def _numbers(rows: int) -> Column:
    """A column that counts the rows from 1."""
    numbered = Table()
    numbered.add_column("#", justify="right")
    for number in range(1, rows + 1):
        numbered.add_row(str(number))
    return numbered.columns[0]


def _even_parts(needs: Sequence[int], labels: int, width: int) -> list[list[int]]:
    """The fewest parts that fit into `width` cells, the widest of them as narrow as it can be."""
    fewest = _parts(needs, labels, width)
    evener = (_parts(needs, labels, narrower) for narrower in range(1, width))
    return next((parts for parts in evener if len(parts) == len(fewest)), fewest)


def _parts(needs: Sequence[int], labels: int, width: int) -> list[list[int]]:
    """Numbers of the columns of each part: the labels, and as many others as fit into `width`, one at least."""
    repeated = list(range(labels))
    parts = [[*repeated]]
    for i in range(labels, len(needs)):
        if len(parts[-1]) > labels and 1 + sum(needs[j] + BESIDE for j in (*parts[-1], i)) > width:
            parts.append([*repeated])
        parts[-1].append(i)
    return parts


def _need(column: Column) -> int:
    """The fewest cells that a column can do with."""
    cells = [_text(cell) for cell in column.cells]
    heading = max((cell_len(word) for word in _text(column.header).split()), default=0)
    longest = max(map(cell_len, cells), default=0)
    if column.justify == "right":
        return max(longest, heading)
    word = max((cell_len(word) for cell in cells for word in cell.split()), default=0)
    return max(min(longest, max(LEAST_TEXT, min(word, MOST_WORD))), heading)


def _natural_width(columns: Sequence[Column]) -> int:
    """The width of a table whose every cell is on one line."""
    widest = (max([cell_len(_text(c)) for c in (column.header, *column.cells)], default=0) for column in columns)
    return 1 + sum(width + BESIDE for width in widest)


def _text(cell: object) -> str:
    if isinstance(cell, Text):
        return cell.plain
    return cell if isinstance(cell, str) else ""
