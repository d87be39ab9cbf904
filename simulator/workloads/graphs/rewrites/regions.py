"""Which part of an image a part of a result needs, node by node backwards."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.errors import InputError
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.kinds import KINDS

# From and to (not included) of each of two spatial dimensions.
Region = tuple[tuple[int, int], ...]
WINDOWS = ("Conv", "MaxPool", "AveragePool")


def needed_regions(graph: Graph, nodes: Sequence[Node], result: str, region: Region) -> dict[str, Region]:
    """The region of each activation that this region of `result` needs, by the tensor's name.

    Raises `InputError` for nodes that need more than a neighbourhood.
    """
    found = {result: region}
    for node in reversed(nodes):
        mine = [found[name] for name in node.outputs if name in found]
        for name in node.inputs if mine else ():
            if name and not graph.tensors[name].weight:
                part = _operand(graph, node, name, mine[0])
                found[name] = part if name not in found else _hull(found[name], part)
    return found


def _operand(graph: Graph, node: Node, name: str, region: Region) -> Region:
    kind = KINDS.get(node.type)
    if node.type not in WINDOWS:
        if kind is None or not kind.pointwise:
            raise InputError(f"patches: node {node.name} of type {node.type} needs a whole image: end them before it")
        return region
    attributes, sizes = node.attributes, graph.tensors[name].shape[2:]
    window = attributes.get("kernel_shape") or graph.tensors[node.inputs[1]].shape[2:]
    strides, dilations = attributes.get("strides") or (1, 1), attributes.get("dilations") or (1, 1)
    pads = attributes.get("pads") or (0,) * 4
    found = []
    for i, (low, high) in enumerate(region):
        first = low * strides[i] - pads[i]
        last = (high - 1) * strides[i] - pads[i] + dilations[i] * (int(window[i]) - 1) + 1
        found.append((max(first, 0), min(last, int(sizes[i]))))
    return tuple(found)


def _hull(a: Region, b: Region) -> Region:
    return tuple((min(x[0], y[0]), max(x[1], y[1])) for x, y in zip(a, b, strict=True))
