"""Blocks of the layer tables of YOLO detectors, by the names that Ultralytics' configuration files give them.

A block takes the builder, its operand, its filters and the number of its inner layers, and its row's other arguments.
"""

from __future__ import annotations

from collections.abc import Callable

from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.blocks import normed
from simulator.workloads.operators import Size

BINS = 16  # of the distribution of a box's side


def conv(g: Builder, x: str, filters: Size, kernel: int = 1, stride: int = 1, groups: Size = 1) -> str:
    """Convolution, norm and activation (Conv)."""
    return normed(g, x, filters, kernel, stride, groups, act="Silu")


def bottleneck(
    g: Builder, x: str, filters: int, count: int = 1, shortcut: bool = True, first: int = 3, share: float = 0.5
) -> str:
    """Two convolutions, `share` of the filters between them, `count` times."""
    for _ in range(count):
        y = conv(g, conv(g, x, int(filters * share), first), filters, 3)
        x = g.add(x, y) if shortcut and g.channels(x) == filters else y
    return x


def side_by_side(
    g: Builder, x: str, filters: int, count: int, inner: Callable[[str, int], str], share: float = 0.5
) -> str:
    """All results of `count` inner blocks one after the other, and what both halves of a convolution are (C2f)."""
    half = int(filters * share)
    parts = g.split(conv(g, x, 2 * half), 2)
    for _ in range(count):
        parts.append(inner(parts[-1], half))
    return conv(g, g.concat(parts), filters)


def c2f(g: Builder, x: str, filters: int, count: int, shortcut: bool = False) -> str:
    """Bottlenecks side by side (C2f)."""
    return side_by_side(g, x, filters, count, lambda y, half: bottleneck(g, y, half, 1, shortcut, share=1.0))


def c3k2(g: Builder, x: str, filters: int, count: int, deep: bool = False, share: float = 0.5) -> str:
    """Bottlenecks, or where `deep`, two of them beside a convolution."""
    inner = _c3k if deep else bottleneck
    return side_by_side(g, x, filters, count, lambda y, half: inner(g, y, half), share)


def _c3k(g: Builder, x: str, filters: int) -> str:
    half = filters // 2
    y = bottleneck(g, conv(g, x, half), half, 2, share=1.0)
    return conv(g, g.concat([y, conv(g, x, half)]), filters)


def c2f_compact(g: Builder, x: str, filters: int, count: int, shortcut: bool = False, large: bool = False) -> str:
    """Depth-wise and 1x1 convolutions by turns; `large` windows are 7x7 and 3x3 side by side (YOLOv10, 3.2)."""

    def inner(y: str, half: int) -> str:
        z = conv(g, conv(g, y, half, 3, 1, half), 2 * half)
        if large:
            wide = [normed(g, z, 2 * half, kernel, 1, 2 * half, act=None) for kernel in (7, 3)]
            z = g.act(g.add(*wide), "Silu")
        else:
            z = conv(g, z, 2 * half, 3, 1, 2 * half)
        z = conv(g, conv(g, z, half), half, 3, 1, half)
        return g.add(y, z) if shortcut else z

    return side_by_side(g, x, filters, count, inner)


def down(g: Builder, x: str, filters: int, count: int, kernel: int = 3, stride: int = 2) -> str:
    """Channels first, then positions (SCDown)."""
    return normed(g, conv(g, x, filters), filters, kernel, stride, filters, act=None)


def pyramid(g: Builder, x: str, filters: int, count: int, kernel: int = 5) -> str:
    """Three poolings in a row, all their results side by side (SPPF)."""
    parts = [normed(g, x, int(g.channels(x)) // 2, act="Silu")]
    for _ in range(3):
        parts.append(g.max_pool(parts[-1], kernel, 1, kernel // 2))
    return conv(g, g.concat(parts), filters)


def attended(g: Builder, x: str, filters: int, count: int = 1) -> str:
    """Layers of attention and two products on one half of the channels (PSA, C2PSA)."""
    half = filters // 2
    first, y = g.split(conv(g, x, 2 * half), 2)
    for _ in range(count):
        y = g.add(y, _attention(g, y, max(half // 64, 1)))
        y = g.add(y, normed(g, conv(g, y, 2 * half), half, act=None))
    return conv(g, g.concat([first, y]), filters)


def _attention(g: Builder, x: str, heads: int) -> str:
    """Keys half as wide as values; a depth-wise convolution of the values tells positions."""
    n, c, h, w = g.shape(x)
    value = int(c) // heads
    split = [heads * (value // 2), heads * (value // 2), int(c)]
    first = g.add_node("Split", [normed(g, x, sum(split), act=None)], outputs=3, axis=1, split=split)
    rows = [(first, value // 2), (f"{first}.1", value // 2), (f"{first}.2", value)]
    parts = [g.transpose(g.reshape(y, n, heads, width, h * w), 0, 1, 3, 2) for y, width in rows]
    y = g.reshape(g.transpose(g.attention(parts[0], parts[1], parts[2]), 0, 1, 3, 2), n, c, h, w)
    return normed(g, g.add(y, normed(g, f"{first}.2", c, 3, 1, c, act=None)), c, act=None)


def boxes_and_classes(g: Builder, maps: list[str], classes: int, *, separable: bool) -> list[str]:
    """Boxes as distributions of four sides, classes apart, whose windows are `separable` since YOLOv10."""
    first = int(g.channels(maps[0]))
    boxes, scores = max(16, first // 4, 4 * BINS), max(first, min(classes, 100))
    heads = []
    for x in maps:
        box = g.conv(conv(g, conv(g, x, boxes, 3), boxes, 3), 4 * BINS, bias=True)
        n, _, h, w = g.shape(box)
        box = g.softmax(g.transpose(g.reshape(box, n, 4, BINS, h * w), 0, 1, 3, 2))
        heads.append(g.mean(box, -1))
        y = x
        for _ in range(2):
            y = conv(g, conv(g, y, g.channels(y), 3, 1, g.channels(y)), scores) if separable else conv(g, y, scores, 3)
        heads.append(g.act(g.conv(y, classes, bias=True), "Sigmoid"))
    return heads


def anchored(g: Builder, maps: list[str], classes: int, anchors: int = 3) -> list[str]:
    """A box, its certainty and its classes for each anchor (YOLOv3, arXiv:1804.02767)."""
    return [g.act(g.conv(x, anchors * (classes + 5), bias=True), "Sigmoid") for x in maps]
