"""Adapters beside frozen products: a low-rank path of their own, or multiplied into the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.workloads.dtypes import dtype
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.rewrites.editing import Edit, chosen


@dataclass(frozen=True, slots=True)
class Adapt:
    """Give products of matrices an adapter of a rank (LoRA, arXiv:2106.09685), whose result is added to theirs.

    `merged` ones are part of the weights and cost nothing. `format` is that of the adapter's matrices, single bits for
    instance (1-bit adapters, arXiv:2307.16867); `layers` names the products, all MatMul without it.
    """

    rank: int = 8
    layers: Sequence[str] = ("MatMul",)
    format: str | None = None
    merged: bool = False

    def __call__(self, graph: Graph) -> Graph:
        wanted = {n.name for n in chosen(graph, self.layers, "adapt.layers") if n.type == "MatMul"}
        if self.merged:
            return graph
        edit = Edit(graph)
        kept = None if self.format is None else dtype(self.format)
        for node in graph.nodes:
            weight = edit.tensors[node.inputs[1]] if node.name in wanted else None
            if weight is None or not weight.weight:
                edit.keep(node)
                continue
            rows, columns = weight.shape
            (out,) = node.outputs
            base = edit.free(f"{out}.base")
            edit.tensors[base] = edit.tensors[out]
            edit.keep(node, outputs=(base,), epilogue=())
            x, again = node.inputs[0], node.repeat
            down = edit.add(f"{node.name}.down", "MatMul", [x], weights=[(rows, self.rank)], format=kept, repeat=again)
            up = edit.add(
                f"{node.name}.up", "MatMul", [down], weights=[(self.rank, columns)], format=kept, repeat=again
            )
            edit.add(f"{node.name}.adapted", "Add", [base, up], result=out, repeat=again)
            for part in node.epilogue:
                edit.keep(part)
        return edit.build()
