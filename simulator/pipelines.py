"""Run a scenario of a pipeline: one validated object in, one result out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from simulator.assembly.pipeline.network import network_of
from simulator.assembly.pipeline.resources import Places
from simulator.engine.pipeline.running import Outcome, run
from simulator.errors import InputError
from simulator.specs.pipeline.scenario import PipelineScenario


@dataclass(frozen=True)
class PipelineResult:
    """What became of all items, and of what they went through."""

    scenario: PipelineScenario
    outcome: Outcome
    places: Places

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Headline figures as nested plain data; names carry their units."""
        from simulator.report.graphs.pipeline import summarise_pipeline

        return summarise_pipeline(self)


def run_pipeline(scenario: PipelineScenario) -> PipelineResult:
    """Simulate. Raises `InputError` for names that there are not, and where no item is created."""
    network, places, sources = network_of(scenario)
    outcome = run(network, sources, scenario.seconds)
    if not outcome.items:
        raise InputError("no item was created: give the sources more items or seconds, or the run more seconds")
    return PipelineResult(scenario, outcome, places)


def anchor_pipeline(values: dict[str, Any], folder: Path) -> None:
    """Make paths of models' files in plain values relative to `folder`, in place."""
    for value in list(values.values()):
        if isinstance(value, dict):
            if isinstance(value.get("onnx"), str):
                value["onnx"] = str(folder / value["onnx"])
            anchor_pipeline(value, folder)
