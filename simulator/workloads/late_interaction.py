"""Late-interaction retrieval: passages scored by the best match of each query token among all of their tokens.

An index holds each token as the number of its nearest centroid and a short residual. Vanilla search decompresses all
tokens of all candidates; PLAID first scores candidates by their centroids alone (Santhanam et al., arXiv:2205.09707).
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.workloads.dtypes import DType
from simulator.workloads.operators import AnyOperator, Elementwise, Gather, Gemm
from simulator.workloads.vector_search import Reads, Round, Search

CODE_BYTES = 4.0  # number of a token's centroid
INDEX_BYTES = 8.0  # PyTorch indexes with 64-bit integers


@dataclass(frozen=True, slots=True)
class TokenIndex:
    """`passages` of `tokens` tokens on average and `longest` at most, in vectors of `dims` numbers of a format.

    There are `centroids`; a token's residual takes `residual_bytes`.
    """

    passages: float
    tokens: float
    longest: float
    dims: int
    centroids: int
    residual_bytes: float
    format: DType

    def probed(self, lists: float) -> float:
        """Tokens in so many centroids' lists."""
        return min(lists / self.centroids, 1.0) * self.passages * self.tokens

    def token_bytes(self) -> float:
        return CODE_BYTES + self.residual_bytes


def vanilla(index: TokenIndex, query: int, probes: int, candidates: int) -> Search:
    """ColBERTv2 (Santhanam et al., arXiv:2112.01488, section 3.5), one PyTorch operator after the other.

    The tokens of the `probes` nearest centroids of each of `query` tokens are decompressed and scored, then all tokens
    of the best `candidates` passages, padded to the longest.
    """
    lists = query * probes
    near, padded = index.probed(lists), candidates * index.longest
    pad = Elementwise(padded * index.dims, index.tokens / index.longest, 1.0, activation=index.format)
    return (
        Round(work=_centroid_scores(index, query)),
        Round(
            Reads(lists, near / lists * index.token_bytes()),
            (*_decompressed_by_operators(index, near), *_scored(index, query, near)),
        ),
        Round(
            Reads(candidates, index.tokens * index.token_bytes()),
            (
                *_decompressed_by_operators(index, candidates * index.tokens),
                pad,
                *_scored(index, query, padded),
            ),
        ),
    )


def plaid(index: TokenIndex, query: int, probes: int, documents: int, kept: float) -> Search:
    """PLAID, sections 4.1 to 4.5: centroid interaction on all candidates with the `kept` share of centroids that score
    high enough, on the best `documents` with all, then exact scores of a quarter of these by kernels without padding.
    """
    candidates = min(index.probed(query * probes), index.passages)
    last = documents / 4.0
    exact = last * index.tokens
    decompress = Elementwise(exact * index.dims, index.token_bytes() / index.dims / index.format.bytes, 1.0, 2.0)
    return (
        Round(work=_centroid_scores(index, query)),
        Round(work=_interaction(index, query, candidates, kept)),
        Round(work=_interaction(index, query, documents, 1.0)),
        Round(Reads(last, index.tokens * index.token_bytes()), (decompress, *_scored(index, query, exact))),
    )


def _centroid_scores(index: TokenIndex, query: int) -> tuple[AnyOperator, ...]:
    """Products with all centroids, and a pass for the best of each query token."""
    product = Gemm(query, index.centroids, index.dims, index.format, index.format)
    return product, Elementwise(query * index.centroids, 1.0, 0.0, activation=index.format, kernel="reduction")


def _interaction(index: TokenIndex, query: int, passages: float, kept: float) -> tuple[AnyOperator, ...]:
    """Centroid numbers of the passages' tokens, then a looked-up score of each query token for those that are kept."""
    tokens = passages * index.tokens
    codes = Gather(passages, index.tokens * CODE_BYTES / index.format.bytes, index.format)
    return codes, Elementwise(tokens * kept * query, 1.0, 0.0, activation=index.format, kernel="reduction")


def _scored(index: TokenIndex, query: int, tokens: float) -> tuple[AnyOperator, ...]:
    """Products of so many tokens with the query's, and the best of each passage."""
    product = Gemm(query, tokens, index.dims, index.format, index.format)
    return product, Elementwise(tokens * query, 1.0, 0.0, activation=index.format, kernel="reduction")


def _decompressed_by_operators(index: TokenIndex, tokens: float) -> tuple[AnyOperator, ...]:
    """Unpack residuals to indices, look up weights and centroids, add, and normalise in two passes.

    As ColBERT's residual codec does it: each of these operators reads and writes all numbers.
    """
    wide = INDEX_BYTES / index.format.bytes
    passes = ((index.residual_bytes / index.dims, wide), (wide, 1.0), (1.0, 1.0), (2.0, 1.0), (1.0, 0.0), (1.0, 1.0))
    return tuple(Elementwise(tokens * index.dims, r, w, activation=index.format) for r, w in passes)
