"""Prompts made of retrieved documents and a question, as retrieval-augmented generation sends them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulator.workloads.generators.lengths import Lengths
from simulator.workloads.requests import PrefixHashes, RetrievedChunks

Ints = NDArray[np.int64]
Words = NDArray[np.uint64]
CELLS = 1 << 22


@dataclass(frozen=True)
class Retrieval:
    """Each request retrieves `per_request` different ones of `documents` documents, in any order.

    Document r (from 1) is asked for with a weight of r to the power -`zipf`; drawing goes on without what a request
    has. Lengths are drawn once a document and rounded up to whole blocks. Trace files keep the prefixes that
    follow from the order, and not which documents they are made of.

    That few documents take most retrievals is reported by RAGCache (arXiv:2404.12457); Zipf's law is a choice.
    """

    documents: int
    per_request: int
    tokens: Lengths
    zipf: float = 1.0


class Library:
    """Draws the documents of request after request, the same ones however many are asked for at once."""

    def __init__(
        self,
        retrieval: Retrieval,
        block_tokens: int,
        *,
        lengths: np.random.Generator,
        choice: np.random.Generator,
        order: np.random.Generator,
    ) -> None:
        self.retrieval = retrieval
        self.block_tokens = block_tokens
        drawn = retrieval.tokens.quantiles(lengths.standard_normal(retrieval.documents))
        self.blocks: Ints = -(-drawn // block_tokens)
        self._choice, self._order = choice, order

    @cached_property
    def most_blocks(self) -> int:
        """Blocks of the longest documents that a request could have."""
        return int(np.sort(self.blocks)[-self.retrieval.per_request :].sum())

    def draw(self, requests: int) -> tuple[Ints, PrefixHashes, RetrievedChunks]:
        """Retrieved tokens of each request, the identities of its prefix, and its documents."""
        documents = self._documents(requests)
        blocks = self.blocks[documents]
        each = self.retrieval.per_request
        chunks = RetrievedChunks(
            np.arange(requests + 1, dtype=np.int64) * each, documents.ravel(), blocks.ravel() * self.block_tokens
        )
        offsets = np.concatenate([[0], np.cumsum(blocks.sum(axis=1))]).astype(np.int64)
        prefix = PrefixHashes(offsets, _block_ids(documents, blocks), self.block_tokens)
        return blocks.sum(axis=1) * self.block_tokens, prefix, chunks

    def _documents(self, requests: int) -> Ints:
        """Shape (requests, per_request). Drawing one after the other is taking the largest of weights times noise.

        Gumbel-top-k: Kool, van Hoof and Welling, "Stochastic beams and where to find them", ICML 2019.
        """
        r = self.retrieval
        weights = -r.zipf * np.log(np.arange(1, r.documents + 1))
        rows = max(1, CELLS // r.documents)
        parts: list[Ints] = []
        for start in range(0, requests, rows):
            count = min(rows, requests - start)
            keys = weights + self._choice.gumbel(size=(count, r.documents))
            top = np.argpartition(keys, r.documents - r.per_request, axis=1)[:, r.documents - r.per_request :]
            top.sort(axis=1)
            order = self._order.random((count, r.per_request)).argsort(axis=1)
            parts.append(np.take_along_axis(top, order, axis=1))
        return np.concatenate(parts).astype(np.int64)


def _block_ids(documents: Ints, blocks: Ints) -> Ints:
    """One identity a block, equal where this document and all before it are."""
    chain = np.zeros(len(documents), dtype=np.uint64)
    chains = np.empty(documents.shape, dtype=np.uint64)
    for slot in range(documents.shape[1]):
        chain = chains[:, slot] = _mix(chain + documents[:, slot].astype(np.uint64))
    counts = blocks.ravel()
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    place = (np.arange(counts.sum()) - starts).astype(np.uint64)
    return (_mix(np.repeat(chains.ravel(), counts) + place) >> np.uint64(1)).astype(np.int64)


def _mix(words: Words) -> Words:
    """SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)."""
    z = words + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
