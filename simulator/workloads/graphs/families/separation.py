"""Separation of speakers in the time domain: Conv-TasNet, dual-path RNN and skipping-memory LSTM.

Luo and Mesgarani, arXiv:1809.07454; Luo et al., arXiv:1910.06379; Li et al., arXiv:2201.10800 (SkiM).
"""

from __future__ import annotations

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
    separator: Literal["convolution", "dual-path", "skipping"],
    filters: int,
    window: int,
    inner: int = 128,
    hidden: int = 512,
    blocks: int = 8,
    repeats: int = 3,
    chunk: int = 100,
    causal: bool = False,
    speakers: int = 2,
    seconds: float = 4.0,
    rate: int = 8000,
) -> Graph:
    """An encoder of `filters` windows that overlap by half, masks for each speaker by the separator, and a decoder.

    "convolution" has `repeats` of `blocks` layers of dilated convolutions, "dual-path" `blocks` layers along and across
    chunks of `chunk` frames, "skipping" memories across chunks that only see the last state of each.
    """
    g = Builder("separation", format)
    seen = g.conv(g.input(batch, 1, int(seconds * rate)), filters, window, window // 2, pad=0)
    x = g.conv(g.group_norm(seen, 1), inner, bias=True)
    if separator == "convolution":
        x = _convolutions(g, x, hidden, blocks, repeats)
    else:
        x = _recurrent(g, x, hidden, blocks, chunk, causal=causal, skipping=separator == "skipping")
    masks = g.act(g.conv(_slope(g, x), speakers * filters, bias=True), "Sigmoid")
    results = [g.mul(mask, seen) for mask in g.split(masks, speakers)]
    return g.build(*(g.deconv(x, 1, window, window // 2, bias=False) for x in results))


def _slope(g: Builder, x: str) -> str:
    return g.add_node("PRelu", [x], weights=[(1,)])


def _convolutions(g: Builder, x: str, hidden: int, blocks: int, repeats: int) -> str:
    """Layers of 1x1, dilated depth-wise and 1x1 convolutions; results and skips are summed (figure 1 B and C)."""
    inner = g.channels(x)
    skips = []
    for _ in range(repeats):
        for number in range(blocks):
            y = g.group_norm(_slope(g, g.conv(x, hidden, bias=True)), 1)
            y = g.conv(y, hidden, 3, groups=hidden, dilation=1 << number, bias=True)
            y = g.group_norm(_slope(g, y), 1)
            x = g.add(x, g.conv(y, inner, bias=True))
            skips.append(g.conv(y, inner, bias=True))
    return g.add(*skips)


def _recurrent(g: Builder, x: str, hidden: int, blocks: int, chunk: int, *, causal: bool, skipping: bool) -> str:
    """Chunks that overlap by half (dual-path) or follow one another (skipping)."""
    n, inner, frames = g.shape(x)
    step = chunk if skipping else chunk // 2
    count = -(-frames // step)
    x = g.add_node("Expand", [x], shape=[chunk, n * count, inner])
    for number in range(blocks):
        if skipping:
            x = _skipping(g, x, hidden, n, causal=causal, last=number == blocks - 1)
        else:
            x = _along(g, x, hidden, bidirectional=not causal)
            y = g.transpose(g.reshape(x, chunk, n, count, inner), 2, 1, 0, 3)
            y = _along(g, g.reshape(y, count, n * chunk, inner), hidden, bidirectional=not causal)
            y = g.transpose(g.reshape(y, count, n, chunk, inner), 2, 1, 0, 3)
            x = g.reshape(y, chunk, n * count, inner)
    return g.add_node("Slice", [g.transpose(x, 1, 2, 0)], shape=[n, inner, frames], axes=[0, 2])


def _skipping(g: Builder, x: str, hidden: int, n: Size, *, causal: bool, last: bool) -> str:
    """A layer inside chunks; what its state is at their ends goes through memories across chunks to the next layer.

    Hidden and cell states each have a memory of their own (equations 3 and 4). The first chunks' states are 0.
    """
    inner, chunks = g.shape(x)[-1], g.shape(x)[1]
    y = g.lstm(x, hidden, bidirectional=not causal)
    width = g.shape(y)[-1]
    x = g.add(x, g.layer_norm(g.linear(y, inner)))
    if not last:
        for _ in range(2):
            state = g.reshape(g.add_node("Slice", [y], shape=[1, chunks, width], axes=[0]), chunks // n, n, width)
            _along(g, state, hidden, bidirectional=not causal)
    return x


def _along(g: Builder, x: str, hidden: int, *, bidirectional: bool) -> str:
    inner = g.shape(x)[-1]
    y = g.linear(g.lstm(x, hidden, bidirectional=bidirectional), inner)
    return g.add(x, g.layer_norm(y))
