"""Detectors with convolutions on several maps: SSD, SSDLite and RetinaNet, as torchvision builds them.

Liu et al., arXiv:1512.02325; Sandler et al., arXiv:1801.04381, section 6.2; Lin et al., arXiv:1708.02002.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families import resnet
from simulator.workloads.graphs.families.blocks import normed
from simulator.workloads.graphs.families.inverted_residual import trunk
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size

VGG = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512)


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    detector: Literal["ssd", "ssdlite", "retinanet"],
    backbone: Mapping[str, Any] | None = None,
    anchors: Sequence[int],
    extra: Sequence[int] = (),
    last: int = 480,
    act: str = "HardSwish",
    resolution: int = 300,
    classes: int = 91,
) -> Graph:
    """`anchors` boxes at each position of each map; `extra` filters of further, smaller maps.

    SSDLite's `last` convolution before them is followed by `act`.
    """
    g = Builder("single-shot", format)
    image = g.input(batch, 3, resolution, resolution)
    if detector == "ssd":
        maps = _vgg_maps(g, image)
        results = _heads(g, maps, anchors, classes)
    elif detector == "ssdlite":
        maps = _light_maps(g, image, backbone or {}, last, extra, act)
        results = _heads(g, maps, anchors, classes, separable=True)
    else:
        maps = _pyramid(g, resnet.features(g, image, **(backbone or {}))[1:])
        results = _towers(g, maps, anchors[0], classes)
    return g.build(*results)


def _vgg_maps(g: Builder, x: str) -> list[str]:
    """VGG-16 with its dense layers as dilated convolutions, and four smaller maps (figure 2)."""
    for layer in VGG:
        x = g.max_pool(x, 2, 2, ceil=True) if isinstance(layer, str) else g.act(g.conv(x, layer, 3, bias=True))
    maps = [g.add_node("Mul", [g.add_node("LpNormalization", [x], axis=1)], weights=[(512, 1, 1)])]
    x = g.max_pool(x, 2, 2)
    for _ in range(3):
        x = g.act(g.conv(x, 512, 3, bias=True))
    x = g.act(g.conv(g.max_pool(x, 3, 1, 1), 1024, 3, dilation=6, bias=True))
    maps.append(g.act(g.conv(x, 1024, bias=True)))
    for inner, filters, stride, pad in ((256, 512, 2, 1), (128, 256, 2, 1), (128, 256, 1, 0), (128, 256, 1, 0)):
        x = g.act(g.conv(maps[-1], inner, bias=True))
        maps.append(g.act(g.conv(x, filters, 3, stride, pad=pad, bias=True)))
    return maps


def _light_maps(
    g: Builder, image: str, backbone: Mapping[str, Any], last: int, extra: Sequence[int], act: str
) -> list[str]:
    """The expanded map of stride 16, the last one, and smaller ones by separable convolutions."""
    found = trunk(g, image, **backbone)
    side = int(g.shape(image)[2]) // 16
    expanded = [inside for inside, _ in found if int(g.shape(inside)[2]) == side]
    maps = [expanded[-1], normed(g, found[-1][1], last, act=act)]
    for filters in extra:
        half = filters // 2
        y = normed(g, normed(g, maps[-1], half, act="Clip"), half, 3, 2, half, act="Clip")
        maps.append(normed(g, y, filters, act="Clip"))
    return maps


def _heads(
    g: Builder, maps: Sequence[str], anchors: Sequence[int], classes: int, *, separable: bool = False
) -> list[str]:
    results = []
    for x, count in zip(maps, anchors, strict=True):
        for filters in (count * 4, count * classes):
            c = g.channels(x)
            y = normed(g, x, c, 3, 1, c, act="Clip") if separable else x
            results.append(g.conv(y, filters, 1 if separable else 3, bias=True))
    return results


def _pyramid(g: Builder, maps: Sequence[str], filters: int = 256) -> list[str]:
    """Maps of a feature pyramid, and two smaller ones."""
    found = lateral_maps(g, maps, filters)
    found.append(g.conv(found[-1], filters, 3, 2, bias=True))
    found.append(g.conv(g.act(found[-1]), filters, 3, 2, bias=True))
    return found


def lateral_maps(g: Builder, maps: Sequence[str], filters: int) -> list[str]:
    """Each map with the larger-scale ones added, largest map first (Lin et al., arXiv:1612.03144)."""
    lateral = [g.conv(x, filters, bias=True) for x in maps]
    for number in range(len(lateral) - 1, 0, -1):
        larger, smaller = g.shape(lateral[number - 1]), g.shape(lateral[number])
        scales = [1, 1, larger[2] / smaller[2], larger[3] / smaller[3]]
        enlarged = g.add_node("Resize", [lateral[number]], scales=scales, mode="nearest")
        lateral[number - 1] = g.add(lateral[number - 1], enlarged)
    return [g.conv(x, filters, 3, bias=True) for x in lateral]


def _towers(g: Builder, maps: Sequence[str], anchors: int, classes: int) -> list[str]:
    """Four convolutions before the classes and four before the boxes, the same weights on all maps."""
    results = []
    for filters in (anchors * classes, anchors * 4):
        first: list[str] = []
        for image in maps:
            x = image
            for layer in range(5):
                wide = 256 if layer < 4 else filters
                y = g.again(first[layer], x) if image != maps[0] else g.conv(x, wide, 3, bias=True)
                first.append(y)
                x = g.act(y) if layer < 4 else y
            results.append(x)
    return results
