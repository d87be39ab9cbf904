"""Recurrent language models and translators: words to layers of LSTM or GRU to words.

Zaremba et al., arXiv:1409.2329; Merity et al., arXiv:1708.02182 (AWD-LSTM).
"""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    embedding: int,
    hidden: Sequence[int],
    cell: str = "LSTM",
    vocabulary: int = 10000,
    tied: bool = False,
    tokens: int = 35,
) -> Graph:
    """Layers of `hidden` units on `tokens` words; `tied` tables serve words that come in and that go out."""
    g = Builder("recurrent-language", format)
    x = g.embedding(g.input(tokens, batch, name="words"), vocabulary, embedding)
    for units in hidden:
        x = g.lstm(x, units, type=cell)
    if not tied:
        return g.build(g.linear(x, vocabulary))
    scores = g.add_node("Gemm", [g.reshape(x, tokens * batch, embedding), "table_0"], transB=1)
    return g.build(g.add_node("Add", [scores], weights=[(vocabulary,)]))
