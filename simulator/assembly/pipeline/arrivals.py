"""From the fields of sources to the processes that emit items."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import numpy as np
from simpy.events import Event

from simulator.assembly.pipeline.quantities import draws_of, law_of
from simulator.engine.pipeline.network import Network
from simulator.engine.pipeline.sources import (
    Emission,
    ask,
    bursts,
    emit,
    periodic,
    recorded,
    renewal,
    until,
)
from simulator.engine.streams import stream
from simulator.specs.pipeline.scenario import PipelineScenario
from simulator.specs.pipeline.sources import ArrivalsSpec, SourceSpec
from simulator.workloads.laws import Exponential


def sources_of(scenario: PipelineScenario, network: Network) -> list[Generator[Event, None, None]]:
    """One process a source, and one a client of a closed loop."""
    return [
        process
        for name, spec in scenario.sources.items()
        for number in range(spec.count)
        for process in _processes(network, name, spec, scenario.seed, number)
    ]


def _processes(
    network: Network, name: str, spec: SourceSpec, seed: int, number: int
) -> Iterator[Generator[Event, None, None]]:
    def rng(what: str) -> np.random.Generator:
        return stream(seed, f"pipeline/source/{name}/{what}", number)

    arrivals = spec.arrivals
    chunked = arrivals.process == "chunks"
    emission = Emission(
        name,
        {label: draws_of(law, rng(f"attribute/{label}")) for label, law in spec.attributes.items()},
        float("inf") if spec.deadline_ms is None else spec.deadline_ms * 1e-3,
        spec.priority,
        (arrivals.chunk_ms + arrivals.lookahead_ms) * 1e-3 if chunked else 0.0,
    )
    if arrivals.process == "closed":
        remaining = iter(range(spec.items or 0))
        for client in range(arrivals.clients):
            think = draws_of(arrivals.think_ms, rng(f"think/{client}"), 1e-3)
            yield ask(network, emission, think, remaining)
        return
    seconds = float("inf") if spec.seconds is None else spec.seconds
    times = _times(arrivals, rng("arrivals"), number / spec.count)
    yield emit(network, emission, until(times, spec.items, seconds))


def _times(spec: ArrivalsSpec, rng: np.random.Generator, shift: float) -> Iterator[float]:
    """Moments at which items are created, in seconds; `shift` is the share of a period that this source is late."""
    if spec.process in ("periodic", "chunks"):
        period = spec.chunk_ms * 1e-3 if spec.process == "chunks" else 1.0 / spec.per_s
        return periodic(period, spec.phase_ms * 1e-3 + shift * period)
    if spec.process == "recorded":
        return recorded(spec.times_s)
    if spec.process == "renewal":
        return renewal(law_of(spec.between_ms, 1e-3), rng)
    between = Exponential(1.0 / spec.per_s)
    if spec.process == "bursts":
        return bursts(between, spec.size, spec.spacing_ms * 1e-3, rng)
    return renewal(between, rng)
