"""The figures of the progress line, and when there is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.counted import counted
from simulator.report.progress import clock, figures, over_runs, progress


@pytest.mark.parametrize(
    ("done", "total", "rate", "shown"),
    [
        (1000, 4000, 500.0, "1,000 of 4,000 requests, 500/s, 0:06 left"),
        (3, 30, 0.5, "3 of 30 requests, 0.5/s, 0:54 left"),
        (100, 400_100, 10.0, "100 of 400,100 requests, 10/s, 11:06:40 left"),
        (1000, None, 16.2, "1,000 requests, 16/s, 1:02"),
        (512, 4000, 0.0, "512 of 4,000 requests, 1:02"),
        (0, 4000, 0.0, "0 of 4,000 requests, 1:02"),
        (0, None, 0.0, "1:02"),
        (50, 40, 10.0, "50 requests, 10/s, 1:02"),
    ],
)
def test_figures(done: float, total: float | None, rate: float, shown: str) -> None:
    assert figures(done, total, "requests", 62.0, rate) == shown


def test_without_a_unit_only_the_time_is_shown() -> None:
    assert figures(0, None, "", 75.0) == "1:15"


@given(st.integers(0, 400_000))
def test_clock(seconds: int) -> None:
    parts = [int(part) for part in clock(seconds).split(":")]
    assert sum(part * 60**i for i, part in enumerate(reversed(parts))) == seconds


@given(st.lists(st.lists(st.integers(1, 1000), min_size=1), min_size=1, max_size=5))
def test_counts_of_several_runs_add_up(steps: list[list[int]]) -> None:
    runs = [[sum(run[: i + 1]) for i in range(len(run))] for run in steps]
    # A run that begins above the end of the one before cannot be told from its continuation.
    runs = [[0, *run] for run in runs]
    told: list[float] = []
    update = over_runs(lambda done, total=None, note="": told.append(done))
    assert update is not None
    for run in runs:
        for count in run:
            update(count)
    assert told == sorted(told)
    assert told[-1] == sum(run[-1] for run in runs)


def test_no_line_where_standard_error_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.report.progress.SHOW_AFTER_S", 0.0)
    with progress("simulating", "requests", 10) as update:
        assert update is None
    assert over_runs(None) is None


def test_counted_gives_every_item_and_tells_of_it() -> None:
    told: list[tuple[int, int]] = []
    assert list(counted("abc", 3, lambda done, total: told.append((done, total)))) == ["a", "b", "c"]
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert list(counted("abc", 3, None)) == ["a", "b", "c"]
