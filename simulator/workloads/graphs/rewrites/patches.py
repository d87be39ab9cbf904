"""Patch-based inference: the first, large images of a network exist only one patch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from simulator.errors import InputError
from simulator.workloads.graphs.backward.segments import segments
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.rewrites.regions import Region, needed_regions
from simulator.workloads.graphs.tensor import Shape, Tensor


@dataclass(frozen=True, slots=True)
class Patch:
    """Compute the network up to images `size` wide (or less) in `grid` x `grid` patches, one after the other.

    Each patch reads what it needs of the model's image, neighbours' edges included, which several patches compute; its
    result is written to its place (Lin et al., MCUNetV2, arXiv:2110.15352, section 3.1). With `streamed` the image is
    never in memory as a whole: each patch's part comes from where the image is kept.
    """

    grid: int = 4
    size: int = 28
    streamed: bool = False

    def __call__(self, graph: Graph) -> Graph:
        before, result = self._stage(graph)
        after = graph.nodes[len(before) :]
        height, width = (int(s) for s in graph.tensors[result].shape[2:])
        tensors, nodes, placed = dict(graph.tensors), list[Node](), ""
        patches = [(rows, columns) for rows in _pieces(height, self.grid) for columns in _pieces(width, self.grid)]
        for number, region in enumerate(patches):
            nodes += self._patch(graph, before, needed_regions(graph, before, result, region), number, tensors)
            name = result if number == len(patches) - 1 else f"{result}@placed_{number}"
            tensors[name] = replace(graph.tensors[result], name=name)
            inputs = (*((placed,) if placed else ()), f"{result}@{number}")
            nodes.append(Node(f"place_{number}:{result}", "Place", inputs, (name,), {"shapes": [tensors[name].shape]}))
            placed = name
        inputs = () if self.streamed else graph.inputs
        return replace(graph, tensors=tensors, nodes=(*nodes, *after), inputs=inputs)

    def _stage(self, graph: Graph) -> tuple[tuple[Node, ...], str]:
        """Nodes that run by patches and their result: the smallest that alone goes on at the first width in reach."""
        if len(graph.inputs) != 1 or len(graph.tensors[graph.inputs[0]].shape) != 4:
            raise InputError(f"patches: graph {graph.name} does not begin with one image")
        if any(node.epilogue for node in graph.nodes):
            raise InputError(f"patches: kernels of graph {graph.name} are fused: give patch before fuse")
        ends, count = list[tuple[int, str, Tensor]](), 0
        for segment in segments(graph):
            count += len(segment)
            tensor = graph.tensors[segment[-1].outputs[0]]
            if len(tensor.shape) == 4 and 1 < float(np.asarray(tensor.shape[3])) <= self.size:
                ends.append((count, tensor.name, tensor))
        if not ends:
            raise InputError(f"patches: no image of graph {graph.name} is at most {self.size} wide and goes on alone")
        first = [end for end in ends if np.array_equal(end[2].shape[3], ends[0][2].shape[3])]
        at, name, _ = min(first, key=lambda end: (float(np.asarray(end[2].elements)), end[0]))
        return graph.nodes[:at], name

    def _patch(
        self,
        graph: Graph,
        stage: tuple[Node, ...],
        regions: dict[str, Region],
        number: int,
        tensors: dict[str, Tensor],
    ) -> Iterator[Node]:
        """The nodes of one patch, on tensors of their own."""
        for name, part in regions.items():
            known = graph.tensors[name]
            tensors[f"{name}@{number}"] = replace(known, name=f"{name}@{number}", shape=_within(known.shape, part))
        (image,) = graph.inputs
        shape = tensors[f"{image}@{number}"].shape
        whole, kind = (() if self.streamed else (image,)), "Load" if self.streamed else "Slice"
        attributes = {"shapes": [shape], "shape": shape}
        yield Node(f"patch_{number}:{image}", kind, whole, (f"{image}@{number}",), attributes)
        for node in stage:
            if any(name in regions for name in node.outputs):
                inputs = tuple(f"{n}@{number}" if n in regions else n for n in node.inputs)
                outputs = tuple(f"{n}@{number}" for n in node.outputs)
                yield replace(node, name=f"{node.name}@{number}", inputs=inputs, outputs=outputs)


def _pieces(size: int, count: int) -> list[tuple[int, int]]:
    """Nearly equal parts of a dimension."""
    if count > size:
        raise InputError(f"patches: an image {size} wide has no {count} parts: set grid to {size} or less")
    return [(size * i // count, size * (i + 1) // count) for i in range(count)]


def _within(shape: Shape, region: Region) -> Shape:
    return (*shape[:2], *(high - low for low, high in region))
