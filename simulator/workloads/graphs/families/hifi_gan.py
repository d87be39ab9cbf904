"""HiFi-GAN vocoders (Kong et al., arXiv:2010.05646): transposed convolutions from mel bands to samples of sound."""

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
    width: int,
    rates: Sequence[int] = (8, 8, 2, 2),
    kernels: Sequence[int] = (3, 7, 11),
    dilations: Sequence[Sequence[int]] = ((1, 3, 5), (1, 3, 5), (1, 3, 5)),
    paired: bool = True,
    bands: int = 80,
    frames: int = 100,
) -> Graph:
    """`rates` widen time while halving channels; after each, blocks of all `kernels` are averaged.

    Each dilated convolution of a block is followed by a plain one where `paired` (versions 1 and 2). A frame is 256
    samples, at 22.05 kHz.
    """
    g = Builder("hifi-gan", format)
    x = g.conv(g.input(batch, bands, frames), width, 7, bias=True)
    for number, rate in enumerate(rates):
        x = g.deconv(g.act(x, "LeakyRelu"), width >> (number + 1), 2 * rate, rate, pad=rate // 2)
        parts = [_block(g, x, kernel, apart, paired) for kernel, apart in zip(kernels, dilations, strict=True)]
        x = g.add(*parts)
    return g.build(g.act(g.conv(g.act(x, "LeakyRelu"), 1, 7, bias=True), "Tanh"))


def _block(g: Builder, x: str, kernel: int, dilations: Sequence[int], paired: bool) -> str:
    filters = g.channels(x)
    for dilation in dilations:
        y = g.conv(g.act(x, "LeakyRelu"), filters, kernel, dilation=dilation, bias=True)
        if paired:
            y = g.conv(g.act(y, "LeakyRelu"), filters, kernel, bias=True)
        x = g.add(x, y)
    return x
