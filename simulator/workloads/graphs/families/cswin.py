"""CSWin (Dong et al., arXiv:2107.00652): half of the heads attend in stripes of rows, half in stripes of columns."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.transformer import mlp
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    width: int = 64,
    depths: Sequence[int] = (1, 2, 21, 1),
    stripes: Sequence[int] = (1, 2, 7, 7),
    heads: Sequence[int] = (2, 4, 8, 16),
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """Four stages, each half the size and twice the channels; `stripes` are wide as stated, as long as the map."""
    g = Builder("cswin", format)
    x = _laid_out(g, g.conv(g.input(batch, 3, resolution, resolution), width, 7, 4, pad=2, bias=True))
    side = resolution // 4
    for stage, (depth, stripe, count) in enumerate(zip(depths, stripes, heads, strict=True)):
        if stage:
            n, _, c = g.shape(x)
            image = g.transpose(g.reshape(x, n, side, side, c), 0, 3, 1, 2)
            x, side = _laid_out(g, g.conv(image, 2 * int(c), 3, 2, bias=True)), side // 2
        for _ in range(depth):
            x = _layer(g, x, side, stripe, count)
    return g.build(g.linear(g.mean(g.layer_norm(x), 1), classes))


def _laid_out(g: Builder, x: str) -> str:
    """A map as a sequence, normed."""
    n, c, h, w = g.shape(x)
    return g.layer_norm(g.transpose(g.reshape(x, n, c, h * w), 0, 2, 1))


def _layer(g: Builder, x: str, side: int, stripe: int, heads: int) -> str:
    n, tokens, c = g.shape(x)
    joint = g.transpose(g.reshape(g.linear(g.layer_norm(x), 3 * int(c)), n, tokens, 3, c), 2, 0, 1, 3)
    whole = stripe >= side
    ways = [joint] if whole else g.split(joint, 2, axis=3)
    windows = [(side, side)] if whole else [(side, stripe), (stripe, side)]
    parts = [_attended(g, y, side, window, heads // len(ways)) for y, window in zip(ways, windows, strict=True)]
    y = parts[0] if whole else g.concat(parts, axis=2)
    x = g.add(x, g.linear(y, c))
    return g.add(x, mlp(g, g.layer_norm(x), 4 * int(c)))


def _attended(g: Builder, joint: str, side: int, window: tuple[int, int], heads: int) -> str:
    """Attention in windows; a depth-wise convolution of the values tells places apart (section 3.3)."""
    _, n, tokens, c = (int(s) for s in g.shape(joint))
    high, wide = window
    rows, columns, within = side // high, side // wide, high * wide
    query, key, value = (g.reshape(p, n, tokens, c) for p in g.split(joint, 3, axis=0))
    cut = []
    for part in (query, key, value):
        image = g.reshape(g.transpose(part, 0, 2, 1), n, c, rows, high, columns, wide)
        cut.append(g.reshape(g.transpose(image, 0, 2, 4, 1, 3, 5), n * rows * columns, c, high, wide))
    places = g.conv(cut[2], c, 3, groups=c, bias=True)
    headed = [
        g.transpose(g.reshape(y, n * rows * columns, heads, c // heads, within), 0, 1, 3, 2) for y in (*cut, places)
    ]
    y = g.add(g.attention(headed[0], headed[1], headed[2]), headed[3])
    y = g.reshape(g.transpose(y, 0, 2, 1, 3), n, rows, columns, high, wide, c)
    return g.reshape(g.transpose(y, 0, 1, 3, 2, 4, 5), n, tokens, c)
