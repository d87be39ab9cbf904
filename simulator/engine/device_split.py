"""A device that prompts and decoding share: who has which part of it, and what that does to the steps in progress.

Each phase runs one step at a time. A step's pace follows from whether the other phase works as well and on what; its
work is done in proportion to time at that pace, so a step that is alone for a while and then not ends in between.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

import numpy as np

from simulator.engine.clock import Clock
from simulator.engine.iterations import Run
from simulator.engine.lane import Lane
from simulator.engine.part_timing import StepCost, StepWork
from simulator.engine.recorder import Floats
from simulator.engine.replica import Replica
from simulator.policies.sequence import Sequence
from simulator.policies.splitting import Attained, SplitPolicy, StepSeconds


@dataclass(slots=True)
class SplitRecord:
    """What a run's splits came to: seconds in which both phases worked, and the units of prompts over them.

    `units` has the mean share of the units of each step, in the order of the iterations.
    """

    iterations: bool = True
    both_seconds: float = 0.0
    prompt_unit_seconds: float = 0.0
    changes: int = 0
    units: array[float] = field(default_factory=lambda: array("d"))

    def columns(self) -> dict[str, Floats]:
        """The steps' units as a column beside those of the iterations."""
        return {"units": np.frombuffer(self.units, dtype=np.float64)}

    def figures(self) -> dict[str, float]:
        """Plain data for the summary."""
        mean = self.prompt_unit_seconds / self.both_seconds if self.both_seconds else 0.0
        return {"mean_prompt_units": mean, "both_phases_s": self.both_seconds, "changes": self.changes}


@dataclass(frozen=True, slots=True)
class Split:
    """How devices are split: `policy` builds one for each device, `initial` is the share that prompts have first.

    `cost` says what a step takes on a part. A phase whose other rests has the whole device, or with `alone_on_part`
    what it has beside the other. Objectives are in seconds, None where there is none.
    """

    cost: Callable[[StepWork], StepCost]
    policy: Callable[[], SplitPolicy]
    splits: tuple[float, ...]
    initial: float
    record: SplitRecord
    alone_on_part: bool = False
    ttft: float | None = None
    tpot: float | None = None


@dataclass(slots=True)
class Step:
    """A step in progress: `done` of it by `since`, and from then on `seconds` for a whole one on `units`.

    `share` is what it has beside the other phase, from the moment at which they meet to its end.
    """

    run: Run
    cost: StepCost
    since: float
    done: float = 0.0
    seconds: float = inf
    units: float = 0.0
    share: float | None = None
    unit_seconds: float = 0.0

    def advance(self, now: float) -> None:
        """Count what was done up to `now`."""
        elapsed = now - self.since
        self.done += elapsed / self.seconds
        self.unit_seconds += elapsed * self.units
        self.since = now


class Part:
    """One phase's side of a device, which its lane tells of its steps."""

    def __init__(self, device: SplitDevice, lane: Lane) -> None:
        self.device = device
        self.lane = lane
        self.step: Step | None = None
        lane.device_part = self

    def begin(self, run: Run) -> None:
        """A step begins; its end is set here, and again whenever its pace changes."""
        self.device.begin(self, run)

    def ended(self, run: Run) -> None:
        """The step in progress has ended; another begins now, or the phase rests."""
        self.device.ended(self)

    def rest(self) -> None:
        """There is nothing to do."""
        self.device.pace()


class SplitDevice:
    """The devices of one replica, shared by the phases of `prompts` and `decoding`; a `DeviceView` to its policy."""

    def __init__(self, clock: Clock, split: Split, prompts: Replica, decoding: Replica) -> None:
        self._clock = clock
        self._split = split
        self._policy = split.policy()
        self._replicas = prompts, decoding
        first, second = prompts.lanes[0], decoding.lanes[0]
        assert isinstance(first, Lane)
        assert isinstance(second, Lane)
        self._prompts, self._decoding = Part(self, first), Part(self, second)
        self._counted = 0.0
        self.units = split.initial
        self.attained = Attained()
        prompts.watcher = decoding.watcher = self

    @property
    def now(self) -> float:
        return self._clock.now

    @property
    def splits(self) -> tuple[float, ...]:
        return self._split.splits

    @property
    def prompt_backlog(self) -> int:
        return sum(replica.prompt_backlog for replica in self._replicas)

    @property
    def decoding(self) -> int:
        return self._replicas[1].decoding

    @property
    def kv_utilisation(self) -> float:
        return self._replicas[0].kv_utilisation

    def predicted(self, units: float) -> StepSeconds:
        """Seconds of the steps that both phases now have, on shares `units` and the rest."""
        prompts, decoding = self._prompts.step, self._decoding.step
        assert prompts is not None
        assert decoding is not None
        left = round(1.0 - units, 9)
        return StepSeconds(
            prompts.cost.beside(units, decoding.cost.drawn(left)), decoding.cost.beside(left, prompts.cost.drawn(units))
        )

    def first_token(self, sequence: Sequence) -> None:
        """Count a request's first token."""
        bound = self._split.ttft
        if bound is None or sequence.first_token - sequence.arrival <= bound:
            self.attained.ttft_met += 1
        else:
            self.attained.ttft_missed += 1

    def finished(self, sequence: Sequence, time: float) -> None:
        """Count a request that has ended; one of a single token had its first just now."""
        bound, gaps = self._split.tpot, sequence.output_tokens - 1
        if not gaps:
            self.first_token(sequence)
        elif bound is None or time - sequence.first_token <= bound * gaps:
            self.attained.tpot_met += 1
        else:
            self.attained.tpot_missed += 1

    def begin(self, part: Part, run: Run) -> None:
        """Begin a step. Where both phases now work the split is decided, which holds for the new step.

        It leaves the other's step what that has, and gives it its share if it was alone up to now.
        """
        self._count()
        part.step = step = Step(run, self._split.cost(run), self.now)
        beside = self._beside(part).step
        if beside is not None:
            self._decide()
            mine = self.units if part is self._prompts else round(1.0 - self.units, 9)
            if beside.share is None:
                beside.share = round(1.0 - mine, 9)
            step.share = min(mine, round(1.0 - beside.share, 9))
        self.pace()

    def ended(self, part: Part) -> None:
        """End a phase's step."""
        self._count()
        step, part.step = part.step, None
        assert step is not None
        step.advance(self.now)
        if self._split.record.iterations:
            length = self.now - step.run.start
            self._split.record.units.append(step.unit_seconds / length if length else step.units)

    def pace(self) -> None:
        """Set the paces, and with them the ends, of the steps in progress to what now runs."""
        self._count()
        for part in (self._prompts, self._decoding):
            if part.step is not None:
                self._set_pace(part, part.step, self._beside(part).step)

    def _set_pace(self, part: Part, step: Step, beside: Step | None) -> None:
        if beside is None:
            units = self._units_alone(part)
            seconds = step.cost.alone(units)
        else:
            assert step.share is not None
            assert beside.share is not None
            units = step.share
            seconds = step.cost.beside(units, beside.cost.drawn(beside.share))
        if seconds == step.seconds and units == step.units:
            return
        step.advance(self.now)
        step.seconds, step.units = seconds, units
        part.lane.end_at(step.run, self.now + max(0.0, 1.0 - step.done) * seconds)

    def _units_alone(self, part: Part) -> float:
        if not self._split.alone_on_part:
            return 1.0
        return self.units if part is self._prompts else round(1.0 - self.units, 9)

    def _decide(self) -> None:
        wanted = self._policy.units(self)
        chosen = min(self.splits, key=lambda split: abs(split - wanted))
        if chosen != self.units:
            self.units = chosen
            self._split.record.changes += 1

    def _beside(self, part: Part) -> Part:
        return self._decoding if part is self._prompts else self._prompts

    def _count(self) -> None:
        """Add the seconds since the last change to the record."""
        elapsed, self._counted = self.now - self._counted, self.now
        prompts, decoding = self._prompts.step, self._decoding.step
        if prompts is not None and decoding is not None:
            self._split.record.both_seconds += elapsed
            self._split.record.prompt_unit_seconds += elapsed * prompts.units
