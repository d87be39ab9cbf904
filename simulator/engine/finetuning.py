"""Fine-tuning on one replica: what goes into each iteration, and a record of what was done."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import numpy as np
from simpy.events import Event

from simulator.engine.clock import ENGINE, Clock
from simulator.engine.finetuning_progress import FinetuningProgress, Portion
from simulator.engine.finetuning_timer import FinetuningTimer
from simulator.engine.recorder import Floats, Recorder
from simulator.policies.batching.state import Batch, ServingState
from simulator.policies.finetuning import FinetuningPolicy

# What an iteration row gains where fine-tuning is on; tokens of both passes, FLOPs and bytes of one device.
COLUMNS = ("finetuning_forward_tokens", "finetuning_backward_tokens", "finetuning_flops", "finetuning_bytes")


class FinetuningRecord:
    """What all replicas of a run did: how far each has come, and columns of `COLUMNS` for some iterations."""

    def __init__(self) -> None:
        self.progress: list[FinetuningProgress] = []
        self._rows = array("d")

    def add(self, iteration: int, values: tuple[float, float, float, float]) -> None:
        """The values of the row `iteration` of the recorder; rows without fine-tuning are left out."""
        self._rows.extend((iteration, *values))

    def columns(self, iterations: int) -> dict[str, Floats]:
        """The values of all `iterations` rows by column, 0 where there was no fine-tuning."""
        table = np.frombuffer(self._rows, dtype=np.float64).reshape(-1, 1 + len(COLUMNS))
        whole = np.zeros((iterations, len(COLUMNS)))
        whole[table[:, 0].astype(np.int64)] = table[:, 1:]
        return {name: whole[:, i] for i, name in enumerate(COLUMNS)}


@dataclass(frozen=True, slots=True)
class _Outlook:
    """One iteration as a policy sees it."""

    finetuning: Finetuning
    decoding: int = 0
    contexts: Sequence[tuple[int, int]] = ()
    prompts: Sequence[tuple[int, int]] = ()

    @property
    def sequence_tokens(self) -> int:
        return self.finetuning.progress.sequence_tokens

    @property
    def remaining_tokens(self) -> int:
        return self.finetuning.progress.remaining_tokens

    @property
    def pass_tokens(self) -> int:
        return self.finetuning.progress.pass_tokens

    @property
    def window_tokens(self) -> int:
        return self.finetuning.progress.window_tokens

    def seconds(self, tokens: int) -> float:
        portion = self.finetuning.progress.take(tokens)
        return self.finetuning.timer.seconds(portion, self.decoding, self.contexts, self.prompts)


class Finetuning:
    """Fine-tuning on one replica. `portion` is what the iteration decided last takes, None if nothing."""

    def __init__(
        self,
        timer: FinetuningTimer,
        policy: FinetuningPolicy,
        progress: FinetuningProgress,
        record: FinetuningRecord,
    ) -> None:
        self.timer = timer
        self.policy = policy
        self.progress = progress
        self.record = record
        self.portion: Portion | None = None
        record.progress.append(progress)

    def take_turn(self, state: ServingState) -> Batch | None:
        """An iteration of fine-tuning alone although there are requests, or None to serve them."""
        self.portion = None
        if state.running or state.waiting:
            self._take(self.policy.alone(_Outlook(self), serving=True))
        return None if self.portion is None else Batch(decode=False)

    def join(self, batch: Batch, state: ServingState) -> None:
        """Add to a batch that was decided on, or fill the iteration alone if it is empty."""
        decoding = len(state.decoding.members) if batch.decode else 0
        if not decoding and not batch.chunks:
            self._take(self.policy.alone(_Outlook(self), serving=False))
            return
        prompts = [(s.computed, tokens) for s, tokens in batch.chunks]
        contexts = state.decoding.contexts() if decoding else []
        self._take(self.policy.beside(_Outlook(self, decoding, contexts, prompts)))
        batch.steps = min(batch.steps, self.policy.holds_for())

    def _take(self, tokens: int) -> None:
        self.portion = self.progress.take(tokens) if tokens > 0 else None

    def ended(self, portion: Portion | None, steps: int, recorder: Recorder, tokens: int, rows: int) -> None:
        """Iterations have ended and are in the recorder: `steps` without a portion, or one with it.

        `tokens` and `rows` are those of its requests: through the layers, and sampled.
        """
        if portion is None:
            self.policy.served(steps)
            return
        self.progress.advance(portion)
        if not recorder.keep_iterations:
            return
        flops, moved = self.timer.work(portion, tokens, rows)
        backward = portion.backward_pairs / self.progress.layers
        self.record.add(recorder.rows - 1, (portion.forward_tokens, backward, flops, moved))


def dedicated_tokens_per_s(timer: FinetuningTimer, like: FinetuningProgress) -> float:
    """Tokens a second, forward and backward, of a replica that does nothing else, over whole optimiser steps."""
    progress = FinetuningProgress(like.sequence_tokens, like.layers, like.window_tokens, like.sequences_per_step)
    seconds = 0.0
    while progress.sequences < progress.sequences_per_step:
        portion = progress.take(progress.next_window)
        seconds += timer.seconds(portion)
        progress.advance(portion)
    return progress.forward_tokens / seconds


def finetune_alone(
    clock: Clock, finetuning: Finetuning, recorder: Recorder, replica: int
) -> Generator[Event, None, None]:
    """A replica that serves nothing: window after window, for as long as the run lasts."""
    progress = finetuning.progress
    while True:
        start = clock.now
        portion = progress.take(progress.next_window)
        end = start + finetuning.timer.seconds(portion)
        yield clock.at(end, ENGINE + replica)
        recorder.iteration((start, end, replica, 1, *(0.0,) * 8))
        finetuning.ended(portion, 1, recorder, 0, 0)


@dataclass(frozen=True, slots=True)
class FinetuningPool:
    """`replicas` replicas that only fine-tune, the first of this number in the records."""

    build: Callable[[], Finetuning]
    replicas: int
    first: int

    def start(self, clock: Clock, recorder: Recorder) -> None:
        """Begin their processes."""
        for number in range(self.first, self.first + self.replicas):
            clock.process(finetune_alone(clock, self.build(), recorder, number))
