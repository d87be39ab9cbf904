"""Run a network of stages until every item has come to its end, or a time is up."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from simpy.events import Event

from simulator.engine.pipeline.items import Item
from simulator.engine.pipeline.network import Network
from simulator.engine.pipeline.records import Visit


@dataclass(frozen=True)
class Outcome:
    """A network after its run, which took `makespan` seconds."""

    network: Network
    makespan: float

    @property
    def items(self) -> Sequence[Item]:
        """All items, in the order in which they entered."""
        return self.network.ledger.items

    @property
    def visits(self) -> list[Visit]:
        """All visits, by the stages' order and then by when they ended."""
        return [visit for station in self.network.stations.values() for visit in station.visits]


def run(network: Network, sources: Sequence[Generator[Event, None, None]], seconds: float | None = None) -> Outcome:
    """Run the sources and what they set off; ends early at `seconds` with items still in flight."""
    clock = network.clock
    over = clock.event()
    running = [clock.process(source) for source in sources]
    open_sources = len(running)

    def end_if_over() -> None:
        if not open_sources and not over.triggered and all_closed():
            over.succeed()

    closed = 0

    def all_closed() -> bool:
        return closed == len(network.ledger.items)

    def count(item: Item) -> None:
        nonlocal closed
        closed += 1
        end_if_over()

    def source_over(_: Event) -> None:
        nonlocal open_sources
        open_sources -= 1
        end_if_over()

    network.ledger.on_close = count
    for process in running:
        assert process.callbacks is not None
        process.callbacks.append(source_over)
    if seconds is not None:
        limit = clock.at(seconds)
        clock.run(until=over | limit)
    else:
        _run_until_idle(network, over)
    return Outcome(network, clock.now)


def _run_until_idle(network: Network, over: Event) -> None:
    """Run to the end, or to where nothing more can happen: items that keep one another back stay in flight."""
    while not over.processed:
        if network.clock.peek() == float("inf"):
            return
        network.clock.step()
