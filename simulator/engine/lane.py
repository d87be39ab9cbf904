"""One batch in flight: the process that decides an iteration, waits for it, and records what it did."""

from __future__ import annotations

from collections.abc import Callable, Generator

import numpy as np
from simpy.events import Event, Process
from simpy.exceptions import Interrupt

from simulator.engine.adapters import ReplicaAdapters
from simulator.engine.chunks import NO_CHUNKS
from simulator.engine.clock import ENGINE, Clock
from simulator.engine.finetuning import Finetuning
from simulator.engine.finetuning_progress import Portion
from simulator.engine.iterations import DevicePart, Run
from simulator.engine.kv_loading import KVLoading
from simulator.engine.recorder import Recorder
from simulator.engine.step_timer import StepTimer
from simulator.engine.swapping import SwapCopies
from simulator.policies.adapters import LaneQueue
from simulator.policies.batching.state import Batch, BatchingPolicy, ServingState
from simulator.policies.decode_set import kept_tokens
from simulator.policies.sequence import Sequence


class Lane:
    """The iteration loop of one engine, as a SimPy process.

    A pipeline of several stages has as many lanes as stages, which share the queue, the cache and the
    stages. Lanes of merged copies, `lanes` in number, share one stage. `fast_forward` joins decode steps that
    no decision can change into one event; without it every step is an event of its own, with the same times to the
    last bit.
    """

    def __init__(
        self,
        clock: Clock,
        state: ServingState,
        policy: BatchingPolicy,
        timer: StepTimer,
        recorder: Recorder,
        *,
        number: int,
        replica: int,
        stage_free: list[float],
        fast_forward: bool,
        on_finish: Callable[[Sequence, float], None],
        on_release: Callable[[], None],
        on_prefilled: Callable[[Sequence], None] | None = None,
        before_step: Callable[[Lane], bool] = lambda _: False,
        after_decision: Callable[[Lane, Batch], None] = lambda _, __: None,
        loading: KVLoading | None = None,
        finetuning: Finetuning | None = None,
        adapters: ReplicaAdapters | None = None,
        lanes: int = 1,
        copies: SwapCopies | None = None,
    ) -> None:
        self.clock = clock
        self.state = state
        self.policy = policy
        self.timer = timer
        self.recorder = recorder
        self.replica = replica
        self.priority = ENGINE + number
        self.stage_free = stage_free
        self._alone = len(stage_free) == 1 and lanes == 1
        self.fast_forward = fast_forward and self._alone
        self.on_finish = on_finish
        self.on_release = on_release
        self.on_prefilled = on_prefilled
        self.before_step = before_step
        self.after_decision = after_decision
        self.loading = loading
        self.device_part: DevicePart | None = None
        self.meter: Callable[[Run], None] | None = None
        self.finetuning = finetuning
        self.adapters = adapters
        self._number = number % lanes
        self.copies = copies
        if copies is not None:
            state.swapping = copies.swapping
            state.join = self.join
        self.current: Run | None = None
        self._interrupted = False
        self._idle = 0.0
        self._idle_since = -1.0
        self._wake: Event | None = None
        self._joined: dict[Sequence, None] = {}
        self.process: Process = clock.process(self.loop())

    def loop(self) -> Generator[Event, None, None]:
        """Decide, wait, record, again; sleep when there is nothing to do."""
        while True:
            self.state.now = self.clock.now
            preemptions = self.state.preemptions
            batch = self._decide()
            if not batch.chunks and not (batch.decode and len(self.state.decoding.members)) and not self._finetunes:
                # Who preempts all that runs admits nothing in the same decision.
                if self.before_step(self) or self.state.preemptions != preemptions:
                    continue
                if self.device_part is not None:
                    self.device_part.rest()
                self._wake = self.clock.event()
                self._idle_since = self.clock.now
                yield self._wake
                self._idle += self.clock.now - self._idle_since
                self._idle_since = -1.0
                continue
            run = self.current = self._plan(batch)
            if self.device_part is not None:
                self.device_part.begin(run)
            while self.current is run:
                try:
                    yield self.clock.at(run.ends[-1], self.priority)
                except Interrupt:
                    self._interrupted = False
                    run.cut(self.clock.now)
                    run.interrupted = True
                    continue
                self.current = None
                if self.device_part is not None:
                    self.device_part.ended(run)
                self._commit(run)

    def end_at(self, run: Run, end: float) -> None:
        """Have the step in progress, one alone, end at `end` seconds: what runs beside it has changed its pace."""
        moved = end != run.ends[0]
        run.ends, run.durations = [end], np.array([end - run.start])
        if moved and self.clock.active_process is not self.process:
            self._interrupt()

    def notice(self, *, always: bool = False) -> None:
        """Something arrived, or blocks came free: wake up, or stop at the end of the step now running.

        With `always`, also where the batch in flight says that an arrival cannot matter.
        """
        if self._wake is not None:
            wake, self._wake = self._wake, None
            wake._ok = True
            wake._value = None
            self.clock.schedule(wake, priority=self.priority)  # type: ignore[arg-type]
            return
        run = self.current
        if run is not None and run.steps > 1 and not run.interrupted and (always or run.batch.arrivals_matter):
            run.interrupted = True
            self._interrupt()

    def run_by(self, timer: StepTimer) -> None:
        """Time the iterations that begin from now on by another timer of the same model."""
        self.timer = timer
        if self._wake is None:
            self.notice(always=True)

    @property
    def idle_seconds(self) -> float:
        """Seconds up to now in which there was nothing to do."""
        return self._idle + (self.clock.now - self._idle_since if self._idle_since >= 0 else 0.0)

    def steps_ended(self) -> int:
        """Decode steps of the current run that have ended before now and are not yet in the state."""
        run = self.current
        return 0 if run is None or run.steps == 1 else int(np.searchsorted(run.ends, self.clock.now, side="left"))

    def blocks_ahead(self) -> int:
        """Blocks that the steps ended and not yet in the state have taken, less those reserved before."""
        return self.state.decoding.blocks_needed(self.steps_ended()) - self.state.reserved

    def settle(self) -> None:
        """Bring the state to where a step-by-step simulation has it now, the step in progress reserved."""
        run, ended = self.current, self.steps_ended()
        if run is None or not ended:
            return
        self._commit(run.split(ended))
        self.state.reserve_decode_step()
        run.contexts = self.state.decoding.contexts()

    def abort(self) -> None:
        """Lose the step in progress; the steps before it have counted."""
        self.settle()
        if self.current is not None:
            self.current = None
            self._interrupt()

    def _interrupt(self) -> None:
        if not self._interrupted:
            self._interrupted = True
            self.process.interrupt()

    def _decide(self) -> Batch:
        """The policy's next batch, after all that has to be known before it."""
        self.before_step(self)
        if self.loading is not None:
            self.loading.start(self.state)
        if self.finetuning is not None and (turn := self.finetuning.take_turn(self.state)) is not None:
            return turn
        if self.adapters is not None:
            assert isinstance(self.state.waiting, LaneQueue)
            self.adapters.start(self.state.waiting, self._number)
        batch = self.policy.next_batch(self.state)
        if self.loading is not None:
            self.loading.restrict(batch, self.state)
        if self.adapters is not None:
            self.adapters.restrict(batch, self.state)
        if self.copies is not None:
            self.copies.start()
        self.after_decision(self, batch)
        if self.finetuning is not None:
            self.finetuning.join(batch, self.state)
        return batch

    @property
    def _finetunes(self) -> bool:
        """Whether the iteration decided last takes fine-tuning tokens."""
        return self.finetuning is not None and self.finetuning.portion is not None

    @property
    def has_room(self) -> bool:
        """Whether one more sequence may run."""
        return self.state.running < self.state.limits.max_num_seqs

    def join(self, sequence: Sequence) -> None:
        """Let a sequence decode from the next step on."""
        kv = self.state.kv
        if kv.keep_share is not None:
            kv.trim(sequence, kept_tokens(sequence, kv.keep_share))
        self.state.decoding.join(sequence)
        self._joined[sequence] = None

    def part(self, sequence: Sequence) -> None:
        """Take a decoding sequence out between two steps; it keeps its blocks."""
        self.state.decoding.leave(sequence)
        if sequence in self._joined:
            del self._joined[sequence]  # no step has given it a token here
        else:
            sequence.last_token = self.state.last_decode_end

    def _plan(self, batch: Batch) -> Run:
        state, start = self.state, self.clock.now
        decoding = len(state.decoding.members) if batch.decode else 0
        contexts = state.decoding.contexts() if decoding else []
        stall = 0.0 if self.copies is None else self.copies.stall()
        if self.finetuning is not None and self.finetuning.portion is not None:
            return self._plan_with(self.finetuning, self.finetuning.portion, batch, decoding, contexts, stall)
        if not batch.chunks and self._alone:
            durations = self.timer.decode_seconds(decoding, contexts, self._steps(batch))
            if self.adapters is not None:
                durations = durations + sum(self.adapters.stage_seconds(batch, state))
            durations = np.concatenate(([durations[0] + stall], durations[1:])) if stall else durations
            times = np.empty(len(durations) + 1)
            times[0] = start
            times[1:] = durations
            ends = np.add.accumulate(times, out=times)[1:]
            return Run(batch, start, ends, durations, decoding, contexts, NO_CHUNKS, len(durations))
        work = [(s.computed, n) for s, n in batch.chunks]
        if self.timer.prompt_pass is None:
            chunks = self.timer.chunks(work)
        else:
            chunks = self.timer.chunks(work, [s.computed + n == s.target for s, n in batch.chunks])
        ready = start + stall
        if self._alone:
            seconds = self.timer.step_seconds(decoding, contexts, chunks)
            if self.adapters is not None:
                seconds += sum(self.adapters.stage_seconds(batch, state))
            end = ready + seconds
            if self.loading is not None:
                end = self.loading.finish(batch.chunks, ready, end)
        else:
            begin = ready if self.loading is None else self.loading.arrival(batch.chunks, ready)
            stages = self.timer.stage_seconds(decoding, contexts, chunks)
            if len(stages) == 1:
                start, end = self._beside_copies(
                    start, stages[0], self.timer.operator_seconds(decoding, contexts, chunks)
                )
            else:
                if self.adapters is not None:
                    more = self.adapters.stage_seconds(batch, state)
                    stages = [one + other for one, other in zip(stages, more, strict=True)]
                end = self._through_stages(begin, stages)
        return Run(batch, start, [end], np.array([end - start]), decoding, contexts, chunks)

    def _plan_with(
        self,
        finetuning: Finetuning,
        portion: Portion,
        batch: Batch,
        decoding: int,
        contexts: list[tuple[int, int]],
        stall: float,
    ) -> Run:
        """One iteration with fine-tuning tokens in it, which waits for `stall` seconds before."""
        start, prompts = self.clock.now, [(s.computed, n) for s, n in batch.chunks]
        ready = start + stall
        end = ready + finetuning.timer.seconds(portion, decoding, contexts, prompts)
        if self.loading is not None:
            end = self.loading.finish(batch.chunks, ready, end)
        chunks = self.timer.chunks(prompts)
        return Run(batch, start, [end], np.array([end - start]), decoding, contexts, chunks, portion=portion)

    def _steps(self, batch: Batch) -> int:
        """Decode steps until something can change: a finish, a full window, a missing block, the policy's word."""
        if not self.fast_forward:
            return 1
        state = self.state
        steps = min(batch.steps, state.decoding.steps_to_change())
        # Evictions must happen at their own times where a tier takes in what is evicted.
        room = state.kv.free if state.kv.on_evict is None else state.kv.blank_blocks()
        return max(1, state.decoding.steps_within(room + state.reserved, steps))

    def _beside_copies(self, start: float, alone: float, device: float) -> tuple[float, float]:
        """From when to when an iteration keeps the device that merged copies share, as if without pause.

        It would take `alone` seconds, of which the device works `device`; the hosts of the copies work side by side.
        """
        self.stage_free[0] = max(start, self.stage_free[0]) + device
        end = max(self.stage_free[0], start + alone)
        return end - device, end

    def _through_stages(self, time: float, seconds: list[float]) -> float:
        """Pass the iteration through the pipeline, each stage serving one lane after the other."""
        for stage, duration in enumerate(seconds):
            time = max(time, self.stage_free[stage]) + duration
            self.stage_free[stage] = time
        return time

    def _commit(self, run: Run) -> None:
        state, end = self.state, float(run.ends[-1])
        self._record(run, end)
        if self.meter is not None:
            self.meter(run)
        finished: list[Sequence] = []
        if run.decoding:
            state.kv.take(state.decoding.blocks_needed(run.steps) - state.reserved)
            state.reserved = 0
            self._count_tokens(run, end)
            finished = state.decoding.advance(run.steps)
        for sequence, tokens in run.batch.chunks:
            sequence.computed += tokens
            state.prompt_backlog -= tokens
            if sequence.computed < sequence.target:
                continue
            del state.prefilling[sequence]
            if self.loading is not None:
                self.loading.computed(sequence)
            sequence.generated += 1
            if sequence.first_token < 0:
                sequence.first_token = end
            else:
                self.recorder.inter_token.add(np.array([end - sequence.last_token]), 1)
            sequence.last_token = end
            if sequence.remaining_output and self.on_prefilled is not None:
                self.on_prefilled(sequence)
            elif sequence.remaining_output:
                self.join(sequence)
            else:
                finished.append(sequence)
        for sequence in finished:
            state.release(sequence)
            self.recorder.finish(sequence, end)
            self.on_finish(sequence, end)
        if finished:
            self.on_release()

    def _count_tokens(self, run: Run, end: float) -> None:
        """Gaps between tokens: the step itself, or for its first step more where decoding had stalled."""
        since, members = self.state.last_decode_end, self.state.decoding.members
        joined = [s.last_token for s in self._joined if s in members]
        old = run.decoding - len(joined)
        count = self.recorder.inter_token.add
        if (old == 0 or since == run.start) and all(time == run.start for time in joined):
            count(run.durations, run.decoding)
        else:
            count(float(run.ends[0]) - np.array([since] * old + joined), 1)
            if run.steps > 1:
                count(run.durations[1:], run.decoding)
        self.state.last_decode_end = end
        self._joined = {}

    def _record(self, run: Run, end: float) -> None:
        state = self.state
        flops, moved = self.timer.attention_work(run.contexts, run.steps, run.chunks)
        self.recorder.iteration(
            (
                run.start, end, self.replica, run.steps, run.decoding, run.chunks.tokens, run.chunks.sequences,
                flops, moved, state.running, len(state.waiting), state.kv.used,
            )
        )  # fmt: skip
        if self.finetuning is not None:
            tokens, rows = run.decoding + run.chunks.tokens, run.decoding + run.chunks.sequences
            self.finetuning.ended(run.portion, run.steps, self.recorder, tokens, rows)
