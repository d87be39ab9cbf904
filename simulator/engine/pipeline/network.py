"""The network of stages that items go through, from their source to "done" or "drop"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simpy.events import Event

from simulator.engine.clock import Clock
from simulator.engine.pipeline.items import Copy, Item, Ledger
from simulator.engine.pipeline.resources import Resource
from simulator.engine.pipeline.station import Station
from simulator.engine.pipeline.supply import Supply
from simulator.errors import InputError
from simulator.policies.stages.routing import DONE, DROP, NextStage
from simulator.policies.stages.views import ItemView

MOST_VISITS = 10_000


@dataclass(frozen=True, slots=True)
class Join:
    """Where branches meet again: the first `needed` of them go on as one (None: all), without a service."""

    needed: int | None = None


class Network:
    """Stations, joins and resources by name, and the routes from sources and stages to the next."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.ledger = Ledger()
        self.stations: dict[str, Station] = {}
        self.joins: dict[str, Join] = {}
        self.resources: dict[str, Resource] = {}
        self.supplies: dict[str, Supply] = {}
        self.routes: dict[str, NextStage] = {}

    @property
    def now(self) -> float:
        return self.clock.now

    def waiting(self, stage: str) -> int:
        return self.stations[stage].waiting

    def alone_s(self, stage: str, item: ItemView) -> float:
        assert isinstance(item, Item)
        return self.stations[stage].service.alone(item, self.clock.now)

    def delay_s(self, stage: str, item: ItemView) -> float:
        assert isinstance(item, Item)
        return self.stations[stage].delay(item, self.clock.now)

    def forward(self, source: str, copy: Copy) -> list[Event]:
        """Send a copy on from a source or stage; events of the places that have no room for it yet.

        Raises `InputError` for an item that goes round in circles.
        """
        copy.visits += 1
        if copy.visits > MOST_VISITS:
            raise InputError(f"an item has been at {MOST_VISITS:,} stages, now {source}: let its loop end")
        try:
            places = self.routes[source].choose(copy.item, self)
        except ValueError as error:
            raise InputError(f"{source}.to: {error}") from None
        blocked: list[Event] = []
        for place, branch in zip(places, self.ledger.split(copy, len(places)), strict=True):
            blocked += self._enter(place, branch)
        return blocked

    def drop(self, copy: Copy, reason: str) -> None:
        self.ledger.drop(copy, reason, self.clock.now)

    def _enter(self, place: str, copy: Copy) -> list[Event]:
        if place == DONE:
            self.ledger.finish(copy, self.clock.now)
        elif place == DROP:
            self.drop(copy, "not wanted")
        elif place in self.joins:
            joined = self.ledger.meet(copy, self.joins[place].needed, self.clock.now)
            return [] if joined is None else self.forward(place, joined)
        else:
            kept_back = self.stations[place].enter(copy)
            return [] if kept_back is None else [kept_back]
        return []


def unreachable(routes: Mapping[str, NextStage], sources: set[str]) -> set[str]:
    """Stages with a route that no item of these sources can come to."""
    seen, ahead = set(sources), list(sources)
    while ahead:
        for name in routes[ahead.pop()].targets:
            if name in routes and name not in seen:
                seen.add(name)
                ahead.append(name)
    return set(routes) - seen
