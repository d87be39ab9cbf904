"""Detectors that propose regions and classify each of them: Faster R-CNN on a feature pyramid, as in torchvision.

Ren et al., arXiv:1506.01497; Lin et al., arXiv:1612.03144.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families import resnet
from simulator.workloads.graphs.families.single_shot import lateral_maps
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size

FILTERS = 256
ANCHORS = 3  # shapes at each place of each map


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    backbone: Mapping[str, Any],
    proposals: int = 1000,
    pooled: int = 7,
    hidden: int = 1024,
    resolution: int = 800,
    classes: int = 91,
) -> Graph:
    """The best `proposals` of an image, `pooled` positions wide each, go through two layers of `hidden` units."""
    g = Builder("two-stage", format)
    maps = lateral_maps(g, resnet.features(g, g.input(batch, 3, resolution, resolution), **backbone), FILTERS)
    regions = _proposed(g, [*maps, g.max_pool(maps[-1], 1, 2)], batch, proposals)
    # each region is read from one of the maps; the work is that of its own points
    x = g.add_node("RoiAlign", [maps[0], regions], output_height=pooled, output_width=pooled, sampling_ratio=2)
    x = g.add_node("Flatten", [x], axis=1)
    for _ in range(2):
        x = g.act(g.linear(x, hidden))
    return g.build(g.linear(x, classes), g.linear(x, 4 * classes))


def _proposed(g: Builder, maps: Sequence[str], batch: Size, proposals: int) -> str:
    """Scores and boxes at all places by the same three convolutions; the best boxes that are not much the same."""
    first: list[str] = []
    scores, boxes = [], []
    for x in maps:
        shared = not first
        y = g.conv(x, FILTERS, 3, bias=True) if shared else g.again(first[0], x)
        y_act = g.act(y)
        score = g.conv(y_act, ANCHORS, bias=True) if shared else g.again(first[1], y_act)
        box = g.conv(y_act, 4 * ANCHORS, bias=True) if shared else g.again(first[2], y_act)
        first = first or [y, score, box]
        places = ANCHORS * g.shape(x)[2] * g.shape(x)[3]
        scores.append(g.reshape(score, batch, places))
        boxes.append(g.reshape(box, batch, places, 4))
    best = g.add_node("TopK", [g.concat(scores)], k=proposals)
    found = g.add_node("GatherND", [g.concat(boxes), g.reshape(f"{best}.1", batch, proposals, 1)], batch_dims=1)
    g.add_node("NonMaxSuppression", [found, g.reshape(best, batch, 1, proposals)])
    return g.reshape(found, batch * proposals, 4)
