"""How long a step takes on a part of a device, alone or beside a step of the other phase."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from simulator.engine.chunks import Chunks
from simulator.engine.step_timer import StepTimer


class StepWork(Protocol):
    """What a step computes."""

    @property
    def decoding(self) -> int: ...

    @property
    def contexts(self) -> Sequence[tuple[int, int]]: ...

    @property
    def chunks(self) -> Chunks: ...


class StepCost(Protocol):
    """What one step takes on a share of the units."""

    def alone(self, units: float) -> float:
        """Seconds of the whole step while the rest of the device is idle."""
        ...

    def drawn(self, units: float) -> float:
        """Share of the memory bandwidth that it draws where nothing holds it up."""
        ...

    def beside(self, units: float, drawn: float) -> float:
        """Seconds of the whole step while the rest of the device would draw so much of the bandwidth."""
        ...


@dataclass(frozen=True, slots=True)
class PartTiming:
    """Steps on parts of a device whose memory bandwidth is shared as it comes.

    `timer` gives (and keeps) the timer for a share of the units and a share of the bandwidth. `saturating` of the
    units draw the whole bandwidth, so that more of them help a step that memory bounds no further. What a step draws
    is its bytes over its seconds alone on its units, of `attainable` bytes/s. While a step moves data, it asks for all
    that its units can draw and meets what the other draws on average: where that is too much, it gets bandwidth in
    proportion, in multiples of `grid`. (Two steps that move data for the shares x and y of their time then draw
    (x + y) / (1 + x y) together, never more than there is.)
    """

    timer: Callable[[float, float], StepTimer]
    saturating: float
    attainable: float
    grid: float

    def cost(self, work: StepWork) -> PartCost:
        """The cost of a step."""
        return PartCost(self, work)

    def most(self, units: float) -> float:
        """The share of the bandwidth that so many units draw at most."""
        return min(1.0, round(units / self.saturating, 9))


@dataclass(slots=True)
class PartCost:
    """The cost of one step, remembered: a policy asks for many splits, and asks again."""

    timing: PartTiming
    work: StepWork
    _seconds: dict[tuple[float, float], float] = field(default_factory=dict)
    _bytes: float = -1.0

    def alone(self, units: float) -> float:
        return self._on(units, self.timing.most(units))

    def drawn(self, units: float) -> float:
        if self._bytes < 0.0:
            self._bytes = self._moved()
        return self._bytes / (self.alone(units) * self.timing.attainable)

    def beside(self, units: float, drawn: float) -> float:
        most, grid = self.timing.most(units), self.timing.grid
        if most + drawn <= 1.0:
            return self.alone(units)
        share = round(max(1, round(most / (most + drawn) / grid)) * grid, 9)
        return self._on(units, min(share, most))

    def _on(self, units: float, bandwidth: float) -> float:
        found = self._seconds.get((units, bandwidth))
        if found is None:
            work = self.work
            found = self.timing.timer(units, bandwidth).step_seconds(work.decoding, work.contexts, work.chunks)
            self._seconds[units, bandwidth] = found
        return found

    def _moved(self) -> float:
        timer, work = self.timing.timer(1.0, 1.0), self.work
        rows = work.decoding + work.chunks.sequences
        tokens = timer.own_tokens(work.decoding, work.chunks.tokens, work.chunks.sequences)
        moved = timer.attention_work(work.contexts, 1, work.chunks)[1]
        return moved + sum(s.token_bytes[tokens] + s.head_bytes[rows] for s in timer.stages)
