"""What a policy of parallel steps is, and what those of this package share."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from simulator.errors import InputError
from simulator.workloads.graphs.graph import Graph, Part
from simulator.workloads.graphs.phases import Phase
from simulator.workloads.graphs.rewrites.editing import resized


class ParallelPolicy(Protocol):
    """Deals the steps of a part of a model to devices. Raises `InputError` where they do not fit."""

    def phases(self, part: Part, devices: int) -> list[Phase]: ...


def patch(graph: Graph, count: int, axis: int) -> Graph:
    """The network on one of `count` equal patches of its first input along an axis (2: rows of images, or frames)."""
    name = graph.inputs[0]
    shape = list(graph.tensors[name].shape)
    if len(shape) <= axis or int(shape[axis]) % count:
        raise InputError(
            f"parallel: dimension {axis} of input {name} cannot be cut into {count} patches: choose others"
        )
    shape[axis] = int(shape[axis]) // count
    return resized(graph, {name: tuple(shape)})


def looking_at(graph: Graph, patches: float) -> Graph:
    """Attention of tokens to themselves looks at those of so many patches, of which the graph computes one."""
    return graph.with_nodes(
        replace(node, attributes={**node.attributes, "share": node.attributes.get("share", 1.0) * patches})
        if node.name in self_attention(graph)
        else node
        for node in graph.nodes
    )


def self_attention(graph: Graph) -> dict[str, float]:
    """Attention of tokens to themselves by node, with the bytes of its keys and values."""
    found = {}
    for node in graph.nodes:
        if node.type == "Attention":
            query, key, value = (graph.tensors[name] for name in node.inputs[:3])
            if np.array_equal(query.shape[-2], key.shape[-2]):
                found[node.name] = float(np.asarray(key.bytes + value.bytes)) * float(np.asarray(node.repeat))
    return found


def warm(part: Part, steps: int) -> tuple[float, float]:
    """Steps before devices work on what is a step old, and steps after."""
    first = min(float(steps), part.times)
    return first, part.times - first
