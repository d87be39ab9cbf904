"""Which fields of a scenario are set, by dotted name, and which of them describe no deployment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simulator.scenario import Scenario

# What is offered, expected, paid or assumed, and how it is simulated: nothing that a server could be told.
SIMULATED = (
    "load", "objectives", "price_per_device_hour", "seed", "fast_forward", "calibration", "failures",
    "experts.skew", "speculation.acceptance", "autoscaling.cold_start", "disaggregation.calibration",
    "disaggregation.price_per_device_hour",
)  # fmt: skip
_WHOLE = ("load.generator",)


def set_fields(scenario: Scenario) -> dict[str, Any]:
    """Fields whose value is not the usual one; options and the items of lists go each by a name of its own.

    A part that is given with only usual values goes by its own name, with an empty value.
    """
    return dict(_flat(scenario.model_dump(mode="json", exclude_defaults=True), ""))


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    inside: Iterator[tuple[Any, Any]] | None = None
    if isinstance(value, dict) and value and path not in _WHOLE:
        inside = iter(value.items())
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        inside = iter(enumerate(value))
    if inside is None:
        yield path, value
        return
    for key, inner in inside:
        yield from _flat(inner, f"{path}.{key}" if path else str(key))


def is_simulated(field: str) -> bool:
    """Whether a field is of the simulation alone."""
    return any(within(field, prefix) for prefix in SIMULATED)


def within(field: str, prefix: str) -> bool:
    """Whether a field is the one named, or a part of it."""
    return field == prefix or field.startswith(f"{prefix}.")


def value_of(scenario: Scenario, field: str) -> Any:
    """The value of a field by its dotted name, None where a part on the way is left out."""
    value: Any = scenario
    for name in field.split("."):
        value = value.get(name) if isinstance(value, dict) else getattr(value, name, None)
    return value
