"""The networks of MLPerf Tiny (Banbury et al., arXiv:2106.07597, section 4.2), as its scripts build them."""

from simulator.workloads.dtypes import dtype
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.catalogue import graph_model
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.rewrites import Fuse


def _normed(g: Builder, x: str, filters: int, kernel, stride: int = 1, groups: int = 1) -> str:
    return g.batch_norm(g.conv(x, filters, kernel, stride, groups))


def image_classification() -> Graph:
    """ResNet-8 for 32 x 32 images."""
    g = Builder("image-classification", "int8")
    x = g.act(_normed(g, g.input(1, 3, 32, 32), 16, 3))
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        y = _normed(g, g.act(_normed(g, x, filters, 3, stride)), filters, 3)
        x = g.act(g.add(y, _normed(g, x, filters, 1, stride) if stride > 1 else x))
    return g.build(g.linear(g.global_pool(x), 10))


def keyword_spotting() -> Graph:
    """DS-CNN for 49 x 10 spectrograms."""
    g = Builder("keyword-spotting", "int8")
    x = g.act(_normed(g, g.input(1, 1, 49, 10), 64, (10, 4), 2))
    for _ in range(4):
        x = g.act(_normed(g, g.act(_normed(g, x, 64, 3, 1, 64)), 64, 1))
    return g.build(g.linear(g.global_pool(x), 12))


def anomaly_detection() -> Graph:
    """An auto-encoder of dense layers."""
    g = Builder("anomaly-detection", "int8")
    x = g.input(1, 640)
    for width in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = g.act(g.linear(x, width))
    return g.build(g.linear(x, 640))


def visual_wake_words() -> Graph:
    """MobileNet v1 0.25 for 96 x 96 images."""
    options = {"width": 0.25, "resolution": 96, "classes": 2}
    return graph_model("mobilenet-v1", 1, dtype("int8"), **options).parts[0].graph


TINY = {
    made.__name__: Fuse()(made())
    for made in (anomaly_detection, image_classification, keyword_spotting, visual_wake_words)
}
