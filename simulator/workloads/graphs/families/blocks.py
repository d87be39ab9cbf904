"""Blocks that several convolutional families share."""

from __future__ import annotations

import numpy as np

from simulator.workloads.graphs.builder import Builder
from simulator.workloads.operators import Size


def normed(
    g: Builder,
    x: str,
    filters: Size,
    kernel: int = 1,
    stride: int = 1,
    groups: Size = 1,
    *,
    act: str | None = "Relu",
    pad: int | None = None,
    dilation: int = 1,
) -> str:
    """Convolution, batch norm and, unless None, an activation function."""
    y = g.batch_norm(g.conv(x, filters, kernel, stride, groups, pad=pad, dilation=dilation))
    return g.act(y, act) if act else y


def squeeze_excitation(g: Builder, x: str, squeezed: Size, inner: str = "Relu", gate: str = "Sigmoid") -> str:
    """Channels weighed by a small network on their means (Hu et al., arXiv:1709.01507)."""
    s = g.add_node("GlobalAveragePool", [x])
    s = g.act(g.conv(s, squeezed, bias=True), inner)
    return g.mul(x, g.act(g.conv(s, g.channels(x), bias=True), gate))


def layer_scale(g: Builder, x: str) -> str:
    """A learned factor of each channel of an image or of a sequence (Touvron et al., arXiv:2103.17239)."""
    shape = g.shape(x)
    return g.add_node("Mul", [x], weights=[(shape[1], 1, 1) if len(shape) == 4 else (shape[-1],)])


def quartered(g: Builder, x: str, filters: int) -> str:
    """Two convolutions of stride 2 that lead into `filters` channels, half as many between."""
    for width in (filters // 2, filters):
        x = g.act(g.batch_norm(g.conv(x, width, 3, 2, bias=True)))
    return x


def divisible(value: Size, divisor: int = 8) -> Size:
    """The nearest multiple of the divisor that is at least 0.9 of the value (MobileNetV2, arXiv:1801.04381)."""
    near = np.maximum(divisor, (np.asarray(value) + divisor / 2) // divisor * divisor)
    return whole(np.where(near < 0.9 * np.asarray(value), near + divisor, near))


def whole(value: Size) -> Size:
    """Rounded down, as an integer where it is one number."""
    found = np.floor(np.asarray(value, dtype=np.float64))
    return int(found) if found.ndim == 0 else found
