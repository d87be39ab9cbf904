"""A narrow place in a model, where few numbers cross from a device to a server (split computing)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simulator.errors import InputError, unknown_name
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.tensor import Tensor


class Bottleneck:
    """Nodes after `after` up to `until` become an encoder of few `channels` and a decoder back to what `until` gave.

    Two 3 x 3 convolutions either side, `hidden` channels between, the encoder's first with `stride`: the form of head
    network distillation (Matsubara et al., arXiv:2007.15818) and BottleFit (arXiv:2201.02693). Cut the result after
    the node "bottleneck/encoder".
    """

    def __init__(self, *, after: str, until: str, channels: int, hidden: int = 64, stride: int = 1) -> None:
        if min(channels, hidden, stride) < 1:
            raise ValueError("channels, hidden and stride are at least 1")
        self._after, self._until = after, until
        self._channels, self._hidden, self._stride = channels, hidden, stride

    def __call__(self, graph: Graph) -> Graph:
        first, last = (_place(graph, name) for name in (self._after, self._until))
        source, target = graph.nodes[first].written[0], graph.nodes[last].written[0]
        before, after = graph.nodes[: first + 1], graph.nodes[last + 1 :]
        inside = {n for node in graph.nodes[first + 1 : last + 1] for n in node.written} - {target}
        for node in after:
            for name in node.read:
                if name in inside:
                    raise InputError(f"bottleneck: {node.name} reads {name} from inside: choose another until")
        inner = self._inner(graph.tensors[source], graph.tensors[target])
        renamed = {target: inner.outputs[0]}
        nodes = (*before, *inner.nodes, *(_reading(node, renamed) for node in after))
        outputs = tuple(renamed.get(name, name) for name in graph.outputs)
        return Graph(graph.name, {**graph.tensors, **inner.tensors}, nodes, graph.inputs, outputs)

    def _inner(self, source: Tensor, target: Tensor) -> Graph:
        if len(source.shape) != 4 or len(target.shape) != 4:
            raise InputError("bottleneck: after and until are no images: choose others")
        g = Builder("bottleneck", source.dtype)
        g.scope("bottleneck")
        x = g.input(*source.shape, name=source.name)
        x = g.act(g.batch_norm(g.conv(x, self._hidden, 3, self._stride)))
        x = g.act(g.batch_norm(g.conv(x, self._channels, 3, name="encoder")))
        x = g.act(g.batch_norm(g.conv(x, self._hidden, 3)))
        up, rest = np.divmod(target.shape[2], g.shape(x)[2])
        if np.any(rest) or np.any(up < 1):
            raise InputError(f"bottleneck: {self._until} is no multiple of what stride {self._stride} leaves")
        if up > 1:
            x = g.upsample(x, int(up))
        return g.build(g.act(g.batch_norm(g.conv(x, target.shape[1], 3))))


def _place(graph: Graph, name: str) -> int:
    names = [node.name for node in graph.nodes]
    if name not in names:
        raise unknown_name(f"node of graph {graph.name}", name, names)
    return names.index(name)


def _reading(node: Node, renamed: dict[str, str]) -> Node:
    return replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs))
