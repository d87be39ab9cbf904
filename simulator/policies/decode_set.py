"""The sequences that emit one token a step, advanced together in O(1) a step whatever their number.

All members share one step counter. A member that joins at step `s` with `c` cached tokens has
`c + step - s` of them at any later step, finishes at a known step and takes a KV block at known steps, so
sums over the set are kept as running integers and a run of steps needs no loop over members.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Protocol

from simulator.policies.sequence import Sequence

FOREVER = 1 << 60
# One count for all sets: a sequence may leave one and join another, whose numbers must not look like the old one's.
_tickets = itertools.count(1)


class Span(Protocol):
    """Which tokens a layer attends to: all (`tokens` None), a window of the last, or its own chunk."""

    @property
    def tokens(self) -> int | None: ...

    @property
    def chunked(self) -> bool: ...

    def attended(self, position: int) -> int: ...


class DecodeSet:
    """Sequences that decode in lock-step.

    `block_tokens` is the size of a KV block; `spans` are the model's attention spans. Everything is an exact
    integer, so running `k` steps at once or one by one gives the same state. With `keep_share`, a member attends to
    that share of its prompt, in place of all before it, and takes no more blocks.
    """

    def __init__(self, block_tokens: int, spans: tuple[Span, ...], keep_share: float | None = None) -> None:
        self.block_tokens = block_tokens
        self.members: dict[Sequence, None] = {}
        self.step = 0
        self.keep_share = keep_share
        self._contexts: list[_SpanSum | _KeptSum]
        if keep_share is None:
            self._contexts = [_SpanSum(span) for span in spans]
        else:
            self._contexts = [_KeptSum(span, keep_share) for span in spans]
        self._finishing: list[tuple[int, int, Sequence]] = []
        self._block_phase = [0] * block_tokens

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Sequence]:
        return iter(self.members)

    def contexts(self) -> list[tuple[int, int]]:
        """For each span: tokens attended in the next step by all members, and its growth with every step."""
        return [(s.total, s.growing) for s in self._contexts]

    def join(self, sequence: Sequence) -> None:
        """Let a sequence whose prompt is computed decode from the next step on."""
        sequence.ticket = next(_tickets)
        sequence.joined_at = self.step
        self.members[sequence] = None
        heappush(self._finishing, (self.step + sequence.remaining_output, sequence.ticket, sequence))
        self._block_phase[(self.step - sequence.computed) % self.block_tokens] += 1
        for context in self._contexts:
            context.add(self.step, sequence)

    def leave(self, sequence: Sequence) -> None:
        """Take a sequence out (finished, preempted or parked), its counters brought up to date."""
        del self.members[sequence]
        self._block_phase[(sequence.joined_at - sequence.computed) % self.block_tokens] -= 1
        self.refresh(sequence)
        for context in self._contexts:
            context.remove(self.step, sequence)
        sequence.ticket = -1

    def refresh(self, sequence: Sequence) -> None:
        """Bring a member's own counters up to the current step (the set's sums always are)."""
        steps = self.step - sequence.joined_at
        held = -(-sequence.computed // self.block_tokens)
        sequence.computed += steps
        sequence.generated += steps
        sequence.joined_at = self.step
        if self.keep_share is None:
            sequence.blocks += -(-sequence.computed // self.block_tokens) - held

    def last(self) -> Sequence | None:
        """The member that was admitted last."""
        return max(self.members, key=lambda s: s.admitted, default=None)

    def needs_block(self, sequence: Sequence) -> bool:
        """Whether the next step of this member starts a block."""
        if self.keep_share is not None:
            return False
        return (sequence.computed + self.step - sequence.joined_at) % self.block_tokens == 0

    def blocks_needed(self, steps: int = 1) -> int:
        """New KV blocks that the next `steps` steps take in all."""
        if self.keep_share is not None:
            return 0
        size = self.block_tokens
        if steps == 1:
            return self._block_phase[self.step % size]
        cycles, rest = divmod(steps, size)
        needed = cycles * len(self.members)
        start = self.step % size
        for i in range(start, start + rest):
            needed += self._block_phase[i % size]
        return needed

    def steps_within(self, free_blocks: int, limit: int) -> int:
        """The most steps, up to `limit`, that `free_blocks` blocks suffice for."""
        count = len(self.members)
        if not count or self.keep_share is not None:
            return limit
        size = self.block_tokens
        if -(-limit // size) * count <= free_blocks:
            return limit
        cycles, free = divmod(free_blocks, count)
        steps = cycles * size
        i = self.step % size
        while steps < limit:
            free -= self._block_phase[i % size]
            if free < 0:
                return steps
            i += 1
            steps += 1
        return limit

    def steps_to_change(self) -> int:
        """Steps until a member finishes or a window fills, after which the sums grow differently."""
        self._drop_stale()
        steps = self._finishing[0][0] - self.step if self._finishing else FOREVER
        for context in self._contexts:
            steps = min(steps, context.steps_to_change(self.step))
        return steps

    def advance(self, steps: int) -> list[Sequence]:
        """Run `steps` steps (at most `steps_to_change()`); the members that finished, which have left the set."""
        self.step += steps
        for context in self._contexts:
            context.advance(self.step, steps)
        finished: list[Sequence] = []
        self._drop_stale()
        while self._finishing and self._finishing[0][0] <= self.step:
            sequence = heappop(self._finishing)[2]
            self.leave(sequence)
            finished.append(sequence)
            self._drop_stale()
        return finished

    def _drop_stale(self) -> None:
        heap = self._finishing
        while heap and heap[0][1] != heap[0][2].ticket:
            heappop(heap)


def kept_tokens(sequence: Sequence, keep_share: float) -> int:
    """Tokens of its prompt that a sequence keeps while it decodes, one at least."""
    return max(1, int(sequence.prompt_tokens * keep_share))


class _KeptSum:
    """Tokens attended under one span by members that each keep as many as when they joined."""

    __slots__ = ("growing", "keep_share", "span", "total")

    def __init__(self, span: Span, keep_share: float) -> None:
        self.span = span
        self.keep_share = keep_share
        self.total = 0
        self.growing = 0

    def add(self, step: int, sequence: Sequence) -> None:
        self.total += self.span.attended(kept_tokens(sequence, self.keep_share))

    def remove(self, step: int, sequence: Sequence) -> None:
        self.total -= self.span.attended(kept_tokens(sequence, self.keep_share))

    def steps_to_change(self, step: int) -> int:
        return FOREVER

    def advance(self, step: int, steps: int) -> None:
        """Every new token takes the place of a kept one."""


class _SpanSum:
    """Tokens attended under one span, summed over members: `total` next step, plus `growing` with each step."""

    __slots__ = ("_crossings", "growing", "span", "total")

    def __init__(self, span: Span) -> None:
        self.span = span
        self.total = 0
        self.growing = 0
        self._crossings: list[tuple[int, int, Sequence]] = []

    def add(self, step: int, sequence: Sequence) -> None:
        position = sequence.computed + 1
        self.total += self.span.attended(position)
        self.growing += 1
        size = self.span.tokens
        if size is None:
            return
        if self.span.chunked:
            heappush(self._crossings, (step + size - (position - 1) % size, sequence.ticket, sequence))
        elif position < size:
            heappush(self._crossings, (step + size - position, sequence.ticket, sequence))
        else:
            self.growing -= 1

    def remove(self, step: int, sequence: Sequence) -> None:
        position = sequence.computed + 1
        self.total -= self.span.attended(position)
        size = self.span.tokens
        if size is None or self.span.chunked or position < size:
            self.growing -= 1

    def steps_to_change(self, step: int) -> int:
        if self.span.tokens is None:
            return FOREVER
        self._drop_stale()
        return self._crossings[0][0] - step if self._crossings else FOREVER

    def advance(self, step: int, steps: int) -> None:
        """Grow by `steps`; windows that are full at `step` grow no more, chunks that are full start again."""
        self.total += self.growing * steps
        if self.span.tokens is None:
            return
        self._drop_stale()
        while self._crossings and self._crossings[0][0] <= step:
            _, ticket, sequence = heappop(self._crossings)
            if self.span.chunked:
                self.total -= self.span.tokens
                heappush(self._crossings, (step + self.span.tokens, ticket, sequence))
            else:
                self.growing -= 1
            self._drop_stale()

    def _drop_stale(self) -> None:
        heap = self._crossings
        while heap and heap[0][1] != heap[0][2].ticket:
            heappop(heap)
