"""Recommendation models: tables of embeddings, dense layers before and after they meet.

Naumov et al., arXiv:1906.00091 (DLRM); Cheng et al., arXiv:1606.07792 (Wide & Deep); Zhou et al.,
arXiv:1706.06978 (DIN).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    tables: Sequence[int],
    width: int,
    lookups: int = 1,
    dense: int = 13,
    bottom: Sequence[int] = (),
    top: Sequence[int],
    interaction: Literal["dot", "concat"] = "concat",
    history: int = 0,
    attention: Sequence[int] = (36,),
    signatures: Sequence[int] = (),
    wide: int = 0,
    hosted: int | None = None,
    rank: int | None = None,
) -> Graph:
    """Chances of a click on each of `batch` items; `tables` are rows of embeddings, `lookups` of each summed an item.

    Dense features go through `bottom`; embeddings meet pair by pair ("dot") or side by side before `top`. Of a user's
    `history` each entry is weighed by a small network of the item and it (DIN); with `signatures` of [count, bits] it
    is summed up beforehand by hashes, and an item picks a sum for each signature (SDIM, arXiv:2205.10249). `wide`
    weights of crossed features add up to one number beside (Wide & Deep). Rows of tables of at least `hosted` rows are
    fetched from the host's memory. Tables of a `rank` have rows so long, and a matrix each that widens what is picked
    of them.
    """
    g = Builder("recommendation", format)
    x = g.input(batch, dense, name="dense")
    for units in bottom:
        x = g.act(g.linear(x, units))
    picked = [_bag(g, batch, rows, rank or width, lookups, number, hosted) for number, rows in enumerate(tables)]
    picked = picked if rank is None else [g.linear(x, width, bias=False) for x in picked]
    if history:
        if signatures:
            picked.append(_sampled(g, picked[0], batch, width, *signatures))
        else:
            picked.append(_interest(g, picked[0], batch, width, history, attention))
    x = _crossed(g, x, picked) if interaction == "dot" else g.concat([x, *picked])
    for units in top[:-1]:
        x = g.act(g.linear(x, units))
    x = g.linear(x, top[-1])
    if wide:
        rows = g.input(batch, lookups * len(tables), name="crossed")
        x = g.add(x, g.add_node("EmbeddingBag", [g.weight(wide, 1), rows]))
    return g.build(g.act(x, "Sigmoid"))


def _bag(g: Builder, batch: Size, rows: int, width: int, lookups: int, number: int, hosted: int | None) -> str:
    index = g.input(batch, lookups, name=f"rows_{number}")
    if hosted is None or rows < hosted:
        return g.add_node("EmbeddingBag", [g.weight(rows, width, name=f"table_{number}"), index])
    return g.add_node("ReduceSum", [g.add_node("HostGather", [index], row=[width])], axes=[1], keepdims=0)


def _crossed(g: Builder, x: str, picked: Sequence[str]) -> str:
    """The products of all pairs of vectors, the dense one included, each pair once (DLRM, section 2.2)."""
    batch, width = g.shape(x)
    count = len(picked) + 1
    vectors = g.reshape(g.concat([x, *picked]), batch, count, width)
    pairs = g.matmul(vectors, g.transpose(vectors, 0, 2, 1))
    pairs = g.add_node("Slice", [pairs], shape=[batch, count * (count - 1) // 2], axes=[1, 2])
    return g.concat([x, pairs])


def _interest(g: Builder, item: str, batch: Size, width: int, history: int, units: Sequence[int]) -> str:
    """Past items, each weighed by layers of `units` on it, the item, and their difference and product (figure 2)."""
    past = g.add_node("Gather", ["table_0", g.input(batch, history, name="history")], axis=0)
    past = past if g.shape(past)[-1] == width else g.linear(past, width, bias=False)
    item = g.add_node("Expand", [g.reshape(item, batch, 1, width)], shape=[batch, history, width])
    y = g.concat([past, item, g.add_node("Sub", [past, item]), g.mul(past, item)], axis=2)
    for count in units:
        y = g.act(g.linear(y, count), "Sigmoid")
    return g.reshape(g.matmul(g.transpose(g.linear(y, 1), 0, 2, 1), past), batch, width)


def _sampled(g: Builder, item: str, batch: Size, width: int, count: int, bits: int) -> str:
    """The item's hashes name a bucket of the user's for each of `count` signatures of so many `bits` (section 4.2)."""
    hashed = g.act(g.linear(item, count * bits, bias=False), "Sign")
    powers = g.add_node("MatMul", [g.reshape(hashed, batch, count, bits)], weights=[(bits, 1)])
    buckets = g.input(count << bits, width, name="buckets")
    return g.add_node("EmbeddingBag", [buckets, g.reshape(powers, batch, count)])
