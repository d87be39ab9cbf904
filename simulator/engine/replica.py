"""One model instance with its queue, its KV cache and its lanes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from simulator.engine.adapters import AdapterSetup, ReplicaAdapters
from simulator.engine.clock import ARRIVAL, Clock
from simulator.engine.finetuning import Finetuning
from simulator.engine.kv_loading import KVLoading, TierSetup
from simulator.engine.lane import Lane
from simulator.engine.prediction import first_token_seconds
from simulator.engine.recorder import Recorder
from simulator.engine.speculation import Speculation
from simulator.engine.speculative_lane import SpeculativeLane
from simulator.engine.step_timer import StepTimer
from simulator.engine.swapping import SwapCopies, SwapSetup
from simulator.engine.tiers import Tiers
from simulator.errors import InputError
from simulator.policies.adapters import LaneQueue
from simulator.policies.batching.resuming import Resuming
from simulator.policies.batching.state import Batch, BatchingPolicy, Limits, ServingState, Waiting
from simulator.policies.decode_set import DecodeSet
from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.kv_cache.swap_space import SwapSpace
from simulator.policies.kv_cache.swapping import Swapping
from simulator.policies.queueing import Discipline, Disciplined, DisciplinedQueue
from simulator.policies.sequence import Sequence


class Watcher(Protocol):
    """Told of what becomes of a replica's sequences."""

    def first_token(self, sequence: Sequence) -> None: ...

    def finished(self, sequence: Sequence, time: float) -> None: ...


class Replica:
    """A model instance that serves what is submitted to it.

    A replica of a prefill pool gives each sequence away when its prompt is computed (`on_prefilled`); one of a decode
    pool expects them. One that shares its cache with another has it for a `neighbour`. Routers read it as a
    `ReplicaView`: all that view shows is as of the iterations that have ended by now. `discipline` None is first
    come, first served, at no cost. Lanes are numbered from `first_lane` on, which replicas of one clock share.
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
        on_prefilled: Callable[[Sequence, Replica], None] | None = None,
        speculation: Speculation | None = None,
        tiers: TierSetup | None = None,
        below: Tiers | None = None,
        finetuning: Finetuning | None = None,
        adapters: AdapterSetup | None = None,
        first_lane: int = 0,
        swap: SwapSetup | None = None,
    ) -> None:
        self.number = number
        self.kv = kv
        self.outstanding = 0
        queue = None if discipline is None else DisciplinedQueue(discipline)
        self.waiting: Waiting = deque() if queue is None else queue
        self._clock = clock
        self.ready: deque[Sequence] = deque()
        self._expected: deque[tuple[Sequence, Callable[[int], None]]] = deque()
        self.neighbour: Replica | None = None
        self.watcher: Watcher | None = None
        self._preemptions = 0
        self._between: deque[Callable[[Lane], object]] = deque()
        self._on_finish = on_finish
        self._on_prefilled = on_prefilled
        loading = None
        if tiers is not None and below is not None:
            assert isinstance(self.waiting, deque)
            loading = KVLoading(clock, kv, self.waiting, timer, tiers, below, self._loaded)
        self.adapters: ReplicaAdapters | None = None
        if adapters is not None:
            self.adapters = ReplicaAdapters(clock, kv, adapters, self._running, self._loaded)
            self.waiting = self.adapters.queue
        self.copies = None if swap is None else self._swap_copies(swap)
        stages = len(timer.stages)
        self.lanes: list[Lane | SpeculativeLane] = []
        shared = _share(limits, stages)
        stage_free = [0.0] * stages
        lanes = min(stages, limits.max_num_seqs) if adapters is None or stages > 1 else adapters.lanes
        for lane in range(lanes):
            if speculation is not None:
                self.lanes.append(
                    SpeculativeLane(
                        clock,
                        kv,
                        self.waiting,
                        shared,
                        speculation,
                        policy(),
                        timer,
                        recorder,
                        number=first_lane + number * lanes + lane,
                        replica=number,
                        stage_free=stage_free,
                        on_finish=self._finished,
                        on_release=self._notice_others,
                    )
                )
                continue
            state = ServingState(kv, DecodeSet(kv.block_tokens, timer.spans, kv.keep_share), shared)
            state.waiting = self.waiting
            if self.adapters is not None:
                state.waiting = LaneQueue(self.adapters.queue)
                state.adapters = self.adapters.memory
            chosen = policy() if self.copies is None else Resuming(policy(), self.copies.swapping)
            self.lanes.append(
                Lane(
                    clock,
                    state,
                    chosen if queue is None else Disciplined(chosen, queue, self._notice_at),
                    timer,
                    recorder,
                    number=first_lane + number * lanes + lane,
                    replica=number,
                    stage_free=stage_free,
                    fast_forward=fast_forward,
                    on_finish=self._finished,
                    on_release=self._notice_others,
                    on_prefilled=self._hand_over if on_prefilled is not None else None,
                    before_step=self._before_step,
                    after_decision=self._after_decision,
                    loading=loading,
                    finetuning=finetuning,
                    adapters=self.adapters,
                    lanes=lanes,
                    copies=self.copies,
                )
            )

    def _swap_copies(self, setup: SwapSetup) -> SwapCopies:
        space = SwapSpace(setup.blocks, self.kv.block_tokens, reuse=setup.reuse)
        swapping = Swapping(self.kv, space, asynchronous=setup.asynchronous)
        return SwapCopies(self._clock, swapping, setup, self._settle, lambda: self._notice(always=True))

    def _settle(self) -> None:
        """Bring the state of all lanes to where it is now."""
        for lane in self.lanes:
            lane.settle()

    def _forget_copy(self, sequence: Sequence) -> None:
        """A sequence has left this replica for good."""
        if self.copies is not None:
            self.copies.swapping.space.forget(sequence)

    @property
    def prompt_backlog(self) -> int:
        """Prompt tokens submitted here and not computed yet."""
        return sum(lane.state.prompt_backlog for lane in self.lanes)

    @property
    def kv_utilisation(self) -> float:
        """Share of the KV blocks that sequences hold, as of the iterations that have ended."""
        return (self.kv.used + sum(lane.blocks_ahead() for lane in self.lanes)) / self.kv.blocks

    @property
    def idle_seconds(self) -> float:
        """Seconds up to now without work, the mean over the lanes."""
        return sum(lane.idle_seconds for lane in self.lanes) / len(self.lanes)

    @property
    def queued(self) -> int:
        """Sequences submitted here that hold no blocks."""
        return len(self.waiting)

    @property
    def decoding(self) -> int:
        """Sequences whose prompt is computed."""
        return sum(len(lane.state.decoding.members) for lane in self.lanes)

    def cached_tokens(self, sequence: Sequence) -> int:
        """Leading tokens of the sequence that the KV cache holds now."""
        if not self.kv.hit_blocks(sequence):
            return 0
        self._settle()  # the steps that have ended may have overwritten what is looked for
        return self.kv.hit_blocks(sequence) * self.kv.block_tokens

    def has_adapter(self, adapter: int) -> bool:
        """Whether an adapter is on this replica's devices now; the base model (-1) always is."""
        if self.adapters is None:
            return adapter < 0
        for lane in self.lanes:
            lane.settle()  # the steps that have ended may have overwritten it
        return self.adapters.memory.has(adapter)

    def predicted_ttft(self, sequence: Sequence) -> float:
        """Seconds to the sequence's first token if it were submitted now; see `prediction`.

        Raises `InputError` with speculation, whose iterations it does not foresee.
        """
        lanes = [lane for lane in self.lanes if isinstance(lane, Lane)]
        if len(lanes) < len(self.lanes):
            raise InputError("policies that predict TTFT are not modelled beside speculation: choose others")
        return first_token_seconds(lanes, self.prompt_backlog, sequence.target - self.cached_tokens(sequence))

    def submit(self, sequence: Sequence) -> None:
        """Queue a sequence; the lanes look at it when their current step ends."""
        sequence.replica = self.number
        self.outstanding += 1
        self.lanes[0].state.prompt_backlog += sequence.target
        self.waiting.append(sequence)
        self._notice()

    def lose_all(self) -> list[Sequence]:
        """Lose the step in progress, the queue and the whole KV cache; the sequences that were here, by index."""
        for lane in self.lanes:
            assert isinstance(lane, Lane)
            lane.abort()
            while (newest := lane.state.newest()) is not None:
                lane.state.preempt(newest)
            lane.state.prompt_backlog = 0
        lost = sorted(self.waiting, key=lambda s: s.index)
        if self.adapters is not None:
            self.adapters.clear()
        while self.waiting:
            self.waiting.popleft()
        self.kv.clear()
        self.lanes[0].stage_free[:] = [0.0] * len(self.lanes[0].stage_free)
        self.outstanding = 0
        return lost

    def expect(self, sequence: Sequence, start: Callable[[int], None]) -> None:
        """Reserve blocks for a sequence that was computed elsewhere, between two steps, when they are free.

        Then `start` is called with the tokens that are not cached here.
        """
        sequence.replica = self.number
        self.outstanding += 1
        self._expected.append((sequence, start))
        self._notice(always=True)

    def welcome(self, sequence: Sequence) -> None:
        """Take over a sequence whose blocks are in this replica's cache already."""
        sequence.replica = self.number
        self.outstanding += 1
        self.accept(sequence)

    def accept(self, sequence: Sequence) -> None:
        """The cache of an expected sequence is here: let it decode from the next step on."""
        self.ready.append(sequence)
        self._notice(always=True)

    def let_go(self, sequence: Sequence) -> None:
        """Free the blocks of a sequence that has moved on."""
        self.kv.release(sequence)
        self._notice(always=True)

    def expect_no_more(self) -> list[Sequence]:
        """Give up the sequences that are expected and have no blocks here yet."""
        given_up = [sequence for sequence, _ in self._expected]
        self._expected.clear()
        self.outstanding -= len(given_up)
        return given_up

    def withdraw(self) -> list[Sequence]:
        """Give up the sequences that are queued here and hold no blocks, first in line first."""
        queued = list(self.waiting)
        while self.waiting:
            self.waiting.popleft()
        self.outstanding -= len(queued)
        self.lanes[0].state.prompt_backlog -= sum(s.target for s in queued)
        return queued

    def release_decoding(self, lane: Lane) -> list[Sequence]:
        """Give up, between two steps, the sequences that decode here or are about to; they keep their blocks."""
        leaving = list(lane.state.decoding)
        for sequence in leaving:
            lane.part(sequence)
        leaving += self.ready
        self.ready.clear()
        self.outstanding -= len(leaving)
        return leaving

    def batch_by(self, policy: Callable[[], BatchingPolicy], limits: Limits) -> None:
        """Decide on batches by other rules from the next step on."""
        for lane in self.lanes:
            lane.policy = policy()
            lane.state.limits = _share(limits, len(self.lanes))

    def between_steps(self, act: Callable[[Lane], object]) -> None:
        """Have `act` done when the step in progress has ended, before the next is decided on."""
        self._between.append(act)
        self._notice(always=True)

    def adopt(self, sequence: Sequence, blocks: int, source: Replica) -> None:
        """Take over a running sequence of another replica, with `blocks` blocks here taken for its cache before."""
        self.lanes[0].state.adopt(sequence, blocks)
        source.outstanding -= 1
        source._forget_copy(sequence)
        self.outstanding += 1
        sequence.replica = self.number
        self.ready.append(sequence)

    def _before_step(self, lane: Lane) -> bool:
        """Do what waits for a step's end, let sequences decode whose cache has come, reserve for those expected.

        Sequences that were preempted here are served before others are expected. Returns whether anything was done or
        any sequence has come.
        """
        joined = bool(self._between)
        while self._between:
            self._between.popleft()(lane)
        while self.ready and lane.has_room:
            lane.join(self.ready.popleft())
            joined = True
        self._reserve(lane)
        return joined

    def _after_decision(self, lane: Lane, batch: Batch) -> None:
        """The same once a decision has preempted or admitted; who then could join does so after one step."""
        self._reserve(lane)
        if self.ready and lane.has_room:
            batch.steps = 1
        if self.neighbour is not None and lane.state.preemptions != self._preemptions:
            self._preemptions = lane.state.preemptions
            self.neighbour.blocks_came_free()

    def _reserve(self, lane: Lane) -> None:
        while self._expected and not self.waiting:
            sequence, start = self._expected[0]
            missing = lane.state.receive(sequence)
            if missing is None:
                return
            self._expected.popleft()
            start(missing)

    def _hand_over(self, sequence: Sequence) -> None:
        assert self._on_prefilled is not None
        self.outstanding -= 1
        if self.watcher is not None:
            self.watcher.first_token(sequence)
        self._forget_copy(sequence)
        self._on_prefilled(sequence, self)

    def _finished(self, sequence: Sequence, time: float) -> None:
        self.outstanding -= 1
        if self.watcher is not None:
            self.watcher.finished(sequence, time)
        self._forget_copy(sequence)
        self._on_finish(sequence, time)

    def _running(self) -> int:
        return sum(lane.state.running for lane in self.lanes)

    def _loaded(self) -> None:
        self._notice(always=True)

    def _notice_at(self, time: float) -> None:
        """Have the lanes look at the queue at `time`, as if something arrived then."""
        event = self._clock.at(time, ARRIVAL)
        assert event.callbacks is not None
        event.callbacks.append(lambda _: self._notice())

    def _notice(self, *, always: bool = False) -> None:
        for lane in self.lanes:
            lane.notice(always=always)

    def blocks_came_free(self) -> None:
        """The replica that shares this one's cache has given up blocks."""
        self._notice()

    def _notice_others(self) -> None:
        if self.neighbour is not None:
            self.neighbour.blocks_came_free()
        if len(self.lanes) > 1 and self.waiting:
            self._notice()


def _share(limits: Limits, stages: int) -> Limits:
    """The limits of one of several lanes."""
    return Limits(max(1, limits.max_num_seqs // stages), limits.max_num_batched_tokens)
