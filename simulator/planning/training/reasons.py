"""Why other layouts lose: for every value of every searched field, the best that has it beside the best of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.planning.training.search import Bounded, Found, quickest
from simulator.planning.training.space import Space
from simulator.report.training.summary import breakdown
from simulator.training import TrainingResult

# Parts of a step's breakdown by what a layout loses by; all others are links.
COMPUTE = ("forward", "backward", "optimizer")
PARTS = {"wait": "bubble", "recompute": "recomputation"} | dict.fromkeys(COMPUTE, "compute")


@dataclass(frozen=True)
class Loss:
    """The best layout with one value of a field: seconds of its step (None where there is none), and why it loses.

    `more` are the seconds that it takes more than the best by bubble, links, recomputation and compute.
    """

    field: str
    value: Any
    seconds: float | None
    why: str
    more: dict[str, float]


def losses(space: Space, found: Found, best: TrainingResult) -> list[Loss]:
    """One row a value of each field with several."""
    several = {name: values for name, values in space.axes.items() if len(values) > 1}
    return [_loss(name, value, found, best) for name, values in several.items() for value in values]


def _loss(name: str, value: Any, found: Found, best: TrainingResult) -> Loss:
    def having(among: list[Bounded]) -> list[Bounded]:
        return [b for b in among if b.candidate.choice[name] == value]

    own = quickest(found, having(found.fitting), 1)
    if not own:
        large = having(found.too_large)
        if not large:
            return Loss(name, value, None, "cannot be laid out", {})
        least = min(b.bytes for b in large)
        return Loss(name, value, None, f"memory: {least / 1e9:,.1f} GB a device or more", {})
    seconds = own[0].step.step_seconds
    if seconds <= best.step.step_seconds:
        return Loss(name, value, seconds, "", {})
    parts, least_parts = (grouped(breakdown(r.step)) for r in (own[0], best))
    more = {part: parts.get(part, 0.0) - least_parts.get(part, 0.0) for part in parts | least_parts}
    part = max(more, key=lambda key: more[key])
    return Loss(name, value, seconds, f"{part} +{more[part]:,.3g} s", more)


def grouped(parts: Mapping[str, float]) -> dict[str, float]:
    """Seconds of a breakdown by bubble, links, recomputation and compute."""
    found: dict[str, float] = {}
    for name, seconds in parts.items():
        group = PARTS.get(name, "links")
        found[group] = found.get(group, 0.0) + seconds
    return found
