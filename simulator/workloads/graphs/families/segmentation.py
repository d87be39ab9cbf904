"""Semantic segmentation on the features of a classifier: FCN, DeepLabV3, R-ASPP and LR-ASPP heads.

As torchvision builds them, where it does. Long et al., arXiv:1411.4038; Chen et al., arXiv:1706.05587; Sandler et al.,
arXiv:1801.04381, section 6.3; Howard et al., arXiv:1905.02244, section 6.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families import resnet
from simulator.workloads.graphs.families.blocks import divisible, normed
from simulator.workloads.graphs.families.inverted_residual import trunk
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    backbone: Mapping[str, Any],
    head: Literal["fcn", "aspp", "r-aspp", "lr-aspp"],
    blocks: Literal["residual", "inverted"] = "residual",
    last: int | None = 960,
    stride: int = 8,
    rates: Sequence[int] = (12, 24, 36),
    auxiliary: bool = True,
    resolution: int = 520,
    classes: int = 21,
) -> Graph:
    """A class for each pixel, from a `backbone` of options of the residual or inverted-residual family.

    Its smallest map is 1 / `stride` of the image. A convolution of `last` filters follows inverted blocks unless None;
    a head on an earlier map (`auxiliary`) is there as in training.
    """
    g = Builder("segmentation", format)
    image = g.input(batch, 3, resolution, resolution)
    if blocks == "residual":
        maps = resnet.features(g, image, most_stride=stride, **backbone)
        early, deep = maps[-2], maps[-1]
    else:
        found = [x for _, x in trunk(g, image, most_stride=stride, **backbone)]
        # the first map of an eighth of the image
        early = next(x for x in found if _side(g, x) == -(-resolution // 8))
        deep = normed(g, found[-1], divisible(last), act="HardSwish") if last else found[-1]
    if head == "lr-aspp":
        scores = _reduced(g, deep, early, classes)
        return g.build(_enlarged(g, scores, resolution))
    if head == "r-aspp":
        return g.build(_enlarged(g, _pyramid_of_two(g, deep, classes), resolution))
    scores = _fully(g, deep, classes) if head == "fcn" else _pyramid(g, deep, rates, classes)
    results = [_enlarged(g, scores, resolution)]
    if auxiliary:
        results.append(_enlarged(g, _fully(g, early, classes), resolution))
    return g.build(*results)


def _side(g: Builder, x: str) -> int:
    return int(g.shape(x)[2])


def _enlarged(g: Builder, x: str, side: int) -> str:
    height, width = g.shape(x)[2:]
    return g.add_node("Resize", [x], scales=[1, 1, side / height, side / width], mode="linear")


def _fully(g: Builder, x: str, classes: int) -> str:
    return g.conv(normed(g, x, int(g.channels(x)) // 4, 3), classes, bias=True)


def _pyramid(g: Builder, x: str, rates: Sequence[int], classes: int, filters: int = 256) -> str:
    """Windows of several dilations side by side, and the mean of all positions."""
    parts = [normed(g, x, filters), *(normed(g, x, filters, 3, dilation=rate) for rate in rates)]
    whole = normed(g, g.add_node("GlobalAveragePool", [x]), filters)
    parts.append(g.add_node("Expand", [whole], shape=list(g.shape(parts[0]))))
    y = normed(g, g.concat(parts), filters)
    return g.conv(normed(g, y, filters, 3), classes, bias=True)


def _pyramid_of_two(g: Builder, x: str, classes: int, filters: int = 256) -> str:
    """Only the 1x1 convolution and the mean of all positions (R-ASPP)."""
    whole = normed(g, g.add_node("GlobalAveragePool", [x]), filters)
    parts = [normed(g, x, filters), g.add_node("Expand", [whole], shape=[*g.shape(x)[:1], filters, *g.shape(x)[2:]])]
    return g.conv(normed(g, g.concat(parts), filters), classes, bias=True)


def _reduced(g: Builder, deep: str, early: str, classes: int, filters: int = 128) -> str:
    gate = g.act(g.conv(g.add_node("GlobalAveragePool", [deep]), filters), "Sigmoid")
    y = _enlarged(g, g.mul(normed(g, deep, filters), gate), _side(g, early))
    return g.add(g.conv(early, classes, bias=True), g.conv(y, classes, bias=True))
