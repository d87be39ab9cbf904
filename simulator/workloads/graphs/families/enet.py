"""ENet (Paszke et al., arXiv:1606.02147, table 1) and the network it is compared with, SegNet (arXiv:1511.00561)."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.blocks import normed
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size

# Of the eight bottlenecks of stages 2 and 3: dilation of the window, or 0 for a column and a row of five.
MIDDLE = (1, 2, 0, 4, 1, 8, 0, 16)
# Filters and convolutions of the five scales of VGG-16.
SCALES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    mirrored: bool = False,
    resolution: Sequence[int] = (360, 640),
    classes: int = 20,
) -> Graph:
    """ENet; `mirrored` gives SegNet, VGG-16's convolutions and the same backwards. `resolution` is height and width."""
    g = Builder("segnet" if mirrored else "enet", format)
    image = g.input(batch, 3, *resolution)
    return g.build(_segnet(g, image, classes) if mirrored else _enet(g, image, classes))


def _enet(g: Builder, image: str, classes: int) -> str:
    x = g.concat([g.conv(image, 13, 3, 2, bias=True), g.max_pool(image, 2, 2)])
    x = _active(g, g.batch_norm(x))
    large = x
    x = _bottleneck(g, x, 64, stride=2)
    for _ in range(4):
        x = _bottleneck(g, x, 64)
    small = x
    x = _bottleneck(g, x, 128, stride=2)
    for dilation in MIDDLE * 2:
        x = _bottleneck(g, x, 128, dilation=dilation)
    x = _enlarged(g, x, 64, small)
    for _ in range(2):
        x = _bottleneck(g, x, 64)
    x = _bottleneck(g, _enlarged(g, x, 16, large), 16)
    return g.deconv(x, classes, 2, 2)


def _active(g: Builder, x: str) -> str:
    return g.add_node("PRelu", [x], weights=[(g.channels(x), 1, 1)])


def _bottleneck(g: Builder, x: str, filters: int, *, stride: int = 1, dilation: int = 1) -> str:
    """A quarter of the channels inside; where the map shrinks the shortcut is its maxima and zeros (figure 2)."""
    inside = filters // 4
    y = _active(g, normed(g, x, inside, stride, stride, act=None, pad=0))
    if dilation:
        y = g.conv(y, inside, 3, dilation=dilation, bias=True)
    else:
        y = g.conv(g.conv(y, inside, (5, 1)), inside, (1, 5), bias=True)
    y = normed(g, _active(g, g.batch_norm(y)), filters, act=None)
    if stride > 1:
        x = g.max_pool(x, 2, 2)
        x = g.add_node("Pad", [x], pads=[0, 0, 0, 0, 0, filters - int(g.channels(x)), 0, 0])
    return _active(g, g.add(x, y))


def _enlarged(g: Builder, x: str, filters: int, like: str) -> str:
    """Numbers go back to where the maxima came from; the other branch is a transposed convolution."""
    inside = int(g.channels(x)) // 4
    main = _unpooled(g, normed(g, x, filters, act=None), like)
    y = _active(g, normed(g, x, inside, act=None))
    y = _active(g, g.batch_norm(g.deconv(y, inside, 2, 2)))
    return _active(g, g.add(main, normed(g, y, filters, act=None)))


def _unpooled(g: Builder, x: str, like: str) -> str:
    """A map as large as `like`, with each number at the place of the maximum that it stands for."""
    over = [2 * int(small) - int(large) for small, large in zip(g.shape(x)[2:], g.shape(like)[2:], strict=True)]
    return g.add_node("MaxUnpool", [x, x], kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, *over])


def _segnet(g: Builder, x: str, classes: int) -> str:
    maps = []
    for filters, count in SCALES:
        for _ in range(count):
            x = normed(g, x, filters, 3)
        maps.append(x)
        x = g.max_pool(x, 2, 2, ceil=True)
    for place in range(len(SCALES) - 1, -1, -1):
        filters, count = SCALES[place]
        x = _unpooled(g, x, maps[place])
        for _ in range(count - 1):
            x = normed(g, x, filters, 3)
        x = normed(g, x, SCALES[place - 1][0], 3) if place else g.conv(x, classes, 3, bias=True)
    return x
