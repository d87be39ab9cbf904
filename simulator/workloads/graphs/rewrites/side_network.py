"""A narrow network beside a frozen transformer, fed by what its blocks give, through which alone gradients go."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simulator.errors import InputError
from simulator.workloads.graphs.backward.segments import segments
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph, Node

# Names of nodes and weights beside the network begin with this, so that patterns of names find them.
PREFIX = "side"


@dataclass(frozen=True, slots=True)
class SideNetwork:
    """Each block's result, `ratio` times narrower, is added to a side state, which two products and an activation turn
    into the next; in the end the state widens again and is added to what the head reads.

    Every `every`-th block feeds it. Trained alone ("side*"), nothing of the frozen network is differentiated (UniPT,
    arXiv:2308.14316; SHERL, arXiv:2407.07523; both after Sung et al., Ladder Side-Tuning, arXiv:2206.06522, section 3).
    """

    ratio: int = 8
    every: int = 1

    def __post_init__(self) -> None:
        if min(self.ratio, self.every) < 1:
            raise InputError(f"side network: ratio {self.ratio} and every {self.every} are numbers from 1 on")

    def __call__(self, graph: Graph) -> Graph:
        taps = self._taps(graph)
        *fed, last = taps
        side = self._side(graph, fed[self.every - 1 :: self.every] or fed, last)
        main = f"{last}@main"
        nodes: list[Node] = []
        for node in graph.nodes:
            ends = last in node.outputs
            nodes.append(replace(node, outputs=tuple(main if n == last else n for n in node.outputs)) if ends else node)
            if ends:
                nodes += [*side.nodes, Node(f"{PREFIX}/sum", "Add", (main, side.outputs[0]), (last,))]
        tensors = {**side.tensors, **graph.tensors, main: replace(graph.tensors[last], name=main)}
        return replace(graph, tensors=tensors, nodes=tuple(nodes))

    def _taps(self, graph: Graph) -> list[str]:
        """What goes on alone behind blocks, all of the commonest width of sequences."""
        ends = [segment[-1].outputs[0] for segment in segments(graph)]
        sequences = [n for n in ends if len(graph.tensors[n].shape) == 3]
        widths = [int(np.asarray(graph.tensors[n].shape[-1])) for n in sequences]
        usual = max(set(widths), key=widths.count, default=0)
        found = [n for n, width in zip(sequences, widths, strict=True) if width == usual]
        if len(found) < 2:
            raise InputError(f"graph {graph.name} has no blocks of sequences that a side network could go beside")
        behind = graph.nodes.index(graph.producer[found[-1]])
        # the last block's sum may be followed by the head's norm alone, which belongs to no block
        sums = [n.outputs[0] for n in graph.nodes[behind + 1 :] if n.type == "Add" and not _weighted(graph, n)]
        same = [n for n in sums if np.array_equal(graph.tensors[n].elements, graph.tensors[found[-1]].elements)]
        return [*found, *same[-1:]]

    def _side(self, graph: Graph, fed: list[str], last: str) -> Graph:
        g = Builder(graph.name, graph.tensors[last].dtype)
        for name in fed:
            g.input(*graph.tensors[name].shape, name=name)
        g.scope(PREFIX)
        width = int(np.asarray(graph.tensors[last].shape[-1]))
        narrow, state = max(width // self.ratio, 1), ""
        for name in fed:
            x = g.linear(name, narrow)
            x = g.add(x, state) if state else x
            state = g.add(g.linear(g.act(g.linear(x, narrow), "Gelu"), narrow), x)
        return g.build(g.linear(state, width))


def _weighted(graph: Graph, node: Node) -> bool:
    return any(graph.tensors[name].weight for name in node.inputs)
