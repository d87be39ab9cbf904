"""Amounts as texts: digits that suit the size, and never a power of ten."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from simulator.report.amounts import count_text, figure_text, kilowatt_hours, watts
from simulator.report.comparison.words import against, field_text, listed
from simulator.report.planning.table import title
from simulator.report.serving.answer import stated


@given(st.floats(1.0, 1e12))
def test_figures_keep_four_digits(value: float) -> None:
    text = figure_text(value)
    assert "e" not in text
    assert math.isclose(float(text.replace(",", "")), value, rel_tol=6e-4)


def test_units_suit_the_size() -> None:
    assert (watts(55.4), watts(4321.0)) == ("55 W", "4.32 kW")
    assert (kilowatt_hours(3.6e6 * 12.3456), kilowatt_hours(1440.0)) == ("12.346", "0.0004")
    assert (count_text(3.981e12), count_text(31_980_442.0, "USD")) == ("3.981 trillion", "31.98 million USD")


def test_a_second_figure_is_set_apart() -> None:
    assert stated("0.00%", "0 of 51,200 prompt tokens") == "0.00%, 0 of 51,200 prompt tokens"
    assert stated("95.57", "s") == "95.57 s"
    assert stated("3", "") == "3"


def test_names_and_fields_are_words() -> None:
    assert against(["a", "b", "c", "d"]) == "b, c and d against a"
    assert listed(["x"]) == "x"
    assert field_text({"queue": {"capacity": 8, "seed": None}, "late": "drop", "on": True}) == (
        "(queue.capacity 8, late drop)"
    )
    assert (field_text(None), field_text(False)) == ("unset", "no")


def test_a_load_without_a_name_is_generated() -> None:
    facts = {"model": "m", "feasible": True, "load": {"name": "generated", "requests": 800, "growth": 2}}
    assert title(facts).startswith("m under 800 generated requests at 2 times its rate:")
    facts["load"] = {"name": "azure-conversation", "requests": 800, "growth": 1}
    assert title(facts).startswith("m under 800 requests of azure-conversation:")
