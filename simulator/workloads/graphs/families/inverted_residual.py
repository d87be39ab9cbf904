"""Networks of inverted residual blocks: MobileNets, MnasNet, EfficientNet and what searches over them found.

A network is a table of stages, so that each of them is a row of data (Sandler et al., arXiv:1801.04381).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.blocks import divisible, normed, squeeze_excitation, whole
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size

# Options that may be arrays over candidates.
ARRAYS = ("width", "depth", "resolution", "stem", "head", "head_hidden", "classes", *(
    f"stages.*.{name}" for name in ("filters", "kernel", "repeats", "expand", "hidden", "squeeze")
))  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stage:
    """`repeats` blocks of `filters` channels, the first of which has the `stride`.

    Inside they are `expand` times as wide as their input, or have `hidden` channels. `squeeze` is the share of channels
    (of the block's input, or of its inside with `squeeze_inside`) that squeeze-and-excitation keeps, `fused` puts the
    expansion and the depth-wise convolution into one, `separable` activates the last convolution and adds no shortcut
    (MobileNet of 2017, arXiv:1704.04861).
    """

    filters: int
    kernel: int = 3
    stride: int = 1
    repeats: int = 1
    expand: float = 6.0
    hidden: int | None = None
    squeeze: float = 0.0
    squeeze_inside: bool = False
    inner: str = "Relu"
    gate: str = "Sigmoid"
    act: str = "Relu"
    fused: bool = False
    separable: bool = False


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    stages: Sequence[Mapping[str, Any]],
    resolution: int = 224,
    channels: int = 3,
    width: float = 1.0,
    depth: float = 1.0,
    stem: int = 32,
    head: int | None = 1280,
    head_scales: str = "up",
    head_hidden: int | None = None,
    act: str = "Relu",
    classes: int = 1000,
) -> Graph:
    """A network whose stages follow a stride-2 convolution of `stem` channels, all `width` times as wide.

    `depth` multiplies repeats, rounded up. A 1x1 convolution of `head` channels (None: none), which grow with the width
    ("up": only above 1, "always", "never"), a layer of `head_hidden` units if given, and the classifier end it.
    """
    g = Builder("inverted-residual", format)
    x = g.input(batch, channels, resolution, resolution)
    x = trunk(g, x, stages, width=width, depth=depth, stem=stem, act=act)[-1][1]
    if head is not None:
        wider = {"up": np.maximum(width, 1.0), "always": width, "never": 1.0}[head_scales]
        x = normed(g, x, divisible(head * wider), act=act)
    x = g.global_pool(x)
    if head_hidden is not None:
        x = g.act(g.linear(x, head_hidden), act)
    return g.build(g.linear(x, classes))


def trunk(
    g: Builder,
    x: str,
    stages: Sequence[Mapping[str, Any]],
    *,
    width: float = 1.0,
    depth: float = 1.0,
    stem: int = 32,
    act: str = "Relu",
    most_stride: int = 64,
) -> list[tuple[str, str]]:
    """The map inside, after expansion, and the result of the stem and of each block.

    Windows are dilated instead of moved in strides where a map would be smaller than 1 / `most_stride` of the image.
    """
    x = normed(g, x, divisible(stem * width), 3, 2, act=act)
    maps, reached, dilation = [(x, x)], 2, 1
    for place, row in enumerate(stages):
        stage = Stage(**{"act": act, **row})
        filters, count = divisible(stage.filters * width), np.ceil(stage.repeats * depth)
        g.scope(f"stage_{place}")
        for number in range(int(np.max(count))):
            stride = stage.stride if number == 0 else 1
            if stride > 1 and reached >= most_stride:
                stride, dilation = 1, dilation * stride
            reached *= stride
            with g.repeated(number < count):
                inside, x = block_maps(g, x, stage, filters, stride, width, dilation)
            maps.append((inside, x))
    g.scope("")
    return maps


def block(g: Builder, x: str, stage: Stage, filters: Size, stride: int, width: float = 1.0) -> str:
    """One block: expansion, depth-wise convolution, squeeze and excitation, projection, shortcut where sizes agree."""
    return block_maps(g, x, stage, filters, stride, width)[1]


def block_maps(
    g: Builder, x: str, stage: Stage, filters: Size, stride: int, width: float = 1.0, dilation: int = 1
) -> tuple[str, str]:
    """What a block's depth-wise convolution reads, and the block's result."""
    before = g.channels(x)
    hidden = divisible(before * stage.expand if stage.hidden is None else stage.hidden * width)
    expands = np.asarray(stage.expand != 1 if stage.hidden is None else stage.hidden != before)
    inside = x
    if stage.fused:
        y = normed(g, x, np.where(expands, hidden, filters)[()], stage.kernel, stride, act=stage.act)
    else:
        if expands.any():
            with g.repeated(expands.all() or expands):
                inside = normed(g, x, hidden, act=stage.act)
        y = normed(g, inside, hidden, stage.kernel, stride, hidden, act=stage.act, dilation=dilation)
    if stage.squeeze:
        squeezed = (
            divisible(hidden * stage.squeeze) if stage.squeeze_inside else np.maximum(1, whole(before * stage.squeeze))
        )
        y = squeeze_excitation(g, y, squeezed, stage.inner, stage.gate)
    if not stage.fused or expands.any():
        with g.repeated(not stage.fused or expands.all() or expands):
            y = normed(g, y, filters, act=stage.act if stage.separable else None)
    same = np.asarray(before == filters)
    if stride > 1 or stage.separable or not same.any():
        return inside, y
    with g.repeated(same.all() or same):
        return inside, g.add(y, x)
