"""What a batching policy sees and may change: waiting, prefilling and decoding sequences over one KV cache."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from simulator.policies.adapters.memory import AdapterMemory
from simulator.policies.decode_set import FOREVER, DecodeSet
from simulator.policies.kv_cache import PagedKVCache
from simulator.policies.kv_cache.swapping import Swapping
from simulator.policies.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one iteration, under vLLM's names."""

    max_num_seqs: int = 256
    max_num_batched_tokens: int = 8192


@dataclass(slots=True)
class Batch:
    """One iteration: prompt tokens to compute by sequence, and whether the decode set takes a step.

    For an iteration without prompt tokens, `steps` is how many decode steps this decision holds for if no
    sequence finishes and none arrives. `arrivals_matter` is False where an arrival could not change it
    (nothing can be admitted until a sequence finishes), which spares the engine from asking again.
    """

    chunks: list[tuple[Sequence, int]] = field(default_factory=list)
    decode: bool = True
    steps: int = FOREVER
    arrivals_matter: bool = True


class Waiting(Protocol):
    """Sequences that wait, the next to be admitted at index 0: a deque, or the queue of a discipline."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Sequence]: ...

    def __getitem__(self, index: int, /) -> Sequence: ...

    def append(self, sequence: Sequence, /) -> None: ...

    def appendleft(self, sequence: Sequence, /) -> None: ...

    def popleft(self) -> Sequence: ...


class ServingState:
    """The sequences of one engine, and the moves between their states.

    A policy may read everything. It changes things only through the methods here, so that the counts, the
    cache and the decode set stay consistent. `reserved` blocks are already taken for the next decode step;
    `prompt_backlog` counts prompt tokens submitted and not yet computed. A preemptive queue discipline sets
    `order`, the key by which running sequences keep their place (None: the order of admission). Running sequences
    hold their adapters in `adapters`, where those are modelled. With `swapping` preempted sequences go to
    host memory. `join` lets a sequence decode; an engine may put its own in the place.
    """

    def __init__(self, kv: PagedKVCache, decoding: DecodeSet, limits: Limits) -> None:
        self.kv = kv
        self.decoding = decoding
        self.limits = limits
        self.waiting: Waiting = deque()
        self.prefilling: dict[Sequence, None] = {}
        self.now = 0.0
        self.preemptions = 0
        self.hit_tokens = 0
        self.lookup_tokens = 0
        self.reserved = 0
        self.prompt_backlog = 0
        self.last_decode_end = -1.0
        self.order: Callable[[Sequence], Any] | None = None
        self.adapters: AdapterMemory | None = None
        self.swapping: Swapping | None = None
        self.join: Callable[[Sequence], None] = decoding.join
        self._admissions = 0

    @property
    def running(self) -> int:
        """Sequences that hold blocks."""
        return len(self.prefilling) + len(self.decoding.members)

    def admit(self, sequence: Sequence, tokens: int, *, hit: int = 0, spare: int = 0, whole: bool = True) -> bool:
        """Start a waiting sequence on `hit` cached blocks and its next `tokens` tokens, if the blocks suffice.

        The caller has taken it out of `waiting`, or does so after. One that is in host memory comes back by itself.
        """
        if self.swapping is not None and sequence in self.swapping:
            return False
        if self.adapters is not None:
            idle = self.adapters.idle_blocks(sequence.adapter)
            fits = self.kv.fits(sequence, tokens, hit, spare=spare + idle, whole=whole)
            if not fits or not self.adapters.has(sequence.adapter):
                return False
            self.adapters.hold(sequence.adapter)
        if not self.kv.admit(sequence, tokens, hit=hit, spare=spare, whole=whole):
            return False
        self.prompt_backlog -= sequence.computed
        if sequence.preemptions == 0:
            self.lookup_tokens += sequence.target
            self.hit_tokens += sequence.computed
            sequence.cached_tokens = sequence.computed
        if sequence.scheduled < 0:
            sequence.scheduled = self.now
        sequence.admitted = self._admissions
        self._admissions += 1
        self.prefilling[sequence] = None
        return True

    def receive(self, sequence: Sequence) -> int | None:
        """Blocks for a sequence whose prompt another engine has computed; None if they do not suffice now.

        Returns the tokens that are not cached here and have to come from there.
        """
        hit = self.kv.hit_blocks(sequence)
        missing = sequence.target - hit * self.kv.block_tokens
        if not self.kv.admit(sequence, missing, hit=hit):
            return None
        sequence.computed = sequence.target
        sequence.admitted = self._admissions
        self._admissions += 1
        return missing

    def adopt(self, sequence: Sequence, blocks: int) -> None:
        """Hold a running sequence of another engine in `blocks` blocks taken before, those of its computed tokens."""
        sequence.blocks = blocks
        self.kv.grow(sequence, 0)
        sequence.admitted = self._admissions
        self._admissions += 1

    def release(self, sequence: Sequence, *, resumable: bool = False) -> None:
        """Free the blocks of a sequence that runs no more, and its adapter; `resumable` as in the cache."""
        self.kv.release(sequence, resumable=resumable)
        if self.adapters is not None:
            self.adapters.let_go(sequence.adapter)

    def resume(self, sequence: Sequence) -> None:
        """Let a sequence run on that has come back from host memory, in blocks taken before."""
        self.kv.grow(sequence, 0)
        sequence.admitted = self._admissions
        self._admissions += 1
        if sequence.remaining_prefill:
            self.prefilling[sequence] = None
        else:
            self.join(sequence)

    def claim(self, blocks: int) -> bool:
        """Free up to `blocks` blocks that are on their way to host memory; the next iteration waits for them."""
        return self.swapping is not None and self.swapping.claim(blocks)

    @property
    def on_the_way(self) -> int:
        """Sequences on their way back from host memory, which have their blocks."""
        return 0 if self.swapping is None else self.swapping.on_the_way_back

    @property
    def coming_free(self) -> int:
        """Blocks that are on their way to host memory."""
        return 0 if self.swapping is None else self.swapping.leaving_blocks

    def reserve_decode_step(self) -> None:
        """Take the blocks that the decode set's next step fills; the caller has seen to it that they are free."""
        self.reserved = self.decoding.blocks_needed()
        if self.reserved:
            self.kv.take(self.reserved)

    def newest(self) -> Sequence | None:
        """The running sequence that was admitted last."""
        prompt = next(reversed(self.prefilling), None)
        decode = self.decoding.last()
        if prompt is None or decode is None:
            return prompt or decode
        return prompt if prompt.admitted > decode.admitted else decode

    def victim(self) -> Sequence | None:
        """The running sequence that gives way when blocks run out: admitted last, or last by `order`."""
        if self.order is None:
            return self.newest()
        for member in self.decoding:
            self.decoding.refresh(member)
        return max((*self.prefilling, *self.decoding), key=self.order, default=None)

    def prompts_begun(self) -> list[Sequence]:
        """Sequences whose prompt is computed in part, first those that give way last."""
        return list(self.prefilling) if self.order is None else sorted(self.prefilling, key=self.order)

    def preempt(self, sequence: Sequence) -> None:
        """Give up a running sequence's blocks and put it back at the head of the queue.

        It is computed again, unless it was swapped out.
        """
        decoding = sequence not in self.prefilling
        if not decoding:
            del self.prefilling[sequence]
        else:
            if self.reserved:
                own = int(self.decoding.needs_block(sequence))
                self.reserved -= own
                sequence.blocks += own
            self.decoding.leave(sequence)
            sequence.last_token = max(sequence.last_token, self.last_decode_end)
        if self.swapping is None or not self.swapping.swap_out(sequence):
            if decoding:
                sequence.target = sequence.prompt_tokens + sequence.generated
            self.prompt_backlog += sequence.target if decoding else sequence.computed
            self.release(sequence, resumable=True)
        sequence.preemptions += 1
        self.preemptions += 1
        self.waiting.appendleft(sequence)


class BatchingPolicy(Protocol):
    """Decides each iteration of an engine."""

    def next_batch(self, state: ServingState) -> Batch:
        """The next iteration. Sequences of `chunks` are in `state.prefilling`, with room for their tokens.

        A batch with no chunks, and no decoding or `decode` False, lets the engine wait for an arrival.
        """
        ...
