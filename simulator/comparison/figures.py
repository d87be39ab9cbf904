"""Scenarios of one kind side by side by the figures of their summaries, where nothing is paired request by request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from simulator.comparison.contenders import Settings, differences, labels_of
from simulator.counted import OnCount, counted
from simulator.errors import InputError
from simulator.kinds import load_summarised, simulate
from simulator.report.flat import flat
from simulator.specs.part import Part


@dataclass(frozen=True)
class FigureComparison:
    """Summaries of several scenarios, the first of them the baseline; `changes` are fields that differ from its own."""

    labels: tuple[str, ...]
    scenarios: tuple[Part, ...]
    summaries: tuple[Mapping[str, Any], ...]
    changes: tuple[dict[str, tuple[Any, Any]], ...]

    @cached_property
    def figures(self) -> dict[str, list[float | None]]:
        """Numbers of every summary by dotted name; None where a scenario has no such figure."""
        found = [_numbers(s) for s in self.summaries]
        names = dict.fromkeys(name for figures in found for name in figures)
        return {name: [figures.get(name) for figures in found] for name in names}

    @property
    def summary(self) -> dict[str, Any]:
        """The comparison as nested plain data."""
        return {
            "scenarios": list(self.labels),
            "figures": self.figures,
            "changes": [
                {name: {"baseline": own, "value": other} for name, (own, other) in changes.items()}
                for changes in self.changes
            ],
        }


def compare_figures(
    files: Sequence[Path], settings: Settings = (), *, on_count: OnCount | None = None
) -> FigureComparison:
    """Simulate each file's scenario, `settings` laid over all; errors as for `compare_summaries`."""
    return compare_summaries([load_summarised(f, settings) for f in files], labels_of(files), on_count=on_count)


def compare_summaries(
    scenarios: Sequence[Part], labels: Sequence[str], *, on_count: OnCount | None = None
) -> FigureComparison:
    """Simulate each scenario. Raises `InputError` for fewer than two, and for different kinds."""
    if len(scenarios) < 2:
        raise InputError("compare needs two scenarios or more, the first of which is the baseline")
    kinds = list(dict.fromkeys(str(getattr(s, "kind", "")) for s in scenarios))
    if len(kinds) > 1:
        raise InputError(f"{kinds[1]} cannot stand beside {kinds[0]}: compare scenarios of one kind")
    fields = [s.model_dump(exclude={"name"}) for s in scenarios]
    return FigureComparison(
        tuple(labels),
        tuple(scenarios),
        tuple(simulate(s).summary for s in counted(scenarios, len(scenarios), on_count)),
        tuple(differences(fields[0], f) for f in fields),
    )


def _numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    """The numbers among figures, by dotted name."""
    found = flat(figures).items()
    return {name: float(v) for name, v in found if isinstance(v, int | float) and not isinstance(v, bool)}
