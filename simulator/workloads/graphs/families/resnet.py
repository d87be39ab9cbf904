"""Residual networks for images (He et al., arXiv:1512.03385, table 1), as torchvision builds them."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size

WIDTHS = (64, 128, 256, 512)


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    blocks: Sequence[int] = (2, 2, 2, 2),
    bottleneck: bool = False,
    resolution: int = 224,
    classes: int = 1000,
    width: float = 1.0,
    groups: int = 1,
    group_width: int = 64,
) -> Graph:
    """A network of `blocks` in four groups, the first of each later group halving the image.

    `width` multiplies the inner channels of all blocks (Wide ResNet: 2), `groups` and `group_width` give ResNeXt.
    """
    g = Builder("resnet", format)
    x = g.input(batch, 3, resolution, resolution)
    maps = features(g, x, blocks, bottleneck=bottleneck, width=width, groups=groups, group_width=group_width)
    return g.build(g.linear(g.global_pool(maps[-1]), classes))


def features(
    g: Builder,
    x: str,
    blocks: Sequence[int],
    *,
    bottleneck: bool = False,
    width: float = 1.0,
    groups: int = 1,
    group_width: int = 64,
    most_stride: int = 32,
) -> list[str]:
    """Maps of each group of blocks; windows are dilated where one would be smaller than 1 / `most_stride` of the image.

    (Chen et al., arXiv:1706.05587, section 3.1.)
    """
    x = g.max_pool(_normed(g, x, 64, 7, 2), 3, 2, 1)
    maps, reached, dilation = [], 4, 1
    for number, count in enumerate(blocks):
        inner = int(WIDTHS[number] * width * (group_width / 64.0)) * groups
        for block in range(count):
            stride = 2 if number and not block else 1
            before = dilation
            if stride == 2 and reached >= most_stride:
                stride, dilation = 1, 2 * dilation
            reached *= stride
            apart = before if not block else dilation
            if bottleneck:
                x = _bottleneck(g, x, WIDTHS[number], inner, stride, groups, apart)
            else:
                x = _basic(g, x, inner, stride)
        maps.append(x)
    return maps


def _normed(
    g: Builder,
    x: str,
    filters: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    dilation: int = 1,
    *,
    act: bool = True,
) -> str:
    y = g.batch_norm(g.conv(x, filters, kernel, stride, groups, dilation=dilation))
    return g.act(y) if act else y


def _basic(g: Builder, x: str, filters: int, stride: int) -> str:
    y = _normed(g, _normed(g, x, filters, 3, stride), filters, 3, act=False)
    if stride > 1 or g.channels(x) != filters:
        x = _normed(g, x, filters, 1, stride, act=False)
    return g.act(g.add(y, x))


def _bottleneck(g: Builder, x: str, filters: int, inner: int, stride: int, groups: int, dilation: int) -> str:
    """The stride is in the 3x3 convolution, as in torchvision ("ResNet v1.5")."""
    y = _normed(g, _normed(g, x, inner, 1), inner, 3, stride, groups, dilation)
    y = _normed(g, y, 4 * filters, 1, act=False)
    if stride > 1 or g.channels(x) != 4 * filters:
        x = _normed(g, x, 4 * filters, 1, stride, act=False)
    return g.act(g.add(y, x))
