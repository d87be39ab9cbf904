"""Transposes that only change strides: the kernels around them read and write numbers in any order."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulator.workloads.graphs.graph import Graph, Node

# Between images as (batch, channels, height, width) and with channels last.
LAST = ((0, 2, 3, 1), (0, 3, 1, 2))
VIEWS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


@dataclass(frozen=True, slots=True)
class Strides:
    """Leave out copies that a framework with strided tensors does not make.

    Heads of attention are strided views of tokens, on the way in and on the way out. Images lie in memory with their
    channels last where `channels_last` says so, so that taking them as tokens moves nothing.
    """

    channels_last: bool = True

    def __call__(self, graph: Graph) -> Graph:
        return graph.with_nodes(self._viewed(graph, node) if node.type == "Transpose" else node for node in graph.nodes)

    def _viewed(self, graph: Graph, node: Node) -> Node:
        if not (self._of_heads(graph, node) or (self.channels_last and _of_channels(graph, node))):
            return node
        (out,) = node.outputs
        return replace(node, type="Reshape", attributes={"shape": list(graph.tensors[out].shape)})

    def _of_heads(self, graph: Graph, node: Node) -> bool:
        before = graph.producer.get(node.inputs[0])
        readers = graph.consumers.get(node.outputs[0], ())
        return (before is not None and before.type == "Attention") or (
            bool(readers) and all(reader.type == "Attention" for reader in readers)
        )


def _of_channels(graph: Graph, node: Node) -> bool:
    """Whether it moves the channels of an image behind its positions, or back; positions may be one dimension."""
    order = tuple(node.attributes.get("perm") or ())
    if order in LAST:
        return True
    before = graph.producer.get(node.inputs[0])
    if order != (0, 2, 1):
        return False
    flat = before is not None and before.type in VIEWS and len(graph.tensors[before.inputs[0]].shape) == 4
    back = [r for r in graph.consumers.get(node.outputs[0], ()) if r.type in VIEWS]
    return flat or any(len(graph.tensors[r.outputs[0]].shape) == 4 for r in back)
