"""Small branches beside the blocks of a network, which are trained in their place (TinyTL)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import gcd

import numpy as np

from simulator.errors import InputError
from simulator.workloads.graphs.backward.segments import is_product, segments
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.blocks import normed
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.operators import Size

# Names of nodes and weights in the branches begin with this, so that patterns of names find them.
PREFIX = "lite"


@dataclass(frozen=True, slots=True)
class LiteResidual:
    """Add to the result of each block what a branch makes of its input, at a `ratio` times lower resolution.

    A mean over `ratio` x `ratio` positions, a `kernel` x `kernel` convolution in `groups` groups (fewer where channels
    cannot be dealt out so) with batch norm and rectifier, a 1x1 convolution with batch norm, and interpolation to the
    block's size (Cai et al., TinyTL, arXiv:2007.11622, section 3.2, with the sizes of the authors' code). Blocks end
    with a shortcut, or where images get fewer channels again.
    """

    ratio: int = 2
    kernel: int = 5
    groups: int = 2

    def __call__(self, graph: Graph) -> Graph:
        found, tensors, before, added = list[Node](), dict(graph.tensors), "", 0
        for block in _blocks(graph):
            *inner, last = block
            result = last.outputs[0]
            if before and self._fits(graph, before, result):
                branch = self._branch(graph, before, result, f"{PREFIX}_{added}/")
                main = f"{result}@main"
                tensors |= {**branch.tensors, main: replace(graph.tensors[result], name=main)}
                total = Node(f"{PREFIX}_{added}/sum", "Add", (main, branch.outputs[0]), (result,))
                found += [*inner, replace(last, outputs=(main,)), *branch.nodes, total]
                added += 1
            else:
                found += block
            before = result
        if not added:
            raise InputError(f"graph {graph.name} has no blocks between images that a lite residual could go beside")
        return replace(graph, tensors=tensors, nodes=tuple(found))

    def _fits(self, graph: Graph, before: str, result: str) -> bool:
        shapes = [graph.tensors[name].shape for name in (before, result)]
        return all(len(shape) == 4 and float(np.asarray(shape[3])) >= self.ratio for shape in shapes)

    def _branch(self, graph: Graph, before: str, result: str, scope: str) -> Graph:
        """From the block's input to the size of its result."""
        source, wanted = graph.tensors[before], graph.tensors[result]
        g = Builder(graph.name, source.dtype)
        g.input(*source.shape, name=before)
        g.scope(scope.rstrip("/"))
        stride = max(round(float(np.asarray(source.shape[3])) / float(np.asarray(wanted.shape[3]))), 1)
        x = g.average_pool(before, self.ratio, self.ratio)
        x = normed(g, x, source.shape[1], self.kernel, stride, gcd(self.groups, int(source.shape[1])))
        x = normed(g, x, wanted.shape[1], act=None)
        scales = [1, 1, *(float(a / b) for a, b in zip(wanted.shape[2:], g.shape(x)[2:], strict=True))]
        return g.build(g.add_node("Resize", [x], scales=scales, mode="linear"))


def _blocks(graph: Graph) -> Iterator[list[Node]]:
    block: list[Node] = []
    channels: Size = 0
    for segment in segments(graph):
        block += segment
        shape = graph.tensors[segment[-1].outputs[0]].shape
        fewer = len(shape) == 4 and np.all(np.less(shape[1], channels))
        channels = shape[1]
        if fewer or sum(map(is_product, segment)) > 1:
            yield block
            block = []
    if block:
        yield block
