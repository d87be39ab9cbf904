"""Enhancement of speech by recurrent layers on all frequencies and on each with its neighbours (FullSubNet).

Hao et al., arXiv:2010.15508; Hao et al., arXiv:2212.09019 (Fast FullSubNet: fewer bands, every so many frames).
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
    bins: int = 257,
    full: int = 512,
    sub: int = 384,
    neighbours: int = 15,
    bands: int | None = None,
    banded: Sequence[int] = (384, 257),
    stride: int = 1,
    frames: int = 63,
) -> Graph:
    """Two layers of `full` units on a frame, two of `sub` units on each bin with `neighbours` on both sides.

    With `bands`, bins are first gathered into so many mel bands, the first layers are of `banded` units, and the second
    model sees every `stride`-th frame; a pair of layers of `full` units turns bands into bins again. A frame is 16 ms.
    """
    g = Builder("full-sub-net", format)
    heard = g.input(frames, batch, bins)
    x = heard if bands is None else g.linear(heard, bands, bias=False)
    count = int(g.shape(x)[-1])
    first, second = (full, full) if bands is None else banded
    whole = g.act(g.linear(g.lstm(g.lstm(x, first), second), count))
    width = 2 * neighbours + 2
    steps = -(-frames // stride)
    y = g.add_node("Expand", [g.concat([x, whole], axis=-1)], shape=[steps, batch * count, width])
    y = g.linear(g.lstm(g.lstm(y, sub), sub), 2 if bands is None else 1)
    if bands is None:
        return g.build(g.reshape(y, frames, batch, 2 * bins))
    y = g.add_node("Expand", [g.reshape(y, steps, batch, count)], shape=[frames, batch, count])
    y = g.lstm(g.lstm(g.concat([whole, y], axis=-1), full), full)
    return g.build(g.linear(y, 2 * bins))
