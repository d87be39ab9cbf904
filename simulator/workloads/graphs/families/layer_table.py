"""Detectors as tables of layers [from, repeats, block, arguments], as Ultralytics writes YOLOv3 to YOLO11 down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any, Literal

from simulator.errors import unknown_name
from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families import detection_blocks as blocks
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size

Block = Callable[..., str]
# blocks that take the number of their inner layers; all others are repeated whole
NESTED: dict[str, Block] = {
    "C2f": blocks.c2f, "C3k2": blocks.c3k2, "C2fCIB": blocks.c2f_compact, "C2PSA": blocks.attended,
    "SCDown": blocks.down, "SPPF": blocks.pyramid, "PSA": blocks.attended, "Bottleneck": blocks.bottleneck,
}  # fmt: skip


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    layers: Sequence[Sequence[Any]],
    maps: Sequence[int],
    head: Literal["anchored", "decoupled", "separable"] = "separable",
    depth: float = 1.0,
    width: float = 1.0,
    most: int = 1 << 20,
    deep: bool = False,
    first: int = 3,
    resolution: int = 640,
    classes: int = 80,
) -> Graph:
    """`layers` are rows, `maps` the numbers of those whose results the head reads.

    Repeats above one grow with `depth`, filters, `most` at most, with `width`. `deep` C3k2 blocks are nested twice
    (sizes m to x), bottlenecks begin with windows of `first`.
    """
    g = Builder("layer-table", format)
    results: list[str] = []
    x = g.input(batch, 3, resolution, resolution)
    for source, repeats, name, arguments in layers:
        given = list(arguments)
        if name == "Concat":
            x = g.concat([results[i] for i in source])
        elif name == "Upsample":
            x = g.upsample(x)
        else:
            x = results[source] if source != -1 else x
            filters = ceil(min(given[0], most) * width / 8) * 8
            count = max(round(repeats * depth), 1) if repeats > 1 else repeats
            if name == "C3k2" and deep:
                given[1:2] = [True]
            if name == "Bottleneck":
                given = [given[0], *(given[1:2] or [True]), first]
            x = _apply(g, x, name, filters, count, given[1:])
        results.append(x)
    found = [results[i] for i in maps]
    if head == "anchored":
        return g.build(*blocks.anchored(g, found, classes))
    return g.build(*blocks.boxes_and_classes(g, found, classes, separable=head == "separable"))


def _apply(g: Builder, x: str, name: str, filters: int, count: int, arguments: Sequence[Any]) -> str:
    if name == "Conv":
        return blocks.conv(g, x, filters, *arguments)
    if name not in NESTED:
        raise unknown_name("layer", name, ["Concat", "Conv", "Upsample", *NESTED])
    return NESTED[name](g, x, filters, count, *arguments)
