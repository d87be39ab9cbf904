"""Tables at any width: figures stay whole, lines fit."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from simulator.report import terminal

FIGURE = st.decimals(-9_999_999, 9_999_999, places=2).map(lambda x: f"{x:,}")


def drawn(width: int, columns: list[tuple[str, str]], rows: list[list[str]]) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    table = terminal.table(console, "title", *columns)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@given(
    st.integers(30, 130),
    st.integers(1, 12).flatmap(lambda n: st.lists(st.lists(FIGURE, min_size=n, max_size=n), min_size=1, max_size=4)),
)
def test_figures_are_whole_and_lines_fit(width: int, figures: list[list[str]]) -> None:
    columns = [("request", "left"), *((f"metric {i} (ms)", "right") for i in range(len(figures[0])))]
    text = drawn(width, columns, [[f"row {i}", *row] for i, row in enumerate(figures)])
    assert all(len(line) <= width for line in text.splitlines())
    words = text.split()
    for row in figures:
        assert all(words.count(figure) >= row.count(figure) for figure in row)


@pytest.mark.parametrize("width", [80, 120])
def test_parts_repeat_what_tells_rows_apart(width: int) -> None:
    columns = [("by", "left"), ("group", "left"), *((f"m{i}", "right") for i in range(14))]
    rows = [[by, group, *["1,234.50"] * 14] for by in ("tokens", "arrival") for group in ("low", "high")]
    text = drawn(width, columns, rows)
    parts = text.split(" by ")[1:]
    assert len(parts) == (3 if width == 80 else 2)
    for part in parts:
        assert all(part.count(word) == 2 for word in ("tokens", "arrival", "low", "high"))


def test_wide_labels_are_numbered_instead() -> None:
    columns = [("device", "left"), ("operator", "left"), *((f"m{i}", "right") for i in range(6))]
    rows = [["nvidia-h100-sxm-80gb", f"attention_of_a_long_name_{i}", *["12,345.67"] * 6] for i in range(3)]
    first, *others = drawn(80, columns, rows).split("#")[1:]
    assert "attention_of_a_long_name_2" in first and "3" in first
    assert others and all("device" not in part and " 3 " in part for part in others)


def test_a_table_that_fits_is_drawn_once() -> None:
    text = drawn(80, [("name", "left"), ("value", "right")], [["x", "1"], ["y", "2"]])
    assert text.count("name") == text.count("value") == 1
