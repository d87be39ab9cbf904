"""One request while it is being served."""

from __future__ import annotations

from collections.abc import Hashable

Extent = tuple[Hashable, int]


class Sequence:
    """The mutable state of one request inside an engine; plain data that policies read and engines advance.

    `computed` tokens of `prompt_tokens + generated` have their keys and values in the cache, in `blocks`
    blocks. After a preemption the generated tokens count as prompt again, so `target` is what must be
    computed before the next token comes out. `extents` names the leading blocks as (identity, number of
    blocks). The KV cache keeps its own account in `held`, `held_blocks`, `next_extent` and `extent_start`,
    the decode set in `ticket` and `joined_at`. `chunks` names retrieved parts of the prompt as (identity, tokens),
    wherever they stand in it; `looked_up` is the number of preemptions after which lower cache tiers were last
    searched for it. `predicted_output` is what a scheduler takes for `output_tokens` (-1: nobody has predicted it).
    `adapter` is the number of the adapter that it asks for (-1: the base model).
    """

    __slots__ = (
        "adapter", "admitted", "arrival", "blocks", "cached_tokens", "chunks", "computed", "extent_start", "extents",
        "first_token", "generated", "held", "held_blocks", "index", "joined_at", "last_token", "looked_up",
        "next_extent", "output_tokens", "predicted_output", "preemptions", "priority", "prompt_tokens", "replica",
        "scheduled", "session", "target", "tenant", "ticket",
    )  # fmt: skip

    def __init__(
        self,
        index: int,
        arrival: float,
        prompt_tokens: int,
        output_tokens: int,
        *,
        extents: list[Extent] | None = None,
        chunks: list[Extent] | None = None,
        session: int = -1,
        priority: int = 0,
        tenant: int = 0,
        adapter: int = -1,
    ) -> None:
        self.index = index
        self.arrival = arrival
        self.prompt_tokens = prompt_tokens
        self.output_tokens = output_tokens
        self.target = prompt_tokens
        self.computed = 0
        self.generated = 0
        self.blocks = 0
        self.extents = extents
        self.chunks = chunks
        self.looked_up = -1
        self.held: list[Hashable] = []
        self.held_blocks = 0
        self.next_extent = 0
        self.extent_start = 0
        self.session = session
        self.priority = priority
        self.tenant = tenant
        self.adapter = adapter
        self.predicted_output = -1
        self.admitted = -1
        self.cached_tokens = 0
        self.preemptions = 0
        self.scheduled = -1.0
        self.first_token = -1.0
        self.last_token = -1.0
        self.replica = -1
        self.ticket = -1
        self.joined_at = 0

    def leave_cache(self) -> None:
        """Forget the blocks held in one KV cache; whoever copied this sequence before answers for them."""
        self.held = []
        self.blocks = self.held_blocks = self.next_extent = self.extent_start = 0

    @property
    def remaining_prefill(self) -> int:
        """Prompt tokens (and, after a preemption, generated ones) still to be computed."""
        return self.target - self.computed

    @property
    def remaining_output(self) -> int:
        """Tokens still to come out."""
        return self.output_tokens - self.generated

    @property
    def final_tokens(self) -> int:
        """Tokens in the cache when the last one has come out, which itself is never cached."""
        return self.prompt_tokens + self.output_tokens - 1
