"""Amounts as texts whose digits and units suit their size."""

from __future__ import annotations


def figure_text(value: float) -> str:
    """A figure in four digits, or in as many as stand before its point; large ones are no powers of ten."""
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:,.4g}"


def watts(power: float) -> str:
    """Power in watts, or in kilowatts from a thousand on, with its unit."""
    return f"{power / 1e3:,.2f} kW" if power >= 1e3 else f"{power:,.0f} W"


def kilowatt_hours(joules: float) -> str:
    """Energy in kilowatt-hours, to three digits at least."""
    energy = joules / 3.6e6
    return f"{energy:,.3f}" if energy >= 0.1 else f"{energy:.3g}"


def count_text(value: float, unit: str = "") -> str:
    """A large count with its thousands of millions named: 3.98 trillion tokens."""
    for size, name in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if value >= size:
            return f"{value / size:,.4g} {name} {unit}".strip()
    return f"{value:,.0f} {unit}".strip()
