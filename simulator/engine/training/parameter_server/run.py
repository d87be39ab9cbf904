"""Workers and their server, event by event: compute, push, wait for the server's turn, pull, compute again."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from simulator.engine.training.parameter_server.progress import Progress
from simulator.engine.training.parameter_server.shared_link import SharedLink
from simulator.engine.training.parameter_server.spans import Spans
from simulator.engine.training.parameter_server.worker import Worker
from simulator.policies.consistency import Consistency

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Server:
    """What one worker's step asks of the server, in seconds.

    `push` and `pull` are those of a message that has the server's link to itself, of which so many as `at_full_speed`
    do not slow each other; either way takes `latency` more. The server takes pushes in turn: `add` for each that is
    summed with others, `update` for an update of the model.
    """

    push: float
    pull: float
    at_full_speed: float
    latency: float
    add: float
    update: float


@dataclass(frozen=True, slots=True)
class Served:
    """What came of `seconds` after the warm-up.

    `staleness` has, of each gradient applied, how often the model was updated since its worker pulled; `ahead`, of each
    step begun, by how many its worker was ahead of the slowest. `steps` are those done by each worker, counted by
    pushes. `computing` and `waiting` are
    seconds of all workers, `updating` those of the server, `receiving` and `sending` the shares of its link in use.
    Over the whole run `pushed` gradients were applied or are in flight.
    """

    seconds: float
    steps: NDArray[np.int64]
    updates: int
    staleness: NDArray[np.int64]
    ahead: NDArray[np.int64]
    computing: float
    waiting: float
    updating: float
    receiving: float
    sending: float
    pushed: int
    applied: int
    in_flight: int


def run_workers(
    server: Server, seconds: Floats, rule: Consistency, warm_up: int, *, overlapped: bool = False
) -> Served:
    """Run until a worker has pulled weights after its last step; figures leave out its first `warm_up` steps.

    `seconds`, shape (steps, workers), are those of computing each step. With `overlapped` a worker that pushes goes on
    with the weights that it has, and stops only with a gradient ready before the new weights are there. Raises
    `ValueError` for a rule under which all workers wait for ever.
    """
    return _Run(server, seconds, rule, warm_up, overlapped).run()


class _Run:
    def __init__(self, server: Server, seconds: Floats, rule: Consistency, warm_up: int, overlapped: bool) -> None:
        self.server, self.seconds, self.rule, self.warm_up = server, seconds, rule, warm_up
        self.overlapped = overlapped
        self.steps, count = seconds.shape
        self.workers = [Worker() for _ in range(count)]
        self.gathered = rule.gathered(count)
        self.incoming = SharedLink(server.push, server.at_full_speed)
        self.outgoing = SharedLink(server.pull, server.at_full_speed)
        self.events: list[tuple[float, int, str, int]] = []
        self.numbered = 0
        self.free = 0.0
        self.taken: deque[bool] = deque()  # whether each push in the server's queue completes an update
        self.queued = 0
        self.summed: list[int] = []
        self.progress = Progress(count)
        self.waiting: dict[int, float] = {}
        self.version = self.pushed = self.applied = 0
        self.began: float | None = None
        self.computed, self.waited, self.updated = Spans(), Spans(), Spans()
        self.done: list[tuple[float, int]] = []
        self.updates: list[float] = []
        self.staleness: list[tuple[float, int]] = []
        self.ahead: list[tuple[float, int]] = []

    def run(self) -> Served:
        for worker in range(len(self.workers)):
            self._compute(0.0, worker)
        if not self.warm_up:
            self.began = 0.0
        while True:
            ahead = self.events[0][0] if self.events else inf
            now = min(ahead, self.incoming.next_end, self.outgoing.next_end)
            if now == inf:
                raise ValueError("all workers wait for each other for ever: choose another rule")
            if now == ahead:
                _, _, kind, worker = heapq.heappop(self.events)
                if self._happens(now, kind, worker):
                    return self._served(now)
            elif now == self.incoming.next_end:
                self._at(now + self.server.latency, "arrived", self.incoming.leave(now))
            else:
                self._at(now + self.server.latency, "pulled", self.outgoing.leave(now))

    def _happens(self, now: float, kind: str, worker: int) -> bool:
        """What follows an event; whether it ends the run."""
        if kind == "computed":
            self.workers[worker].stopped, self.workers[worker].ready = now, True
            if not self.workers[worker].exchanging:
                self._push(now, worker)
        elif kind == "arrived":
            self._queue(now, worker)
        elif kind == "taken":
            self._take(now, worker)
        else:
            done = self.progress.done(worker)
            if done == self.warm_up and self.began is None:
                self.began = now
            if done == self.steps:
                return True
            self._go_on(now, worker)
        return False

    def _at(self, when: float, kind: str, worker: int) -> None:
        self.numbered += 1
        heapq.heappush(self.events, (when, self.numbered, kind, worker))

    def _push(self, now: float, worker: int) -> None:
        it = self.workers[worker]
        it.ready, it.exchanging, it.pushed_of = False, True, it.computes_with
        self.pushed += 1
        self.incoming.join(now, worker)
        if self.overlapped and it.begun < self.steps:
            self._compute(now, worker)

    def _go_on(self, now: float, worker: int) -> None:
        """With the weights that have come."""
        it = self.workers[worker]
        it.exchanging, it.has = False, it.getting
        if it.ready:
            self._push(now, worker)
        elif not self.overlapped:
            self._compute(now, worker)

    def _compute(self, now: float, worker: int) -> None:
        it = self.workers[worker]
        end = now + float(self.seconds[it.begun, worker])
        it.begun, it.computes_with, it.stopped = it.begun + 1, it.has, None
        self.computed.add(now, end)
        self._at(end, "computed", worker)

    def _queue(self, now: float, worker: int) -> None:
        """The server takes pushes in the order in which they arrive; every so many complete an update."""
        self.queued += 1
        completes = self.queued % self.gathered == 0
        begin = max(now, self.free)
        self.free = begin + (self.server.add if self.gathered > 1 else 0.0)
        self.free += self.server.update if completes else 0.0
        self.updated.add(begin, self.free)
        self.taken.append(completes)
        self._at(self.free, "taken", worker)

    def _take(self, now: float, worker: int) -> None:
        """A push has been taken in: its worker's step is done, and it or others may begin another."""
        self.summed.append(self.workers[worker].pushed_of)
        if self.taken.popleft():
            self.staleness += [(now, self.version - seen) for seen in self.summed]
            self.applied += len(self.summed)
            self.summed.clear()
            self.version += 1
            self.updates.append(now)
        self.done.append((now, worker))
        self.waiting[worker] = now
        for each in list(self.waiting) if self.progress.step(worker) else [worker]:
            self._begin(now, each)

    def _begin(self, now: float, worker: int) -> None:
        ahead = self.progress.ahead(worker)
        if not self.rule.may_begin(ahead):
            return
        self._waited(worker, self.waiting.pop(worker), now)
        self.workers[worker].getting = self.version
        self.ahead.append((now, ahead))
        self.outgoing.join(now, worker)

    def _waited(self, worker: int, since: float, now: float) -> None:
        """A worker that still computes does not wait."""
        stopped = self.workers[worker].stopped
        if stopped is not None:
            self.waited.add(max(since, stopped), now)

    def _served(self, end: float) -> Served:
        for worker, since in self.waiting.items():
            self._waited(worker, since, end)
        begin = 0.0 if self.began is None else self.began
        steps = np.bincount(_after(self.done, begin), minlength=len(self.workers))
        updates = sum(t > begin for t in self.updates)
        seconds = end - begin
        link = int(steps.sum()) / self.server.at_full_speed / seconds if seconds else 0.0
        kinds = [kind for _, _, kind, _ in self.events]
        in_flight = len(self.incoming) + kinds.count("arrived") + kinds.count("taken") + len(self.summed)
        return Served(
            seconds, steps, updates, _after(self.staleness, begin), _after(self.ahead, begin),
            self.computed.within(begin, end), self.waited.within(begin, end), self.updated.within(begin, end),
            link * self.server.push, link * self.server.pull, self.pushed, self.applied, in_flight,
        )  # fmt: skip


def _after(found: list[tuple[float, int]], begin: float) -> NDArray[np.int64]:
    return np.array([value for when, value in found if when > begin], dtype=np.int64)
