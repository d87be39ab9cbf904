"""Blocks of attention of sequences that ranks share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from simulator.workloads.operators import Elementwise
from simulator.workloads.training.block import MASK, Block
from simulator.workloads.training.rank_attention import RankAttention


def shared_attention(rank: RankAttention, *, fused: bool, dropout: bool) -> Iterator[Block]:
    """Attention on one of the ranks, with all scores of its queries in memory unless it is `fused`."""
    if fused:
        yield from fused_attention(rank)
        return
    yield from ring_of_products(rank, "attention scores", rank.attention.head_dim, "key")
    yield from softmax(rank, dropout=dropout)
    yield from ring_of_products(rank, "attention over values", rank.attention.v_head_dim, "value")


def fused_attention(rank: RankAttention) -> Iterator[Block]:
    """Attention in rounds over the ranks, between exchanges of tokens for heads where these are shared out."""
    enter, leave = rank.exchange_in(), rank.exchange_out()
    if enter:
        yield Block("head exchange", enter, enter, working=rank.kept)
    yield Block(
        "attention", (rank.forward(),), (rank.backward(),), (), rank.kept, core=True, entering=rank.kept,
        working=rank.in_flight,
    )  # fmt: skip
    if leave:
        yield Block("head exchange back", leave, leave)


def ring_of_products(rank: RankAttention, name: str, inner: float, tensor: Literal["key", "value"]) -> Iterator[Block]:
    """Products with the keys or the values of all ranks, which go round (RSA)."""
    forward, backward = rank.products(inner, tensor)
    saved = rank.bytes_of(tensor) + (rank.bytes_of("query") if tensor == "key" else 0.0)
    yield Block(name, (forward,), (backward,), (), saved, core=True, entering=saved, working=rank.in_flight / 2)
    if rank.plan.sums_gradients:
        yield Block("context gradient sum", (), (rank.summed_gradient(tensor),))


def softmax(rank: RankAttention, *, dropout: bool) -> Iterator[Block]:
    """Softmax of a rank's scores with all keys, and dropout on them; both results are kept."""
    act = rank.act.bytes
    scores = rank.own_q * sum(length * length for length in rank.lengths) / rank.plan.ring
    steps = [("softmax", 0.0, act)]
    if dropout:
        steps.append(("attention dropout", MASK, act + MASK))
    for name, mask, kept in steps:
        forward = Elementwise(scores, 1.0, 1.0 + mask / act, 4.0, rank.act)
        backward = Elementwise(scores, 2.0, 1.0 + mask / act, 8.0, rank.act)
        yield Block(name, (forward,), (backward,), (), scores * kept, core=True)
