"""One model instance with its queue, its KV cache and its lanes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from simulator.engine.clock import ARRIVAL, Clock
from simulator.engine.lane import Lane
from simulator.engine.recorder import Recorder
from simulator.engine.step_timer import StepTimer
from simulator.policies.batching.state import BatchingPolicy, Limits, ServingState, Waiting
from simulator.policies.decode_set import DecodeSet
from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.queueing import Discipline, Disciplined, DisciplinedQueue
from simulator.policies.sequence import Sequence


class Replica:
    """A model instance that serves what is submitted to it.

    Routers read `outstanding` (sequences submitted and not finished), `prompt_backlog` (their prompt tokens
    not computed yet) and `kv_utilisation`. `discipline` None is first come, first served, at no cost.
    """

    def __init__(
        self,
        clock: Clock,
        number: int,
        *,
        kv: PagedKVCache,
        limits: Limits,
        policy: Callable[[], BatchingPolicy],
        discipline: Discipline | None = None,
        timer: StepTimer,
        recorder: Recorder,
        fast_forward: bool,
        on_finish: Callable[[Sequence, float], None],
    ) -> None:
        self.number = number
        self.kv = kv
        self.outstanding = 0
        queue = None if discipline is None else DisciplinedQueue(discipline)
        self.waiting: Waiting = deque() if queue is None else queue
        self._clock = clock
        self._on_finish = on_finish
        stages = len(timer.stages)
        self.lanes: list[Lane] = []
        shared = Limits(max(1, limits.max_num_seqs // stages), limits.max_num_batched_tokens)
        stage_free = [0.0] * stages
        for lane in range(stages):
            state = ServingState(kv, DecodeSet(kv.block_tokens, timer.spans), shared)
            state.waiting = self.waiting
            self.lanes.append(
                Lane(
                    clock,
                    state,
                    policy() if queue is None else Disciplined(policy(), queue, self._notice_at),
                    timer,
                    recorder,
                    number=number * stages + lane,
                    replica=number,
                    stage_free=stage_free,
                    fast_forward=fast_forward,
                    on_finish=self._finished,
                    on_release=self._notice_others,
                )
            )

    @property
    def prompt_backlog(self) -> int:
        """Prompt tokens submitted here and not computed yet."""
        return sum(lane.state.prompt_backlog for lane in self.lanes)

    @property
    def kv_utilisation(self) -> float:
        """Share of the KV blocks that sequences hold, as of the iterations that have ended."""
        return self.kv.used / self.kv.blocks

    def submit(self, sequence: Sequence) -> None:
        """Queue a sequence; the lanes look at it when their current step ends."""
        sequence.replica = self.number
        self.outstanding += 1
        self.lanes[0].state.prompt_backlog += sequence.target
        self.waiting.append(sequence)
        self._notice()

    def _finished(self, sequence: Sequence, time: float) -> None:
        self.outstanding -= 1
        self._on_finish(sequence, time)

    def _notice_at(self, time: float) -> None:
        """Have the lanes look at the queue at `time`, as if something arrived then."""
        event = self._clock.at(time, ARRIVAL)
        assert event.callbacks is not None
        event.callbacks.append(lambda _: self._notice())

    def _notice(self) -> None:
        for lane in self.lanes:
            lane.notice()

    def _notice_others(self) -> None:
        if len(self.lanes) > 1 and self.waiting:
            self._notice()
