"""The sequences that advance by different numbers of tokens a step, as speculation makes them."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.policies.sequence import Sequence
from simulator.policies.speculation.plan import NO_DRAFT, Draft


class AdvancingSet:
    """Decoding sequences with the draft that each of them verifies in its next step.

    It answers all that batching policies ask of a `DecodeSet`; its members' own counters are always up to date.
    `drafter_cached` is how many tokens of a member the drafter has in its cache, and `ready` the depth of the draft
    that was written ahead for it.
    """

    def __init__(self, block_tokens: int) -> None:
        self.block_tokens = block_tokens
        self.members: dict[Sequence, None] = {}
        self.planned: dict[Sequence, Draft] = {}
        self.drafter_cached: dict[Sequence, int] = {}
        self.ready: dict[Sequence, int] = {}

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Sequence]:
        return iter(self.members)

    def plan(self, drafts: list[Draft]) -> None:
        """Set what each member, in their order, verifies in the next step."""
        self.planned = dict(zip(self.members, drafts, strict=True))

    def draft(self, sequence: Sequence) -> Draft:
        """What a member verifies in the next step."""
        return self.planned.get(sequence, NO_DRAFT)

    def join(self, sequence: Sequence) -> None:
        """Let a sequence whose prompt is computed decode from the next step on."""
        self.members[sequence] = None
        self.drafter_cached[sequence] = sequence.computed

    def leave(self, sequence: Sequence) -> None:
        """Take a sequence out: finished, preempted or parked."""
        del self.members[sequence]
        del self.drafter_cached[sequence]
        self.planned.pop(sequence, None)
        self.ready.pop(sequence, None)

    def refresh(self, sequence: Sequence) -> None:
        """Nothing to do: counters are kept up to date."""

    def last(self) -> Sequence | None:
        """The member that was admitted last."""
        return max(self.members, key=lambda s: s.admitted, default=None)

    def needs_block(self, sequence: Sequence) -> int:
        """New KV blocks that the next step of this member takes: for its last token and all of its draft."""
        reach = sequence.computed + 1 + self.draft(sequence).nodes
        return max(0, -(-reach // self.block_tokens) - sequence.blocks)

    def blocks_needed(self) -> int:
        """New KV blocks that the next step takes in all."""
        return sum(map(self.needs_block, self.members))
