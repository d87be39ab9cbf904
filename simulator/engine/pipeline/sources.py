"""Where items come from: times of arrival, attributes, deadlines, and clients that wait for answers."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from operator import length_hint

import numpy as np
from simpy.events import Event

from simulator.engine.clock import ARRIVAL
from simulator.engine.pipeline.items import Item
from simulator.engine.pipeline.network import Network
from simulator.workloads.laws import Draws, Law


@dataclass(frozen=True, slots=True)
class Emission:
    """What a source puts on each item: `attributes` (one of a class of numbers each), deadline and priority.

    An item enters the pipeline `gather` seconds after it was created, when all of its samples are there.
    """

    name: str
    attributes: Mapping[str, Draws]
    deadline: float = float("inf")
    priority: int = 0
    gather: float = 0.0


def emit(network: Network, emission: Emission, times: Iterator[float]) -> Generator[Event, None, None]:
    """Items at these times (seconds, ascending), whatever becomes of those before; held up only by a full queue."""
    for created in times:
        entry = max(created + emission.gather, network.now)
        yield network.clock.at(entry, ARRIVAL)
        copy = network.ledger.admit(_item(network, emission, created))
        yield from network.forward(emission.name, copy)


def ask(network: Network, emission: Emission, think: Draws, remaining: Iterator[int]) -> Generator[Event, None, None]:
    """One client of a closed loop: an item, the wait for its end, a pause; as long as there are `remaining` items.

    These are the iterator of a range, which all clients of a source share.
    """
    for _ in remaining:
        item = _item(network, emission, network.now)
        item.done = network.clock.event()
        yield from network.forward(emission.name, network.ledger.admit(item))
        if not item.done.triggered:
            yield item.done
        if not length_hint(remaining):
            return  # nobody waits for a pause after the last item
        yield network.clock.timeout(think())


def _item(network: Network, emission: Emission, created: float) -> Item:
    values = {name: draw() for name, draw in emission.attributes.items()}
    number = len(network.ledger.items)
    return Item(number, emission.name, created, values, created + emission.deadline, emission.priority)


def periodic(interval: float, start: float) -> Iterator[float]:
    """One every `interval` seconds: frames of a camera, chunks of audio."""
    return (start + n * interval for n in count())


def renewal(between: Law, rng: np.random.Generator) -> Iterator[float]:
    """Independent times between arrivals; exponential ones are a Poisson process."""
    draw, now = Draws(between, rng), 0.0
    while True:
        now += draw()
        yield now


def bursts(between: Law, size: int, spacing: float, rng: np.random.Generator) -> Iterator[float]:
    """`size` items `spacing` seconds apart from each moment of a renewal process on; bursts do not overlap."""
    last = 0.0
    for start in renewal(between, rng):
        begin = max(start, last)
        for n in range(size):
            last = begin + n * spacing
            yield last


def recorded(times: Sequence[float]) -> Iterator[float]:
    """Arrival times of a trace."""
    return iter(times)


def until(times: Iterator[float], items: int | None, seconds: float) -> Iterator[float]:
    """The first `items` of times that are before `seconds`."""
    for time in islice(times, items):
        if time >= seconds:
            return
        yield time
