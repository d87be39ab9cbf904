"""Super-resolution networks on the small image, enlarged at the end: SESR, FSRCNN, EDSR.

Bhardwaj et al., arXiv:2103.09404 (SESR, with its linear blocks collapsed); Dong et al., arXiv:1608.00367 (FSRCNN); Lim
et al., arXiv:1707.02921 (EDSR).
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
    layers: Sequence[Sequence[int]],
    tail: Literal["shuffle", "transposed", "staged"],
    last: int,
    scale: int = 2,
    residual: int = 0,
    channels: int = 1,
    bias: bool = False,
    act: str = "PRelu",
    height: int = 720,
    width: int = 1280,
) -> Graph:
    """`layers` are [filters, kernel] of convolutions, and `residual` pairs of the last of them; the first is added.

    The result is `height` x `width` and `scale` times as large as the input: by rearranged channels of one convolution
    of window `last` ("shuffle"), by a "transposed" one, or by a convolution for each factor of two ("staged").
    """
    g = Builder("super-resolution", format)
    image = g.input(batch, channels, height // scale, width // scale)
    (filters, kernel), *others = layers
    first = x = _act(g, g.conv(image, filters, kernel, bias=bias), act, last=bool(residual))
    for filters, kernel in others:
        x = _act(g, g.conv(x, filters, kernel, bias=bias), act)
    for _ in range(residual):
        y = g.conv(g.act(g.conv(x, filters, kernel, bias=bias)), filters, kernel, bias=bias)
        x = g.add(x, y)
    if residual:
        x = g.conv(x, filters, kernel, bias=bias)
    x = g.add(x, first) if g.channels(x) == g.channels(first) else x
    if tail == "transposed":
        return g.build(_cropped(g, g.deconv(x, channels, last, scale, pad=last // 2, bias=bias), height, width))
    if tail == "shuffle":
        y = g.conv(x, scale * scale * channels, last, bias=bias)
        return g.build(g.add_node("DepthToSpace", [y], blocksize=scale))
    for _ in range(scale.bit_length() - 1):
        x = g.add_node("DepthToSpace", [g.conv(x, 4 * filters, kernel, bias=bias)], blocksize=2)
    return g.build(g.conv(x, channels, last, bias=bias))


def _act(g: Builder, x: str, act: str, *, last: bool = False) -> str:
    if last:
        return x
    return g.add_node(act, [x], weights=[(g.channels(x), 1, 1)]) if act == "PRelu" else g.act(x, act)


def _cropped(g: Builder, x: str, height: int, width: int) -> str:
    """A transposed convolution gives some rows less than asked for, which are padded."""
    rows, columns = g.shape(x)[2:]
    return g.add_node("Pad", [x], pads=[0, 0, 0, 0, 0, 0, height - rows, width - columns])
