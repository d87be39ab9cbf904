"""What an export gives: files, and what of the scenario they do not say, each with a reason."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.deployment.fields import is_simulated, set_fields, within
from simulator.scenario import Scenario

SHOWN = 60  # characters of a value in a comment


@dataclass(frozen=True, slots=True)
class Unexpressed:
    """Fields that a target has no words for, with their values, and why."""

    fields: Mapping[str, Any]
    reason: str

    @property
    def line(self) -> str:
        """The same in one line."""
        return f"{', '.join(f'{k}={_short(v)}' for k, v in self.fields.items())}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Coverage:
    """How far a target says what a scenario does: fields left out, fields of the simulation alone, and remarks."""

    unexpressed: tuple[Unexpressed, ...]
    simulated: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def comments(self) -> list[str]:
        """Lines without a comment sign, for the head of a file."""
        lines = [f"not expressed: {each.line}" for each in self.unexpressed]
        if self.simulated:
            lines.append(f"of the simulation alone: {', '.join(self.simulated)}")
        return lines + [f"note: {note}" for note in self.notes]


@dataclass(frozen=True, slots=True)
class Exported:
    """Files by name, as text, and how far they say what the scenario does."""

    files: Mapping[str, str]
    coverage: Coverage


def coverage(
    scenario: Scenario, claimed: Iterable[str], lacks: Mapping[str, str], notes: Sequence[str] = ()
) -> Coverage:
    """Compare the fields that are set with those `claimed`; `lacks` has reasons by the beginning of a field's name."""
    said = set(claimed)
    left: dict[str, dict[str, Any]] = {}
    simulated: list[str] = []
    for field, value in set_fields(scenario).items():
        if field in said or (value in ({}, []) and any(within(each, field) for each in said)):
            continue
        if is_simulated(field):
            simulated.append(field)
        else:
            left.setdefault(_reason(field, value, lacks), {})[field] = value
    return Coverage(
        tuple(Unexpressed(fields, reason) for reason, fields in left.items()), tuple(simulated), tuple(notes)
    )


def _reason(field: str, value: Any, lacks: Mapping[str, str]) -> str:
    if isinstance(value, str) and ":" in value and field.endswith("policy"):
        return "a class of one's own runs in the simulator only"
    matching = [prefix for prefix in lacks if within(field, prefix)]
    return lacks[max(matching, key=len)] if matching else "there is no such setting"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def one_line(text: str) -> str:
    """Text without line breaks and control characters, so that it stays a comment."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
