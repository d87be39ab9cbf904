"""Devices that several models share in turn: one is in memory, the others wait in host memory."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence as Many
from dataclasses import dataclass
from functools import partial

from simulator.engine.clock import ARRIVAL, Clock
from simulator.engine.endpoint import Endpoint
from simulator.policies.sequence import Sequence
from simulator.policies.turns import Member, Turns


@dataclass(slots=True)
class _Place:
    """One model of the group: seconds to load it, and what waits for its turn or is being served."""

    endpoint: Endpoint
    load_s: float
    held: deque[Sequence]
    inside: int = 0


class TimeShared:
    """Endpoints whose clusters are on the same devices, of which one at a time is in memory.

    Calls to the others are held back. When the policy gives another the turn, the resident one takes nothing more,
    finishes what it has and loses its KV cache; then the weights are loaded. Counts `loads` and `loading_s`. Lanes
    notice nothing of this, so decode steps are joined as ever.
    """

    def __init__(self, clock: Clock, turns: Turns, endpoints: Many[Endpoint], load_s: Many[float]) -> None:
        self._clock = clock
        self._turns = turns
        self._places = [_Place(e, s, deque()) for e, s in zip(endpoints, load_s, strict=True)]
        self._resident = -1
        self._loading = False
        self.loads = 0
        self.loading_s = 0.0
        for number, endpoint in enumerate(endpoints):
            endpoint.take = partial(self._take, number)
            endpoint.on_ended = partial(self._ended, number)

    def _take(self, number: int, sequence: Sequence) -> None:
        self._places[number].held.append(sequence)
        self._advance()

    def _ended(self, number: int) -> None:
        self._places[number].inside -= 1
        self._advance()

    def _advance(self) -> None:
        """Let calls in, or change the model if it is another's turn and nothing is left inside."""
        if self._loading:
            return
        members = [Member(len(p.held), p.held[0].arrival if p.held else math.inf, p.inside) for p in self._places]
        turn = self._turns.next(members, self._resident, self._clock.now)
        if turn == self._resident:
            self._let_in(self._places[turn])
        elif self._resident < 0 or not self._places[self._resident].inside:
            self._load(turn)

    def _let_in(self, place: _Place) -> None:
        while place.held:
            place.inside += 1
            place.endpoint.cluster.submit(place.held.popleft())

    def _load(self, turn: int) -> None:
        place = self._places[turn]
        if self._resident >= 0:
            for replica in self._places[self._resident].endpoint.cluster.all_replicas:
                replica.kv.clear()
        self._loading = True
        self.loads += 1
        self.loading_s += place.load_s
        event = self._clock.at(self._clock.now + place.load_s, ARRIVAL)
        assert event.callbacks is not None
        event.callbacks.append(lambda _: self._loaded(turn))

    def _loaded(self, turn: int) -> None:
        self._resident, self._loading = turn, False
        self._let_in(self._places[turn])
        self._advance()
