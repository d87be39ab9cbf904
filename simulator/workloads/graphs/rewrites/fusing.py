"""Vertical fusion: operators that work number by number join the kernel whose result they take.

What a runtime joins is its own choice: `into` lists the types whose kernels take others in, `joined` the types that
join them, or for each type of kernel the steps that can follow it, in their order. A node joins where it is the only
reader of the result and its own result has as many numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.kinds import KINDS

PRODUCTS = ("Conv", "ConvTranspose", "MatMul", "Gemm")


@dataclass(frozen=True, slots=True)
class Fuse:
    """Join pointwise nodes to the kernels before them, at most `depth` of them to each.

    `joined` None takes all pointwise types; a mapping such as {"Conv": [["Add"], ["Relu", "Clip"]]} takes, into each
    type that it names, at most one node of each step, a later step never before an earlier one. `chains` also joins
    pointwise nodes to one another. Batch norms with known statistics vanish into the convolution before them where
    `fold` says so: its weights are multiplied beforehand. `views` lets other names of the same numbers join too, so
    that they do not come between two pointwise nodes.
    """

    into: Sequence[str] = PRODUCTS
    joined: Sequence[str] | Mapping[str, Sequence[Sequence[str]]] | None = None
    chains: bool = True
    fold: bool = True
    depth: int = 16
    views: bool = False

    def __call__(self, graph: Graph) -> Graph:
        ended: dict[str, int] = {}
        found: list[Node] = []
        for node in graph.nodes:
            at = self._host(graph, found, ended, node)
            if at is None:
                ended.update({name: len(found) for name in node.written})
                found.append(node)
                continue
            host = found[at]
            if self.fold and node.type == "BatchNormalization" and host.type in PRODUCTS and not host.epilogue:
                found[at] = replace(host, outputs=node.outputs)
            else:
                found[at] = replace(host, epilogue=(*host.epilogue, *node.parts))
            ended.update(dict.fromkeys(node.written, at))
        return graph.with_nodes(_in_order(graph, found))

    def _host(self, graph: Graph, found: list[Node], ended: dict[str, int], node: Node) -> int | None:
        """The kernel that `node` can join: the latest one whose only written result only it reads."""
        kind = KINDS.get(node.type)
        joins = kind is not None and (kind.pointwise or (self.views and kind.view))
        if not joins or not self._wanted(node):
            return None
        hosts = [ended[name] for name in node.inputs if name in ended and self._alone(graph, name, node)]
        for at in sorted(hosts, reverse=True):
            host = found[at]
            lead = KINDS.get(host.type)
            takes = host.type in self.into or (self.chains and lead is not None and lead.pointwise)
            takes = self._next(host, node) if isinstance(self.joined, Mapping) else takes
            if takes and len(host.epilogue) < self.depth and len(host.written) == 1 and host.repeat is node.repeat:
                return at
        return None

    def _wanted(self, node: Node) -> bool:
        return self.joined is None or isinstance(self.joined, Mapping) or node.type in self.joined

    def _next(self, host: Node, node: Node) -> bool:
        """Whether a later step of the kernel's than those already joined does what `node` does."""
        assert isinstance(self.joined, Mapping)
        if self.fold and node.type == "BatchNormalization" and host.type in PRODUCTS:
            return not host.epilogue
        steps = list(self.joined.get(host.type, ()))
        for part in host.epilogue:
            while steps and part.type not in steps.pop(0):
                pass
        return any(node.type in step for step in steps)

    def _alone(self, graph: Graph, name: str, node: Node) -> bool:
        readers = graph.consumers.get(name, ())
        return name not in graph.outputs and len(readers) == 1 and readers[0] is node


def _in_order(graph: Graph, nodes: list[Node]) -> list[Node]:
    """Nodes moved behind those whose results they read: a kernel waits for the operands of all that joined it."""
    written = {name: node for node in nodes for name in node.written}
    done: set[str] = set()
    ordered: list[Node] = []

    def place(node: Node) -> None:
        stack = [node]
        while stack:
            top = stack[-1]
            if top.name in done:
                stack.pop()
                continue
            waits = [written[n] for n in top.read if n in written and written[n].name not in done]
            if waits:
                stack += waits
            else:
                done.add(top.name)
                ordered.append(top)
                stack.pop()

    for node in nodes:
        place(node)
    return ordered
