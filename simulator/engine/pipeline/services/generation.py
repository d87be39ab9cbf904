"""A language model that answers one prompt at a time, timed by the engine of served models."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.engine.pipeline.items import Item
from simulator.engine.pipeline.resources import Resource
from simulator.engine.pipeline.service import Job, Step
from simulator.engine.pipeline.services.drawn import Amount
from simulator.engine.step_timer import StepTimer


class Generation:
    """The prompt in one step, then a decode step a token; a batch goes one after the other."""

    def __init__(self, timer: StepTimer, prompt: Amount, output: Amount, on: Resource) -> None:
        self._timer, self._prompt, self._output, self._on = timer, prompt, output, on
        self._known: dict[tuple[int, int], float] = {}

    def begin(self, batch: Sequence[Item], now: float) -> Job:
        return Job((Step(sum(self._seconds(item) for item in batch), self._on),))

    def alone(self, item: Item, now: float) -> float:
        return self._seconds(item)

    def _seconds(self, item: Item) -> float:
        lengths = max(round(self._prompt(item)), 1), max(round(self._output(item)), 1)
        if lengths not in self._known:
            self._known[lengths] = self._timed(*lengths)
        return self._known[lengths]

    def _timed(self, prompt: int, output: int) -> float:
        timer = self._timer
        spans = [(float(s.attended(prompt + 1)), float(s.attended(prompt + 2))) for s in timer.spans]
        first = timer.step_seconds(0, [(0, 0)] * len(spans), timer.chunks([(0, prompt)]))
        if output == 1:
            return first
        contexts = [(int(start), int(after - start)) for start, after in spans]
        return first + float(timer.decode_seconds(1, contexts, output - 1).sum())
