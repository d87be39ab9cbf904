"""The process that keeps a row of servers within its power budget: read, ask the policy, lower clocks, brake."""

from __future__ import annotations

from collections.abc import Callable, Generator
from collections.abc import Sequence as Sequenced
from dataclasses import dataclass, field
from math import fsum

import numpy as np
from simpy.events import Event

from simulator.engine.clock import CONTROL, Clock
from simulator.engine.deployment import Deployment
from simulator.engine.power_meter import PowerMeter
from simulator.engine.recorder import Floats
from simulator.engine.replica import Replica
from simulator.engine.step_timer import StepTimer
from simulator.errors import InputError
from simulator.policies.power import PowerPolicy, RowView, ServerView


@dataclass(frozen=True, slots=True)
class PoweredPool:
    """Replicas from number `first` on that are alike; `at_clock` times them at a share of the full clock."""

    first: int
    deployment: Deployment
    at_clock: Callable[[float], StepTimer]


@dataclass(frozen=True, slots=True)
class PowerCapping:
    """How a row is kept within `budget_w` watts.

    `servers` names the replicas of each server, and `low_priority` says which servers give way first. Every
    `interval_s` the policy sees the means since the last reading; its clocks are in force `delay_s` later. A reading
    above the budget brings all servers to `brake_clock` after `brake_delay_s`, for at least `delay_s` and until a
    reading is within the budget; None never brakes. While it lasts the policy is not asked, as readings then say
    nothing of its clocks. Beside its devices a server draws `host_w`. Clocks are shares.
    """

    policy: PowerPolicy
    budget_w: float
    servers: tuple[tuple[int, ...], ...]
    low_priority: tuple[bool, ...]
    pools: tuple[PoweredPool, ...]
    interval_s: float
    delay_s: float
    brake_delay_s: float
    brake_clock: float | None
    host_w: float = 0.0


@dataclass(slots=True)
class PowerLog:
    """What happened to a row: the readings (watts) and their times, and the brakes as [from, to] seconds.

    `clocks` holds, by replica, the seconds from which each clock held, and the clocks.
    """

    times: list[float] = field(default_factory=list)
    watts: list[float] = field(default_factory=list)
    brakes: list[list[float]] = field(default_factory=list)
    clocks: dict[int, tuple[list[float], list[float]]] = field(default_factory=dict)

    def clock_of(self, replicas: Floats, starts: Floats) -> Floats:
        """The clock of each iteration that began on a replica at a second; all of one shape."""
        found = np.ones(len(starts))
        for number, (times, clocks) in self.clocks.items():
            if len(times) > 1:
                mine = replicas == number
                found[mine] = np.asarray(clocks)[np.searchsorted(times, starts[mine], side="right") - 1]
        return found


class PowerControl:
    """Reads and commands the servers of a row; `log` keeps what it read and did."""

    def __init__(self, clock: Clock, rule: PowerCapping, replicas: Sequenced[Replica]) -> None:
        self.clock = clock
        self.rule = rule
        self.log = PowerLog()
        self._in_force = [1.0] * len(rule.servers)
        self._ordered = list(self._in_force)
        self._braked = False
        self._brake_moves = False
        self._meters: dict[int, PowerMeter] = {}
        for replica in replicas:
            pool = max((p for p in rule.pools if p.first <= replica.number), key=lambda p: p.first)
            meter = PowerMeter(replica, pool.deployment, pool.at_clock)
            self._meters[replica.number] = meter
            self.log.clocks[replica.number] = (meter.times, meter.clocks)

    def run(self) -> Generator[Event, None, None]:
        """Read and ask for ever."""
        start, tick = self.clock.now, 0
        while True:
            tick += 1
            yield self.clock.at(start + tick * self.rule.interval_s, CONTROL)
            row = self._read()
            self._brake(row.watts)
            if not self._braked:
                self._order(self.rule.policy.clocks(row))

    def _read(self) -> RowView:
        """Mean watts of each server since the last reading."""
        rule, now = self.rule, self.clock.now
        watts = [rule.host_w + fsum(self._meters[n].read(now) for n in server) for server in rule.servers]
        views = tuple(
            ServerView(n, low, watts[n], self._in_force[n], self._ordered[n]) for n, low in enumerate(rule.low_priority)
        )
        self.log.times.append(now)
        self.log.watts.append(fsum(watts))
        return RowView(now, self.log.watts[-1], rule.budget_w, views)

    def _order(self, clocks: Sequenced[float]) -> None:
        """Have the policy's clocks in force when the way to the servers is done.

        Raises `InputError` for an answer that no row could follow.
        """
        ordered = [float(clock) for clock in clocks]
        if len(ordered) != len(self.rule.servers) or not all(0 < clock <= 1 for clock in ordered):
            raise InputError(
                f"the power policy answered {list(clocks)!r}: expected a clock above 0 and at most 1 for each of the "
                f"{len(self.rule.servers)} servers"
            )
        if ordered != self._ordered:
            self._ordered = ordered
            self._after(self.rule.delay_s, lambda: self._arrive(ordered))

    def _arrive(self, clocks: list[float]) -> None:
        self._in_force = clocks
        self._apply()

    def _brake(self, watts: float) -> None:
        """Brake on a reading above the budget; release on one within it, once other clocks could have come."""
        rule, now = self.rule, self.clock.now
        if rule.brake_clock is None or self._brake_moves or (watts > rule.budget_w) == self._braked:
            return
        if not self._braked or now >= self.log.brakes[-1][0] + rule.delay_s:
            self._brake_moves = True
            self._after(rule.brake_delay_s, self._move_brake)

    def _move_brake(self) -> None:
        now = self.clock.now
        self._braked, self._brake_moves = not self._braked, False
        if self._braked:
            self.log.brakes.append([now, float("inf")])
        else:
            self.log.brakes[-1][1] = now
        self._apply()

    def _apply(self) -> None:
        """Set the clocks in force."""
        brake = self.rule.brake_clock if self._braked and self.rule.brake_clock is not None else 1.0
        for server, clock in zip(self.rule.servers, self._in_force, strict=True):
            for number in server:
                self._meters[number].set_clock(min(clock, brake), self.clock.now)

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        event = self.clock.at(self.clock.now + seconds, CONTROL)
        assert event.callbacks is not None
        event.callbacks.append(lambda _: act())
