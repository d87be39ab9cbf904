"""Clients work, the server gathers: rounds, buffers and single updates in one loop over clients that finish."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from simulator.engine.streams import stream
from simulator.engine.training.federated.clients import Clients
from simulator.errors import InputError
from simulator.policies.federated.serving import Polling, Server


@dataclass(frozen=True, slots=True)
class Gathered:
    """What came of `seconds`: updates of the model, and what each client did for them.

    `used` counts the updates of each client that were taken in, `given_up` those that came too late; `steps` the local
    steps of those taken in. `staleness` tells of each one taken in how often the model was updated while it was made.
    `computing`, `sending` and `getting` are seconds of all clients together. Of each update of the model, shape
    (updates,), `at` tells its second, `taken` how many updates of clients had been taken in by then, in the order of
    `staleness`, and `made` how many had been made, those given up too.
    """

    seconds: float
    updates: int
    used: NDArray[np.int64]
    given_up: int
    steps: int
    staleness: NDArray[np.int64]
    computing: float
    sending: float
    getting: float
    at: NDArray[np.float64]
    taken: NDArray[np.int64]
    made: NDArray[np.int64]


# More updates of clients than this tell nothing new and take minutes.
MOST_UPDATES = 5_000_000


class _Tally:
    """Counts while clients work."""

    def __init__(self, clients: Clients) -> None:
        self.clients = clients
        self.used = np.zeros(clients.step.size, dtype=np.int64)
        self.staleness: list[int] = []
        self.at: list[float] = []
        self.taken: list[int] = []
        self.made_then: list[int] = []
        self.updates = self.given_up = self.steps = self.made = 0
        self.computing = self.sending = self.getting = 0.0

    def worked(self, client: int, steps: int) -> None:
        self.made += 1
        if self.made > MOST_UPDATES:
            raise InputError(f"over {MOST_UPDATES:,} updates of clients: take fewer hours, or slower clients")
        self.computing += steps * float(self.clients.step[client]) + float(self.clients.compress[client])
        self.sending += float(self.clients.up[client])
        self.getting += float(self.clients.down[client])

    def updated(self, at: float) -> None:
        """The model has been updated with all that was taken in so far."""
        self.updates += 1
        self.at.append(at)
        self.taken.append(len(self.staleness))
        self.made_then.append(self.made)

    def gathered(self, seconds: float) -> Gathered:
        return Gathered(
            seconds, self.updates, self.used, self.given_up, self.steps,
            np.array(self.staleness, dtype=np.int64), self.computing, self.sending, self.getting,
            np.array(self.at), np.array(self.taken, dtype=np.int64), np.array(self.made_then, dtype=np.int64),
        )  # fmt: skip


class _Idle:
    """Clients that do nothing, to be taken at random."""

    def __init__(self, count: int, seed: int) -> None:
        self.waiting = list(range(count))
        self._rng = stream(seed, "choice of clients")

    def take(self, wanted: int) -> list[int]:
        """As many as are wanted and there."""
        found = []
        for _ in range(min(wanted, len(self.waiting))):
            number = int(self._rng.integers(len(self.waiting)))
            self.waiting[number], self.waiting[-1] = self.waiting[-1], self.waiting[number]
            found.append(self.waiting.pop())
        return found


def _check_count(wanted: int, clients: Clients) -> None:
    """Raise `InputError` for a server that wants more clients at once than there are."""
    there = clients.step.size
    if wanted > there:
        raise InputError(
            f"server.options: {wanted} clients at once are more than the {there} there are: lower clients, "
            "or raise clients.count"
        )


def gather(clients: Clients, steps: int, server: Server, until: float, seed: int) -> Gathered:
    """Work until `until` seconds. Clients are chosen at random among those that are idle.

    A client gets the model, does `steps` local steps, compresses its update and sends it; what it did for an update
    that is given up counts as done. Raises `InputError` for millions of updates, and for a server that
    has more clients begin at once than there are.
    """
    tally = _Tally(clients)
    whole = clients.down + steps * clients.step + clients.compress + clients.up
    _check_count(server.starts(0, 0), clients)
    idle = _Idle(clients.step.size, seed)
    under_way: list[tuple[float, int, int]] = []
    received: list[tuple[int, int]] = []
    now = last = 0.0
    while True:
        for client in idle.take(server.starts(len(under_way), len(received))):
            heapq.heappush(under_way, (now + float(whole[client]), client, tally.updates))
        due = last + server.deadline
        ahead = under_way[0][0] if under_way else inf
        if min(due, ahead) > until:
            break
        if due < ahead:
            now = due
            _give_up(under_way, idle, tally, steps)
            if not received:
                last = now
                continue
        else:
            now, client, version = heapq.heappop(under_way)
            idle.waiting.append(client)
            tally.worked(client, steps)
            received.append((client, version))
            if not server.updates(len(under_way), len(received)):
                continue
            if server.drops:
                _give_up(under_way, idle, tally, steps)
        for client, version in received:
            tally.used[client] += 1
            tally.steps += steps
            tally.staleness.append(tally.updates - version)
        received.clear()
        tally.updated(now)
        last = now
    return tally.gathered(until)


def _give_up(under_way: list[tuple[float, int, int]], idle: _Idle, tally: _Tally, steps: int) -> None:
    for _, client, _ in under_way:
        idle.waiting.append(client)
        tally.worked(client, steps)
        tally.given_up += 1
    under_way.clear()


def poll(clients: Clients, steps: int, server: Polling, until: float, seed: int) -> Gathered:
    """Work until `until` seconds: at each poll some clients send what they have, while the others go on.

    A client begins again when it has sent its update and got the model; at `steps` local steps it rests. A poll ends
    with the slowest of its clients, and the next one comes `interval` later. Errors as for `gather`.
    """
    _check_count(server.clients, clients)
    rng = stream(seed, "choice of clients")
    tally = _Tally(clients)
    began = clients.down.copy()
    version = np.zeros(clients.step.size, dtype=np.int64)
    now = server.interval
    while now <= until:
        chosen = rng.choice(clients.step.size, server.clients, replace=False)
        done = np.clip((now - began[chosen]) // clients.step[chosen], 0, steps).astype(np.int64)
        for client, did in zip(chosen.tolist(), done.tolist(), strict=True):
            tally.worked(client, did)
            tally.used[client] += 1
            tally.steps += did
            tally.staleness.append(tally.updates - int(version[client]))
        now += float((clients.compress + clients.up)[chosen].max())
        tally.updated(now)
        version[chosen] = tally.updates
        began[chosen] = now + clients.down[chosen]
        now += server.interval
    return tally.gathered(until)
