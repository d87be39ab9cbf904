"""Results written over operands that nobody reads later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.kinds import KINDS
from simulator.workloads.graphs.lifetimes import buffer_names, lifetimes

# What may write over an operand: nothing, pointwise nodes, or depth-wise convolutions too.
InPlace = Literal["none", "pointwise", "depthwise"]


@dataclass(frozen=True, slots=True)
class Buffer:
    """So many bytes that hold something from node `first` to node `last` (both included) of the order."""

    name: str
    bytes: float
    first: int
    last: int


def buffers(graph: Graph, in_place: InPlace = "pointwise") -> list[Buffer]:
    """Buffers in the graph's own order, over which a node may write its result where it is their last reader.

    A buffer then lives on under its first name, until the last reader of the result is through.
    """
    every = [Buffer(life.name, float(np.asarray(life.bytes)), life.first, life.last) for life in lifetimes(graph)]
    if in_place == "none":
        return every
    buffer, alive = buffer_names(graph), {each.name: each for each in every}
    for at, node in enumerate(graph.nodes):
        result = buffer[node.written[0]] if len(node.written) == 1 else None
        if result is None or result not in alive or alive[result].first != at:
            continue
        for name in overwritable(graph, node, in_place):
            held = _holder(buffer, name)
            if held in alive and held != result and alive[held].last == at and _fits(alive[result], alive[held]):
                alive[held] = replace(alive[held], last=alive[result].last)
                del alive[result]
                buffer[result] = held
                break
    return list(alive.values())


def overwritable(graph: Graph, node: Node, in_place: InPlace) -> Iterator[str]:
    """Operands over which a node can write its result number by number, if it is their last reader.

    What joined a kernel can write over what only they read. A depth-wise convolution needs room for one more channel
    (Lin et al., MCUNet, arXiv:2007.10319, section 3.2), which is not counted here.
    """
    if in_place == "none":
        return
    if node.type == "Place" and len(node.inputs) == 2:
        yield node.inputs[0]
        return
    read, once = node.read, [name for part in node.parts for name in part.inputs]
    for number, part in enumerate(node.parts):
        kind = KINDS.get(part.type)
        pointwise = kind is not None and kind.pointwise
        if not pointwise and not (in_place == "depthwise" and is_depthwise(graph, part) and not number):
            continue
        for name in part.inputs:
            alone = number == 0 or once.count(name) == 1
            if name in read and alone and not graph.tensors[name].weight:
                yield name


def is_depthwise(graph: Graph, node: Node) -> bool:
    """Whether a node is a convolution with a filter for each channel."""
    if node.type != "Conv":
        return False
    image, out = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
    groups = node.attributes.get("group", 1)
    return bool(groups > 1 and groups == image.shape[1] == out.shape[1])


def _fits(result: Buffer, held: Buffer) -> bool:
    """Results that are larger, as where the operand is broadcast, need a buffer of their own."""
    return result.bytes <= held.bytes


def _holder(buffer: dict[str, str], name: str) -> str:
    while buffer[name] != name:
        name = buffer[name]
    return name
