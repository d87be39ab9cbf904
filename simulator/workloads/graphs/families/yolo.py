"""YOLO detectors of Ultralytics: a backbone, a path up and down through three scales, and a head on each.

YOLOv5 (release 6.0) has C3 blocks and heads of one convolution, YOLOv8 has C2f blocks and decoupled heads without
anchors (configuration files of the ultralytics/yolov5 and ultralytics/ultralytics repositories).
"""

from __future__ import annotations

from math import ceil
from typing import Literal

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.blocks import normed
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size

WIDTHS = (64, 128, 256, 512, 1024)
REPEATS = {5: (3, 6, 9, 3), 8: (3, 6, 6, 3)}
BINS = 16  # of a side's distribution in YOLOv8
ANCHORS = 3


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    version: Literal[5, 8] = 8,
    depth: float,
    width: float,
    most: int = 1024,
    resolution: int = 640,
    classes: int = 80,
) -> Graph:
    """A detector whose layers are repeated `depth` times and `width` times as wide, `most` channels at most before."""
    g = Builder(f"yolo-v{version}", format)
    sizes = [ceil(min(w, most) * width / 8) * 8 for w in WIDTHS]
    repeats = [max(round(n * depth), 1) for n in REPEATS[version]]
    x = g.input(batch, 3, resolution, resolution)
    x = _conv(g, x, sizes[0], 6, 2, 2) if version == 5 else _conv(g, x, sizes[0], 3, 2)
    maps = []
    for filters, count in zip(sizes[1:], repeats, strict=True):
        x = _block(g, version, _conv(g, x, filters, 3, 2), filters, count, shortcut=True)
        maps.append(x)
    _, small, middle, _ = maps
    deep = _pyramid(g, x, sizes[4])
    count = max(round(3 * depth), 1)
    lateral = []
    for skip, filters in ((middle, sizes[3]), (small, sizes[2])):
        deep = _conv(g, deep, filters) if version == 5 else deep
        lateral.append(deep)
        deep = _block(g, version, g.concat([g.upsample(deep), skip]), filters, count)
    found = [deep]
    for skip, filters in zip(reversed(lateral), sizes[3:], strict=True):
        down = _conv(g, found[-1], g.channels(found[-1]), 3, 2)
        found.append(_block(g, version, g.concat([down, skip]), filters, count))
    heads = _anchored(g, found, classes) if version == 5 else _decoupled(g, found, classes)
    return g.build(*heads)


def _conv(g: Builder, x: str, filters: Size, kernel: int = 1, stride: int = 1, pad: int | None = None) -> str:
    return normed(g, x, filters, kernel, stride, act="Silu", pad=pad)


def _bottleneck(g: Builder, x: str, filters: Size, first: int, *, shortcut: bool) -> str:
    y = _conv(g, _conv(g, x, filters, first), filters, 3)
    return g.add(x, y) if shortcut else y


def _block(g: Builder, version: int, x: str, filters: int, count: int, *, shortcut: bool = False) -> str:
    """C3: bottlenecks beside one convolution; C2f: all results of the bottlenecks side by side."""
    half = filters // 2
    if version == 5:
        y = _conv(g, x, half)
        for _ in range(count):
            y = _bottleneck(g, y, half, 1, shortcut=shortcut)
        return _conv(g, g.concat([y, _conv(g, x, half)]), filters)
    parts = g.split(_conv(g, x, 2 * half), 2)
    for _ in range(count):
        parts.append(_bottleneck(g, parts[-1], half, 3, shortcut=shortcut))
    return _conv(g, g.concat(parts), filters)


def _pyramid(g: Builder, x: str, filters: int) -> str:
    """Three poolings in a row, all their results side by side (SPPF)."""
    parts = [_conv(g, x, filters // 2)]
    for _ in range(3):
        parts.append(g.max_pool(parts[-1], 5, 1, 2))
    return _conv(g, g.concat(parts), filters)


def _anchored(g: Builder, maps: list[str], classes: int) -> list[str]:
    return [g.act(g.conv(x, ANCHORS * (classes + 5), bias=True), "Sigmoid") for x in maps]


def _decoupled(g: Builder, maps: list[str], classes: int) -> list[str]:
    """Boxes as distributions of four sides, classes apart."""
    first = int(g.channels(maps[0]))
    boxes, scores = max(16, first // 4, 4 * BINS), max(first, min(classes, 100))
    heads = []
    for x in maps:
        box = g.conv(_conv(g, _conv(g, x, boxes, 3), boxes, 3), 4 * BINS, bias=True)
        n, _, h, w = g.shape(box)
        box = g.softmax(g.transpose(g.reshape(box, n, 4, BINS, h * w), 0, 1, 3, 2))
        heads.append(g.mean(box, -1))
        heads.append(g.act(g.conv(_conv(g, _conv(g, x, scores, 3), scores, 3), classes, bias=True), "Sigmoid"))
    return heads
