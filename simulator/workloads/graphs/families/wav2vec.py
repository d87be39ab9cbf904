"""wav2vec 2.0 (Baevski et al., arXiv:2006.11477): convolutions over samples of sound, then a transformer."""

from __future__ import annotations

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.transformer import encoder_layer
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size

KERNELS = (10, 3, 3, 3, 3, 2, 2)
STRIDES = (5, 2, 2, 2, 2, 2, 2)


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    width: int = 768,
    depth: int = 12,
    heads: int = 12,
    filters: int = 512,
    stable: bool = False,
    seconds: float = 10.0,
    rate: int = 16000,
) -> Graph:
    """A vector for every 20 ms. `stable` models norm every convolution, and before each layer instead of after."""
    g = Builder("wav2vec", format)
    x = g.input(batch, 1, int(seconds * rate))
    for number, (kernel, stride) in enumerate(zip(KERNELS, STRIDES, strict=True)):
        x = g.conv(x, filters, kernel, stride, pad=0, bias=stable)
        if stable:
            x = g.transpose(g.layer_norm(g.transpose(x, 0, 2, 1)), 0, 2, 1)
        elif not number:
            x = g.group_norm(x, filters)
        x = g.act(x, "Gelu")
    x = g.linear(g.layer_norm(g.transpose(x, 0, 2, 1)), width)
    places = g.conv(g.transpose(x, 0, 2, 1), width, 128, groups=16, pad=64, bias=True)
    tokens = g.shape(x)[1]
    places = g.add_node("Slice", [places], shape=[batch, width, tokens], axes=[2])
    x = g.add(x, g.transpose(g.act(places, "Gelu"), 0, 2, 1))
    x = x if stable else g.layer_norm(x)
    for _ in range(depth):
        x = encoder_layer(g, x, heads, 4 * width, norm_first=stable)
    return g.build(g.layer_norm(x) if stable else x)
