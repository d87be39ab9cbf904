"""Residual networks of bottleneck blocks for images of 1,000 classes (He et al., arXiv:1512.03385, table 1)."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.workloads.operators import Convolution, Elementwise, Gemm
from simulator.workloads.training.layer_graph import GraphLayer, LayerGraph, Node

CLASSES = 1000
# Bottleneck blocks of the four groups, whose inner widths are 64, 128, 256 and 512.
GROUPS = {"resnet-50": (3, 4, 6, 3), "resnet-101": (3, 4, 23, 3), "resnet-152": (3, 8, 36, 3)}


def resnet(name: str, image: int = 224) -> LayerGraph:
    """A residual network by name; groups halve the image in the 3x3 convolution of their first block, as PyTorch's do.

    Stem, blocks and head are a layer each, so that a pipeline cuts between blocks.
    """
    size = image // 4
    stem = (
        *_convolution("stem", 3, 64, image, 7, 2),
        Node("max pooling", Elementwise(64 * size * size, 4.0, 1.0, 9.0)),
    )
    layers, channels = [GraphLayer(stem)], 64
    for group, blocks in enumerate(GROUPS[name]):
        for number in range(blocks):
            stride = 2 if group and not number else 1
            layers.append(GraphLayer(tuple(_bottleneck(channels, 64 << group, size, stride))))
            channels, size = 256 << group, size // stride
    head = (
        Node("average pooling", Elementwise(channels * size * size, 1.0, 1.0 / (size * size)), kept=0.0),
        Node("classifier", Gemm(1, CLASSES, channels), parameters=(channels + 1) * CLASSES),
        Node("loss", Elementwise(CLASSES, 3.0, 2.0, 4.0)),
    )
    return LayerGraph(name, (*layers, GraphLayer(head)))


def _bottleneck(channels: int, width: int, size: int, stride: int) -> Iterator[Node]:
    out, small = 4 * width, size // stride
    yield from _convolution("1x1 reduction", channels, width, size, 1, 1)
    yield from _convolution("3x3", width, width, size, 3, stride)
    yield from _convolution("1x1 expansion", width, out, small, 1, 1, activated=False)
    if channels != out or stride > 1:
        yield from _convolution("projection", channels, out, size, 1, stride, activated=False)
    # the sum's result is what the next block keeps as its input
    yield Node("residual sum", Elementwise(out * small * small, 2.0, 1.0, 2.0), kept=0.0)


def _convolution(
    name: str, channels: int, filters: int, size: int, kernel: int, stride: int, *, activated: bool = True
) -> Iterator[Node]:
    """Convolution, batch norm and rectifier; statistics and then normalisation read the convolution's result."""
    elements = filters * (size // stride) ** 2
    yield Node(name, Convolution.square(1, channels, filters, size, size, kernel, stride))
    norm = Elementwise(elements, 2.0, 1.0, 6.0, kernel="norm")
    yield Node(f"{name} batch norm", norm, parameters=2.0 * filters, kept=elements)
    if activated:
        # its result is kept by the convolution behind it
        yield Node(f"{name} rectifier", Elementwise(elements, 1.0, 1.0), kept=0.0)
