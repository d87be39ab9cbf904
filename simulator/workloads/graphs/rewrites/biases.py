"""Where libraries add the term of a product: in its own kernel, or in one of its own behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.rewrites.editing import Edit


@dataclass(frozen=True, slots=True)
class JoinBiases:
    """Add a vector of weights in the kernel of the product before it, as cuBLASLt's bias epilogue does."""

    types: Sequence[str] = ("MatMul", "Gemm")

    def __call__(self, graph: Graph) -> Graph:
        found: list[Node] = []
        at: dict[str, int] = {}
        for node in graph.nodes:
            host = at.get(node.inputs[0]) if node.type == "Add" and _vector(graph, node) else None
            if host is None or len(graph.consumers[node.inputs[0]]) > 1 or node.inputs[0] in graph.outputs:
                if node.type in self.types and not node.epilogue:
                    at[node.outputs[0]] = len(found)
                found.append(node)
            else:
                found[host] = replace(found[host], epilogue=(node,))
        return graph.with_nodes(found)


@dataclass(frozen=True, slots=True)
class SplitBiases:
    """Add the term of a convolution by a kernel of its own: cuDNN's convolutions of PyTorch take none along."""

    types: Sequence[str] = ("Conv", "ConvTranspose")

    def __call__(self, graph: Graph) -> Graph:
        edit = Edit(graph)
        for node in graph.nodes:
            if node.type not in self.types or len(node.inputs) < 3 or not node.inputs[2] or node.epilogue:
                edit.keep(node)
                continue
            (out,) = node.outputs
            product = edit.free(f"{out}.product")
            edit.tensors[product] = replace(edit.tensors[out], name=product)
            edit.keep(node, inputs=node.inputs[:2], outputs=(product,))
            term = replace(node, name=edit.free(f"{node.name}.bias"), type="Add", attributes={})
            edit.keep(term, inputs=(product, node.inputs[2]), outputs=(out,))
        return edit.build()


def _vector(graph: Graph, node: Node) -> bool:
    """Whether the second operand is one weight for each column."""
    term = graph.tensors[node.inputs[1]]
    return term.weight and len(term.shape) == 1
