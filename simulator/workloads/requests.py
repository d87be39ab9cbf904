"""Requests in columns: what arrives when, with how many tokens, sharing which prefix."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PrefixHashes:
    """Identities of the prompt's leading blocks, as one ragged array.

    Request `i` owns `ids[offsets[i]:offsets[i + 1]]`; each id stands for `block_tokens` prompt tokens and
    for all tokens before them, so equal ids mean equal prefixes. `offsets` has one entry more than requests.
    """

    offsets: Ints
    ids: Ints
    block_tokens: int

    def of(self, index: int) -> Ints:
        """Block ids of one request."""
        return self.ids[self.offsets[index] : self.offsets[index + 1]]


@dataclass(frozen=True, slots=True)
class RetrievedChunks:
    """Retrieved parts of the prompts, as one ragged array: equal ids are equal text, wherever it stands.

    Request `i` begins with the chunks `ids[offsets[i]:offsets[i + 1]]` of `tokens` tokens each, in that order.
    """

    offsets: Ints
    ids: Ints
    tokens: Ints

    def of(self, index: int) -> list[tuple[Hashable, int]]:
        """(id, tokens) of one request's chunks."""
        cut = slice(self.offsets[index], self.offsets[index + 1])
        return list(zip(self.ids[cut].tolist(), self.tokens[cut].tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Requests:
    """A run of requests in arrival order; every column has length n.

    `arrival_s` counts seconds from the start of the trace. `ids` are the trace's own names (None: the row
    number serves). `session` groups the turns of one conversation (None: every request stands alone) and
    `think_s` is the pause between the end of the turn before and this one, for sessions that wait.
    `measured` keeps observed seconds of the same requests ("ttft_s", "e2e_s", "queue_wait_s") where the trace
    is a record of a real run. `chunks` names retrieved text that prompts begin with. `adapter` numbers the fine-tuned
    adapter that a request asks for, from 0 (-1: the base model).
    is a record of a real run. `chunks` names retrieved text that prompts begin with. `document_tokens` and `difficulty`
    (0 to 1) are for plans of several calls; the document is not among the prompt's tokens.
    """

    arrival_s: Floats
    prompt_tokens: Ints
    output_tokens: Ints
    ids: list[str] | None = None
    prefix: PrefixHashes | None = None
    session: Ints | None = None
    think_s: Floats | None = None
    priority: Ints | None = None
    tenant: Ints | None = None
    measured: dict[str, Floats] | None = None
    chunks: RetrievedChunks | None = None
    adapter: Ints | None = None
    document_tokens: Ints | None = None
    difficulty: Floats | None = None

    def __len__(self) -> int:
        return len(self.arrival_s)


class RequestSource(Protocol):
    """Anything that yields requests chunk by chunk, in arrival order, so that a trace need not fit in memory."""

    @property
    def name(self) -> str: ...

    def chunks(self) -> Iterator[Requests]:
        """Requests in arrival order; each call starts again from the first."""
        ...
