"""Watts of a replica while the clock of the simulation moves, from the work of each of its steps.

What a meter reads does not depend on which steps were joined into one event: every step adds one number, and the sum
of a window is the exact one, rounded once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from math import fsum
from typing import Any

import numpy as np

from simulator.engine.deployment import Deployment
from simulator.engine.iterations import Floats, Run
from simulator.engine.lane import Lane
from simulator.engine.replica import Replica
from simulator.engine.step_timer import StepTimer
from simulator.hardware.power import device_power


class PowerMeter:
    """Reads a replica's mean watts from one reading to the next, and sets its core clock.

    A lower clock, a share of the full one, is timed by `at_clock(share)` and counts for the iterations that begin
    from then on. `changes` lists the clocks by the second from which they hold.
    """

    def __init__(self, replica: Replica, deployment: Deployment, at_clock: Callable[[float], StepTimer]) -> None:
        self.deployment = deployment
        self.times, self.clocks = [0.0], [1.0]
        self._at_clock = at_clock
        self._since = 0.0
        self._joules: list[float] = []
        self._last: tuple[Run | None, float, Floats] = None, 0.0, np.empty(0)
        self._peak = deployment.law.peak(deployment.precision.weights.compute)
        self._lanes = [lane for lane in replica.lanes if isinstance(lane, Lane)]
        parallel = deployment.parallel
        self._devices = parallel.devices / parallel.pipeline  # those that a lane keeps busy at a time, on average
        self.idle_w = deployment.device.idle_power * parallel.devices
        for lane in self._lanes:
            lane.meter = self._ended

    @property
    def clock(self) -> float:
        """The clock of iterations that begin now."""
        return self.clocks[-1]

    def set_clock(self, clock: float, now: float) -> None:
        """Run iterations that begin at `now` or later at this clock."""
        if clock == self.clock:
            return
        self.times.append(now)
        self.clocks.append(clock)
        for lane in self._lanes:
            lane.run_by(self._at_clock(clock))

    def read(self, now: float) -> float:
        """Mean watts since the last reading, or since the start."""
        for lane in self._lanes:
            if lane.current is not None:
                self._count(lane.current, now)
        seconds = now - self._since
        mean = self.idle_w + fsum(self._joules) / seconds
        self._joules, self._since = [], now
        return mean

    def _ended(self, run: Run) -> None:
        self._count(run, float(run.ends[-1]))

    def _count(self, run: Run, until: float) -> None:
        """Count the steps of a run as far as they lie in this window and before `until`."""
        ends = np.asarray(run.ends)
        first = int(np.searchsorted(ends, self._since, side="right"))
        part = slice(first, int(np.searchsorted(ends, until, side="left")) + 1)
        begun = np.concatenate(([run.start if first == 0 else ends[first - 1]], ends[part][:-1]))
        seconds = np.minimum(ends[part], until) - np.maximum(begun, self._since)
        self._joules += (self._above_idle(run)[part] * seconds).tolist()

    def _above_idle(self, run: Run) -> Floats:
        """Watts above idle during each step of a run (shape (steps,)), of the devices at work in it."""
        known, start, watts = self._last
        if known is not run or start != run.start:
            watts = self._watts(run)
            self._last = run, run.start, watts
        return watts

    def _watts(self, run: Run) -> Floats:
        d = self.deployment
        clock = self.clocks[bisect_right(self.times, run.start) - 1]
        seconds = np.maximum(run.durations, 1e-12) * d.parallel.pipeline
        flops, moved = step_work(d.timer, run)
        compute = np.minimum(flops / (self._peak * seconds), 1.0)
        memory = np.minimum(moved / (d.device.memory_bandwidth * seconds), 1.0)
        return (device_power(d.device, compute, memory, clock=clock) - d.device.idle_power) * self._devices


def step_work(timer: StepTimer, run: Run) -> tuple[Any, Any]:
    """FLOPs and bytes of each step of a run, of one device of each stage, summed over the stages."""
    index = np.arange(run.steps)
    contexts: Any = [(start + growth * index, growth) for start, growth in run.contexts]
    flops, moved = timer.attention_work(contexts, 1, run.chunks)
    tokens = timer.own_tokens(run.decoding, run.chunks.tokens, run.chunks.sequences)
    sequences = run.decoding + run.chunks.sequences
    for stage in timer.stages:
        flops = flops + (stage.token_flops[tokens] + stage.head_flops[sequences])
        moved = moved + (stage.token_bytes[tokens] + stage.head_bytes[sequences])
    return flops, moved
