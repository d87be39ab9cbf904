"""Flows that share links: an event at every completion, fair rates in between.

Time of collectives at the level of flows, without packets: links are full as long as there is something to send
(fluid model; SimGrid's network model is of this kind: Casanova et al., JPDC 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from simulator.hardware.fair_sharing import max_min_rates
from simulator.hardware.topology.routes import Routes
from simulator.policies.paths import Demand, PathPolicy

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
# Flows that would end within this share of a step of each other end together.
TOGETHER = 1e-9


@dataclass(frozen=True, slots=True)
class Flow:
    """`size` bytes over each of `edges`, (source, target) devices, that move together as in a pipelined ring.

    An edge that occurs several times carries as many times the size.
    """

    edges: tuple[tuple[int, int], ...]
    size: float


@dataclass(frozen=True, slots=True)
class Phase:
    """Flows that begin together, `hops` messages one after the other before the last byte is in."""

    flows: tuple[Flow, ...]
    hops: int = 1


Program = tuple[Phase, ...]


@dataclass(frozen=True, slots=True)
class Completion:
    """`seconds` when each program has ended, shape (programs,), and the bytes `carried` by each link."""

    seconds: Floats
    carried: Floats


def complete(programs: Sequence[Program], routes: Routes, usage: csr_array) -> Completion:
    """Run all programs at once from time 0; a program's phases follow each other. `usage` is that of `placed`."""
    return _Run(programs, routes, usage).run()


class _Run:
    """State of the run: rows of `usage` are the flows of all phases of all programs."""

    def __init__(self, programs: Sequence[Program], routes: Routes, usage: csr_array) -> None:
        flat = [(p, k, f) for p, program in enumerate(programs) for k, ph in enumerate(program) for f in ph.flows]
        self.rows: list[list[list[int]]] = [[[] for _ in program] for program in programs]
        for row, (p, k, _) in enumerate(flat):
            self.rows[p][k].append(row)
        self.owner = np.array([p for p, _, _ in flat], np.int64)
        self.left = np.array([f.size for _, _, f in flat], np.float64)
        self.waits = [[ph.hops * _latency(ph, routes) for ph in program] for program in programs]
        self.sizes, self.all_usage = self.left.copy(), usage
        capacity = routes.capacity
        used = np.flatnonzero((np.diff(usage.tocsc().indptr) > 0) & np.isfinite(capacity))
        self.usage, self.capacity = usage[:, used], capacity[used]

    def run(self) -> Completion:
        programs = len(self.rows)
        seconds = np.zeros(programs)
        phase, wake = np.full(programs, -1), np.zeros(programs)
        active = np.zeros(len(self.left), bool)
        now = 0.0
        pending = list(range(programs))  # programs whose next phase is to begin
        while True:
            for p in pending:
                phase[p] += 1
                ended = phase[p] >= len(self.rows[p])
                seconds[p] = now
                wake[p] = np.inf if ended else now + self.waits[p][phase[p]]
            pending = []
            rates = max_min_rates(self.usage[active], self.capacity) if active.any() else np.zeros(0)
            until, ends = self._next(active, rates, now, wake)
            if not np.isfinite(until):
                break
            self.left[np.flatnonzero(active)[ends]] = 0.0
            going = np.flatnonzero(active)[~ends]
            self.left[going] -= rates[~ends] * (until - now)
            finished = np.flatnonzero(active)[ends]
            active[finished] = False
            now = until
            woken = np.flatnonzero(wake <= now)
            wake[woken] = np.inf
            for p in woken.tolist():
                rows = self.rows[p][phase[p]]
                active[rows] = self.left[rows] > 0.0
            for p in {*woken.tolist(), *self.owner[finished].tolist()}:
                if wake[p] == np.inf and not active[self.rows[p][phase[p]]].any():
                    pending.append(p)
        return Completion(seconds, self.all_usage.T @ (self.sizes - self.left))

    def _next(
        self, active: NDArray[np.bool_], rates: Floats, now: float, wake: Floats
    ) -> tuple[float, NDArray[np.bool_]]:
        """When the next flow ends or phase begins, and which of the active flows end then."""
        ends = now + self.left[active] / rates
        begins = float(wake.min(initial=np.inf))
        until = min(float(ends.min(initial=np.inf)), begins)
        return until, ends <= until + TOGETHER * (until - now)


def _latency(phase: Phase, routes: Routes) -> float:
    """Seconds of one hop: the longest of the phase's edges."""
    edges = {edge for flow in phase.flows for edge in flow.edges}
    return max((routes.latency(a, b) for a, b in edges), default=0.0)


def placed(programs: Sequence[Program], routes: Routes, policy: PathPolicy) -> csr_array:
    """Units of each link that each flow takes, shape (flows, links), flows in the order of programs and phases.

    Phases of the same number are placed together.
    """
    flat = [(k, f) for program in programs for k, phase in enumerate(program) for f in phase.flows]
    rows: list[int] = []
    columns: list[int] = []
    parts: list[float] = []
    for k in range(max((len(program) for program in programs), default=0)):
        demands = [(i, Demand(a, b, f.size)) for i, (at, f) in enumerate(flat) if at == k for a, b in f.edges]
        chosen = policy.choose([d for _, d in demands], routes)
        for (row, (a, b, _)), shares in zip(demands, chosen, strict=True):
            for number, share in shares:
                links = routes.links(a, b, number)
                columns += links
                rows += [row] * len(links)
                parts += [share] * len(links)
    shape = (len(flat), routes.capacity.size)
    return csr_array((np.array(parts, np.float64), (rows, columns)), shape=shape)
