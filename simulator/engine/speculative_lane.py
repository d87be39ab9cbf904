"""The iteration loop of an engine that speculates: draft, verify, and let each sequence advance by what was accepted.

Iterations are simulated one by one: how far a sequence gets is chance, so no run of steps is known beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, replace

import numpy as np
from simpy.events import Event

from simulator.engine.acceptance import Tally, advance
from simulator.engine.clock import ENGINE, Clock
from simulator.engine.flight import Flight
from simulator.engine.query_pass import Ints, Pass
from simulator.engine.recorder import Recorder
from simulator.engine.speculation import Decoding, Estimate, Speculation, drafting, verification
from simulator.engine.step_timer import StepTimer
from simulator.policies.batching.state import Batch, BatchingPolicy, Limits, ServingState, Waiting
from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.sequence import Sequence
from simulator.policies.speculation.advancing import AdvancingSet
from simulator.policies.speculation.plan import Draft, chain

MEMORY = 0.95  # share of the observed acceptance that one more iteration leaves; about the last twenty count


@dataclass(slots=True)
class Iteration:
    """One iteration under way: what runs in it, from when to when, and its drafting alone."""

    batch: Batch
    decoding: Decoding
    start: float
    end: float
    draft_seconds: float
    draft_work: tuple[float, float]
    attention_work: tuple[float, float]
    cancelled_tokens: int = 0


class SpeculativeLane:
    """As `Lane`, with drafts, over a replica's cache and queue. The decode set of its `state` is `advancing`."""

    def __init__(
        self,
        clock: Clock,
        kv: PagedKVCache,
        waiting: Waiting,
        limits: Limits,
        speculation: Speculation,
        policy: BatchingPolicy,
        timer: StepTimer,
        recorder: Recorder,
        *,
        number: int,
        replica: int,
        stage_free: list[float],
        on_finish: Callable[[Sequence, float], None],
        on_release: Callable[[], None],
    ) -> None:
        self.clock = clock
        self.advancing = AdvancingSet(kv.block_tokens)
        # The set answers all that policies and `ServingState` ask of a `DecodeSet`.
        self.state = ServingState(kv, self.advancing, limits)  # type: ignore[arg-type]
        self.state.waiting = waiting
        self.speculation = speculation
        self.speculator = speculation.policy()
        self.policy = policy
        self.timer = timer
        self.recorder = recorder
        self.replica = replica
        self.priority = ENGINE + number
        self.stage_free = stage_free
        self.on_finish = on_finish
        self.on_release = on_release
        self._limits = limits
        self._wake: Event | None = None
        self._idle = self._idle_since = 0.0
        self._prompts: list[tuple[int, int]] = []
        self._flight: Flight | None = None
        if speculation.in_flight > 1:
            self._flight = Flight(timer, speculation.drafter, speculation.in_flight, stage_free)
        self._accepted = self._examined = 0.0
        self.process = clock.process(self.loop())

    def loop(self) -> Generator[Event, None, None]:
        """Plan drafts, decide, wait, record, again; sleep when there is nothing to do."""
        while True:
            self.state.now = self.clock.now
            self._plan_drafts()
            preemptions = self.state.preemptions
            batch = self.policy.next_batch(self.state)
            if not batch.chunks and not (batch.decode and len(self.advancing)):
                if self.state.preemptions != preemptions:
                    continue
                self._wake = self.clock.event()
                self._idle_since = self.clock.now
                yield self._wake
                self._idle += self.clock.now - self._idle_since
                continue
            iteration = self._begin(batch)
            yield self.clock.at(iteration.end, self.priority)
            self._commit(iteration)

    def notice(self, *, always: bool = False) -> None:
        """Something arrived, or blocks came free: wake up. A running iteration is never cut short."""
        if self._wake is not None:
            wake, self._wake = self._wake, None
            wake._ok = True
            wake._value = None
            self.clock.schedule(wake, priority=self.priority)  # type: ignore[arg-type]

    @property
    def idle_seconds(self) -> float:
        """Seconds up to now in which there was nothing to do."""
        return self._idle + (self.clock.now - self._idle_since if self._wake is not None else 0.0)

    def blocks_ahead(self) -> int:
        """Less those reserved for the iteration in progress."""
        return -self.state.reserved

    def settle(self) -> None:
        """Nothing to do: iterations are simulated one by one."""

    def _plan_drafts(self) -> None:
        """Ask for drafts and cut them to what the token budget and the cache can hold.

        Draft tokens come out of `max_num_batched_tokens`, as in vLLM's scheduler.
        """
        members = list(self.advancing.members)
        budget = self._limits.max_num_batched_tokens
        spare = budget - len(members)
        drafts: list[Draft] = []
        if members:
            capacity = self.state.kv.blocks * self.state.kv.block_tokens
            for sequence, wanted in zip(members, self.speculator.drafts(self._view(members)), strict=True):
                every = wanted if self._flight is None else chain(wanted.depth * self._flight.most)
                draft = every.within(max(0, min(spare, capacity - sequence.computed - 1)))
                drafts.append(draft)
                spare -= draft.nodes
        self.advancing.plan(drafts)
        drafted = sum(d.nodes for d in drafts)
        self.state.limits = replace(self._limits, max_num_batched_tokens=budget - drafted) if drafted else self._limits

    def _view(self, members: list[Sequence]) -> Estimate:
        s, prompting = self.speculation, self.state.prefilling or self.state.waiting
        return Estimate(
            self.timer,
            s.drafter,
            self.speculator.inner,
            s.asynchronous,
            self._decoding(members),
            self._accepted / self._examined if self._examined else None,
            self._prompts if prompting else [],
        )

    def _decoding(self, members: list[Sequence]) -> Decoding:
        cached = np.array([s.computed for s in members], dtype=np.int64)
        known = self.advancing.drafter_cached
        behind = np.zeros_like(cached)
        if not self.speculation.drafter.shares_cache and self.speculator.inner is None:
            behind = cached - np.array([known[s] for s in members], dtype=np.int64)
        return Decoding(members, cached, behind, [self.advancing.draft(s) for s in members])

    def _begin(self, batch: Batch) -> Iteration:
        start, drafter = self.clock.now, self.speculation.drafter
        decoding = self._decoding(list(self.advancing.members) if batch.decode else [])
        if self._flight is not None:
            if decoding.sequences:
                return self._in_flight(self._flight, batch, decoding)
            self._flight.cancel(start)
        self._prompts = [(s.computed, n) for s, n in batch.chunks]
        checks = verification(self.timer, drafter, decoding, self._prompts)
        inner = self.speculator.inner
        before = drafting(self.timer, drafter, inner, decoding.at(self._unwritten(decoding)))
        beside: list[Pass] = []
        if self.speculation.asynchronous:
            beside = drafter.prompt_passes(self._prompts) + drafter.passes(*_next(decoding))
        else:
            before += drafter.prompt_passes(self._prompts)
        serial, overlapped = drafter.seconds(before), drafter.seconds(beside)
        host = self.timer.host_seconds(len(decoding.sequences) + len(batch.chunks))
        end = max(self._verified_at(start + serial, checks, host, serial), start + serial + overlapped)
        return Iteration(
            batch,
            decoding,
            start,
            end,
            serial + overlapped,
            (0.0, 0.0) if drafter.device is not None else _sum(p.work() for p in (*before, *beside)),
            _sum(p.attention_work() for p in checks),
        )

    def _in_flight(self, flight: Flight, batch: Batch, decoding: Decoding) -> Iteration:
        """Until the next run of the only sequence leaves the pipeline; others go on behind it."""
        (sequence,) = decoding.sequences
        goes_on = sequence in self.advancing.ready
        cancelled = 0 if goes_on else flight.cancel(self.clock.now)
        tokens = -(-decoding.drafts[0].depth // flight.most)
        run = flight.next_run(sequence, tokens, self.clock.now, goes_on=goes_on)
        examined = replace(decoding, drafts=[run.draft])
        work = run.target.attention_work()
        return Iteration(batch, examined, self.clock.now, run.end, run.draft_seconds, (0.0, 0.0), work, cancelled)

    def _verified_at(self, time: float, checks: list[Pass], host: float, drafting_seconds: float) -> float:
        """When verification ends that may begin at `time`; the drafts before it were written on the last stage."""
        free = self.stage_free
        if len(free) == 1:
            return time + host + sum(p.seconds() for p in checks)
        if drafting_seconds and self.speculation.drafter.device is None:
            time = free[-1] = max(time, free[-1] + drafting_seconds)
        time += host
        for stage, seconds in enumerate(checks[0].stage_seconds()):
            time = max(time, free[stage]) + seconds
            free[stage] = time
        return time

    def _unwritten(self, decoding: Decoding) -> list[int]:
        """Places of the sequences whose drafts have not been written ahead."""
        ready = self.advancing.ready
        return [i for i, s in enumerate(decoding.sequences) if decoding.drafts[i].depth > ready.get(s, 0)]

    def _commit(self, iteration: Iteration) -> None:
        state, end, decoding = self.state, iteration.end, iteration.decoding
        if decoding.sequences:
            state.kv.take(self.advancing.blocks_needed() - state.reserved)
            for sequence in decoding.sequences:
                sequence.blocks += self.advancing.needs_block(sequence)
            state.reserved = 0
        finished = self._advance(iteration)
        for sequence, tokens in iteration.batch.chunks:
            sequence.computed += tokens
            state.prompt_backlog -= tokens
            if sequence.computed == sequence.target:
                self._first_token(sequence, end, finished)
        for sequence in finished:
            state.kv.release(sequence)
            self.recorder.finish(sequence, end)
            self.on_finish(sequence, end)
        if finished:
            self.on_release()

    def _first_token(self, sequence: Sequence, end: float, finished: list[Sequence]) -> None:
        """A prompt is computed (again, after a preemption), which gives a token."""
        del self.state.prefilling[sequence]
        sequence.generated += 1
        if sequence.first_token < 0:
            sequence.first_token = end
        else:
            self.recorder.inter_token.add(np.array([end - sequence.last_token]), 1)
        sequence.last_token = end
        if sequence.remaining_output:
            self.advancing.join(sequence)
        else:
            finished.append(sequence)

    def _advance(self, iteration: Iteration) -> list[Sequence]:
        """Let every sequence emit its tokens, give back the blocks of rejected ones; those done leave the set."""
        state, end, sequences = self.state, iteration.end, iteration.decoding.sequences
        tally = advance(self.speculation, self.advancing, iteration.decoding)
        self._record(iteration, tally)
        if not sequences:
            return []
        gaps = self.recorder.inter_token
        gaps.add(np.array([end - s.last_token for s in sequences]), 1)
        if tally.emitted > len(sequences):  # tokens of one step come out together
            gaps.add(np.zeros(1), tally.emitted - len(sequences))
        self._accepted = MEMORY * self._accepted + tally.accepted
        self._examined = MEMORY * self._examined + tally.examined
        rejected = 0
        for sequence in sequences:
            sequence.last_token = end
            held = state.kv.blocks_for(sequence.computed)
            rejected += sequence.blocks - held
            sequence.blocks = held
        if rejected:
            state.kv.give_back(rejected)
        finished = [s for s in sequences if not s.remaining_output]
        for sequence in finished:
            self.advancing.leave(sequence)
        return finished

    def _record(self, iteration: Iteration, tally: Tally) -> None:
        state, drafts, prompts = self.state, iteration.decoding.drafts, iteration.batch.chunks
        self.recorder.iteration(
            (
                iteration.start, iteration.end, self.replica, 1, len(drafts), sum(n for _, n in prompts), len(prompts),
                *iteration.attention_work, state.running, len(state.waiting), state.kv.used,
            )
        )  # fmt: skip
        self.speculation.record.add(
            (
                sum(d.nodes for d in drafts), tally.examined, tally.accepted, tally.emitted,
                tally.wasted + iteration.cancelled_tokens,
                sum(d.depth > 0 for d in drafts), iteration.draft_seconds, *iteration.draft_work,
            ),
            len(drafts),
            iteration.end - iteration.start,
        )  # fmt: skip


def _next(decoding: Decoding) -> tuple[Ints, Ints, list[Draft]]:
    """What the drafter is given to write ahead: the same drafts again, as if all of these were accepted."""
    depths = np.array([d.depth for d in decoding.drafts], dtype=np.int64)
    return decoding.cached + depths + 1, np.zeros_like(depths), decoding.drafts


def _sum(pairs: Iterable[tuple[float, float]]) -> tuple[float, float]:
    first = second = 0.0
    for a, b in pairs:
        first, second = first + a, second + b
    return first, second
