"""Approximate nearest-neighbour search as operators and random reads, a query at a time."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.workloads.dtypes import DTYPES, DType
from simulator.workloads.operators import AnyOperator, Gather, Gemm

FP32 = DTYPES["fp32"]
CACHE_LINE = 64.0


@dataclass(frozen=True, slots=True)
class Reads:
    """`requests` of so many bytes each at once, from a drive or from memory."""

    requests: float
    bytes: float


@dataclass(frozen=True, slots=True)
class Round:
    """Reads that one has to wait for, then the arithmetic on what they brought. Either may be missing."""

    reads: Reads | None = None
    work: tuple[AnyOperator, ...] = ()


Search = tuple[Round, ...]


def distances(vectors: float, dims: int, format: DType = FP32) -> Gemm:
    """Distances of one query to so many vectors: a product of one row, which streams all of them once."""
    return Gemm(1, vectors, dims, format, format)


def flat(vectors: float, dims: int, format: DType = FP32) -> Search:
    """Distances to all vectors, in memory."""
    return (Round(work=(distances(vectors, dims, format),)),)


def ivf(
    vectors: float,
    dims: int,
    lists: int,
    probes: int,
    format: DType = FP32,
    code_bytes: float = 0.0,
    allowed: float = 1.0,
) -> Search:
    """Inverted file in memory: distances to all centroids, then to the vectors of the nearest lists.

    Where only an `allowed` share of the vectors may be found, a cache line of each is looked up first.

    With product quantisation (`code_bytes` a vector; Jegou et al., TPAMI 2011) a list is scanned by adding up
    a looked-up number a byte of each code.
    """
    scanned = vectors * probes / lists
    looked_up = (Gather(scanned, CACHE_LINE / FP32.bytes, FP32),) if allowed < 1.0 else ()
    near = scanned * allowed
    inner = Gemm(1, near, code_bytes, DTYPES["int8"]) if code_bytes else distances(near, dims, format)
    return (Round(work=(distances(lists, dims),)), Round(work=(*looked_up, inner)))


def graph(hops: int, degree: int, dims: int, number_bytes: float = 4.0, format: DType = FP32) -> Search:
    """Greedy search on a neighbourhood graph in memory (HNSW; Malkov and Yashunin, arXiv:1603.09320).

    Each hop reads `degree` vectors from anywhere, and only then knows where to go next.
    """
    reads = Reads(degree, dims * number_bytes)
    return (Round(reads, (distances(degree, dims, format),)),) * hops


def posting_lists(
    head: Search, lists: int, list_vectors: float, dims: int, number_bytes: float = 4.0, format: DType = FP32
) -> Search:
    """Centroids in memory by `head`, then whole posting lists from a drive, all asked for at once (SPANN).

    Chen et al., arXiv:2111.08566, section 3: `lists` after query-aware pruning, each of `list_vectors` vectors.
    """
    reads = Reads(lists, list_vectors * (dims * number_bytes + 4.0))
    return (*head, Round(reads, (distances(lists * list_vectors, dims, format),)))


def graph_on_drive(hops: int, beam: int, degree: int, dims: int, code_bytes: int, sector: float = 4096.0) -> Search:
    """Beam search on a graph of which a drive holds vectors and edges and memory short codes (DiskANN).

    Subramanya et al., NeurIPS 2019, section 3: each of the dependent rounds reads `beam` sectors; distances to the
    neighbours come from the codes, exact ones from the vectors that the sectors hold.
    """
    work = (Gemm(1, beam * degree, code_bytes, DTYPES["int8"]), distances(beam, dims))
    return (Round(Reads(beam, sector), work),) * hops
