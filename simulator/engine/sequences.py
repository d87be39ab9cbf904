"""From the columns of a trace to the sequences that replicas serve, whose prefixes are named by whole KV blocks."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np

from simulator.engine.adapters import AdapterSetup
from simulator.errors import InputError
from simulator.policies.adapters.memory import BASE
from simulator.policies.sequence import Extent, Sequence
from simulator.workloads.requests import PrefixHashes, Requests


@dataclass(frozen=True, slots=True)
class SequenceReader:
    """Makes the requests of a chunk sequences over a cache of `block_tokens` tokens a block.

    `shared_prefix` tokens begin every prompt. Without `adapters` all requests are of the base model.
    """

    block_tokens: int
    shared_prefix: int
    adapters: AdapterSetup | None

    def of(self, chunk: Requests, first: int) -> Iterator[Sequence]:
        """The sequences of a chunk whose first is request `first`. Raises `InputError` for one that cannot be."""
        self._check_shared_prefix(chunk, first)
        extents = ExtentBuilder(chunk.prefix, self.block_tokens) if chunk.prefix is not None else None
        columns = (
            chunk.arrival_s.tolist(), chunk.prompt_tokens.tolist(), chunk.output_tokens.tolist(),
            [-1] * len(chunk) if chunk.session is None else chunk.session.tolist(),
            [0] * len(chunk) if chunk.priority is None else chunk.priority.tolist(),
            [0] * len(chunk) if chunk.tenant is None else chunk.tenant.tolist(),
            self._adapters_of(chunk, first),
        )  # fmt: skip
        for i, (arrival, prompt, output, session, priority, tenant, adapter) in enumerate(zip(*columns, strict=True)):
            yield Sequence(
                first + i, arrival, prompt, output,
                extents=None if extents is None else extents.of(i, prompt, output, adapter),
                chunks=None if chunk.chunks is None else chunk.chunks.of(i),
                session=session, priority=priority, tenant=tenant, adapter=adapter,
            )  # fmt: skip

    def _check_shared_prefix(self, chunk: Requests, first: int) -> None:
        shared = self.shared_prefix
        for i in np.flatnonzero(chunk.prompt_tokens < shared)[:1].tolist():
            raise InputError(
                f"request {first + i} has a prompt of {chunk.prompt_tokens[i]} tokens, and the scenario says that all "
                f"begin with the same {shared}: lower shared_prefix_tokens"
            )

    def _adapters_of(self, chunk: Requests, first: int) -> list[int]:
        """The adapter of each request of a chunk; the base model where none are modelled."""
        setup = self.adapters
        if setup is None or chunk.adapter is None:
            return [BASE] * len(chunk)
        for i in np.flatnonzero((chunk.adapter < BASE) | (chunk.adapter >= setup.count))[:1].tolist():
            raise InputError(
                f"request {first + i} asks for adapter {chunk.adapter[i]}, and there are {setup.count}, from 0: "
                "raise adapters.count (-1 is the base model)"
            )
        return list(chunk.adapter.tolist())


class ExtentBuilder:
    """Turns prefix hashes of `block_tokens` tokens into extents of whole KV blocks."""

    def __init__(self, prefix: PrefixHashes, kv_block_tokens: int) -> None:
        self._prefix = prefix
        self._size = kv_block_tokens
        given = prefix.block_tokens
        if given % kv_block_tokens and kv_block_tokens % given:
            raise InputError(
                f"block_size {kv_block_tokens} and the trace's {given} tokens a prefix hash: one must divide the other"
            )

    def of(self, index: int, prompt_tokens: int, output_tokens: int, adapter: int = BASE) -> list[Extent]:
        """(identity, KV blocks) of one request's hashed blocks, as far as its tokens fill them.

        Keys and values of different adapters differ. Ids beyond the prompt's name the answer as well, which a later
        turn of the conversation repeats.
        """
        ids: list[Hashable] = self._prefix.of(index).tolist()
        if adapter != BASE:
            ids = [(adapter, identity) for identity in ids]
        given, size = self._prefix.block_tokens, self._size
        beyond = len(ids) * given >= prompt_tokens + given
        full = (prompt_tokens + output_tokens if beyond else prompt_tokens) // size
        if given < size:
            ids = ids[size // given - 1 :: size // given]
        each = max(1, given // size)
        whole, rest = divmod(full, each)
        extents: list[Extent] = [(key, each) for key in ids[:whole]]
        if rest and whole < len(ids):
            extents.append((ids[whole], rest))
        return extents
