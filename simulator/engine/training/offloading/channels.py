"""Tasks on streams over shared channels: what runs when, if transfers share what they cross.

Tasks of one stream run one at a time in the order given. Those that run at once share every channel max-min fairly:
rates grow together until a channel is full, and what crosses it stays at that rate (Bertsekas and Gallager, Data
Networks, section 6.5.2).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Tasks that would end within this share of a moment end together, as rounding parts what is equal.
TOGETHER = 1e-12


@dataclass(frozen=True, slots=True)
class Task:
    """Something that takes a stream's turn once the tasks `after` (by number) have ended.

    `demands` are units of each channel that it needs in all (bytes, or seconds of what serves one at a time); it
    never takes less than `least` seconds, nor less than those of `beside` at a level while a task that `crowds` at this
    level runs. `takes` are bytes of memory by place from its start, `gives` those free again at its end.
    """

    name: str
    stream: str
    demands: Mapping[str, float] = field(default_factory=dict)
    least: float = 0.0
    after: tuple[int, ...] = ()
    takes: Mapping[str, float] = field(default_factory=dict)
    gives: Mapping[str, float] = field(default_factory=dict)
    beside: tuple[float, ...] = ()
    crowds: int | None = None

    @property
    def size(self) -> float:
        """The largest of its demands, in which its rate is measured; 1 if it needs no channel."""
        return max(self.demands.values(), default=0.0) or 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """When each task ran, in seconds (arrays of one entry a task)."""

    tasks: tuple[Task, ...]
    starts: Floats
    ends: Floats

    @property
    def seconds(self) -> float:
        return float(self.ends.max(initial=0.0))

    def busy(self, stream: str) -> float:
        """Seconds in which a stream has a task."""
        return sum(
            float(e - s) for t, s, e in zip(self.tasks, self.starts, self.ends, strict=True) if t.stream == stream
        )

    def carried(self, channel: str) -> float:
        """Units that crossed a channel."""
        return sum(t.demands.get(channel, 0.0) for t in self.tasks)

    def memory(self, place: str) -> tuple[Floats, Floats]:
        """Bytes taken at a place after each change, and the times of the changes in seconds.

        Of what changes at one moment, what is given back comes first.
        """
        changes = [(float(s), t.takes[place]) for t, s in zip(self.tasks, self.starts, strict=True) if place in t.takes]
        changes += [(float(e), -t.gives[place]) for t, e in zip(self.tasks, self.ends, strict=True) if place in t.gives]
        changes.sort()
        times, bytes_ = np.array(changes, dtype=np.float64).reshape(-1, 2).T
        return np.cumsum(bytes_), times

    def peak(self, place: str) -> float:
        """Most bytes taken at a place at once."""
        return float(self.memory(place)[0].max(initial=0.0))


def run_tasks(tasks: Sequence[Task], capacity: Mapping[str, float]) -> Run:
    """Run all tasks; `capacity` is each channel's units a second.

    Latencies of single transfers are left out: those of a step are megabytes and more, one behind the other. Raises
    `ValueError` where tasks wait for one another for ever.
    """
    return _Running(tasks, capacity).run()


class _Running:
    """State of the run: what of each task that runs is left, in seconds at a rate of its size a second."""

    def __init__(self, tasks: Sequence[Task], capacity: Mapping[str, float]) -> None:
        self.tasks = tuple(tasks)
        self.capacity = capacity
        self.now = 0.0
        self.starts = [0.0] * len(tasks)
        self.ends = [-1.0] * len(tasks)
        self.left: dict[int, float] = {}
        self.queues: dict[str, deque[int]] = {}
        for number, task in enumerate(tasks):
            self.queues.setdefault(task.stream, deque()).append(number)

    def run(self) -> Run:
        done = 0
        while done < len(self.tasks):
            done += self._start()
            if self.left:
                done += self._advance()
            elif done < len(self.tasks):
                waiting = next(self.tasks[q[0]].name for q in self.queues.values() if q)
                raise ValueError(f"{waiting} waits for ever")
        return Run(self.tasks, np.array(self.starts), np.array(self.ends))

    def _start(self) -> int:
        """Start what can start; how many tasks have nothing to do and ended at once."""
        ended, more = 0, True
        while more:
            more = False
            for queue in self.queues.values():
                if not queue or queue[0] in self.left or any(self.ends[n] < 0.0 for n in self.tasks[queue[0]].after):
                    continue
                number = queue[0]
                task = self.tasks[number]
                self.starts[number] = self.now
                if task.least > 0.0 or any(task.demands.values()):
                    self.left[number] = task.size
                else:
                    self.ends[number] = self.now
                    queue.popleft()
                    ended, more = ended + 1, True
        return ended

    def _advance(self) -> int:
        """Go to the next end of a task; how many ended."""
        rates = shared_rates({n: self.tasks[n] for n in self.left}, self.capacity)
        until = {n: left / rates[n] for n, left in self.left.items()}
        step = min(until.values())
        self.now += step
        ended = [n for n, seconds in until.items() if seconds <= step + TOGETHER * self.now]
        for number in ended:
            self.ends[number] = self.now
            self.queues[self.tasks[number].stream].popleft()
            del self.left[number]
        for number in self.left:
            self.left[number] -= rates[number] * step
        return len(ended)


def shared_rates(tasks: Mapping[int, Task], capacity: Mapping[str, float]) -> dict[int, float]:
    """Rate of each task, its size a second, by progressive filling: a task stops at its own limit or a full channel."""
    crowding = {t.crowds for t in tasks.values() if t.crowds is not None}
    least = {n: max([t.least, *(t.beside[level] for level in crowding if t.beside)]) for n, t in tasks.items()}
    limits = {n: t.size / least[n] if least[n] > 0.0 else np.inf for n, t in tasks.items()}
    weights = {n: {c: d / t.size for c, d in t.demands.items() if d > 0.0} for n, t in tasks.items()}
    free = dict(capacity)
    rates = dict.fromkeys(tasks, 0.0)
    growing = set(tasks)
    while growing:
        growth = min(limits[n] - rates[n] for n in growing)
        sums = _sums(weights[n] for n in growing)
        for channel, total in sums.items():
            growth = min(growth, free[channel] / total)
        growth = max(growth, 0.0)
        for n in growing:
            rates[n] += growth
        full = set()
        for channel, total in sums.items():
            free[channel] -= growth * total
            if free[channel] <= TOGETHER * capacity[channel]:
                full.add(channel)
        growing = {n for n in growing if rates[n] < limits[n] * (1.0 - TOGETHER) and full.isdisjoint(weights[n])}
    return rates


def _sums(weights: Iterable[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for each in weights:
        for channel, weight in each.items():
            total[channel] = total.get(channel, 0.0) + weight
    return total
