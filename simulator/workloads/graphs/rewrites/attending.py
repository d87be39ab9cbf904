"""Attention in one kernel, and attention that looks at a part of all pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.errors import InputError, unknown_name
from simulator.workloads.dtypes import dtype
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.rewrites.editing import chosen

SPLITS = ("heads", "keys", "even")
ATTENTION = ("Attention", "GroupQueryAttention")


@dataclass(frozen=True, slots=True)
class FuseAttention:
    """Run attention as one kernel that keeps the scores on the chip (FlashAttention, arXiv:2205.14135)."""

    def __call__(self, graph: Graph) -> Graph:
        return graph.with_nodes(
            replace(node, attributes={**node.attributes, "fused": True}) if node.type == "Attention" else node
            for node in graph.nodes
        )


@dataclass(frozen=True, slots=True)
class SplitAttention:
    """Run attention over a cache as one kernel, dealt to a device's units by `split`.

    "heads": a unit takes a whole head of a sequence (FlashAttention-2); "keys": heads are cut into equal parts where
    they leave units idle (Flash-Decoding); "even": every unit has the same share of all keys (LeanAttention).
    """

    split: str = "keys"

    def __call__(self, graph: Graph) -> Graph:
        if self.split not in SPLITS:
            raise unknown_name("split of split-attention", self.split, SPLITS)
        if not any(node.type == "GroupQueryAttention" for node in graph.nodes):
            raise InputError("split-attention: no node attends over a cache: give a model of family decoder")
        return graph.with_nodes(
            replace(node, attributes={**node.attributes, "split": self.split})
            if node.type == "GroupQueryAttention" else node
            for node in graph.nodes
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ConvertCache:
    """Keep cached keys and values in this format; kernels of attention convert them as they read."""

    format: str

    def __call__(self, graph: Graph) -> Graph:
        cached = [name for node in graph.nodes if node.type == "GroupQueryAttention" for name in node.inputs[3:5]]
        if not cached:
            raise InputError("convert-cache: no node reads a cache: give a model of family decoder and a context")
        return graph.with_tensors(replace(graph.tensors[name], dtype=dtype(self.format)) for name in cached)


@dataclass(frozen=True, slots=True)
class SparseAttention:
    """Look at the share `share` of the blocks of pairs in attention over at least `least` tokens, none of them partly.

    Sliding tiles keep whole blocks around each query (arXiv:2502.04507), AdaSpa those with the highest scores
    (arXiv:2502.21079); over a cache only the blocks looked at are read. `layers` names the nodes that do so; without it
    all attention of tokens to themselves does.
    """

    share: float = 1.0
    layers: Sequence[str] | None = None
    least: int = 0

    def __call__(self, graph: Graph) -> Graph:
        if not 0.0 < self.share <= 1.0:
            raise InputError(f"sparse-attention: share is {self.share}: give one above 0 and at most 1")
        usual = [kind for kind in ATTENTION if any(n.type == kind for n in graph.nodes)] or ATTENTION[:1]
        found = chosen(graph, self.layers or usual, "sparse-attention.layers")
        wanted = {n.name for n in found if n.type in ATTENTION}
        return graph.with_nodes(self._thinned(graph, n) if n.name in wanted else n for n in graph.nodes)

    def _thinned(self, graph: Graph, node: Node) -> Node:
        query, key = (graph.tensors[name].shape[-2] for name in node.inputs[:2])
        cached = graph.tensors[node.inputs[3]].shape[-2] if node.type == ATTENTION[1] and len(node.inputs) > 3 else 0
        if not np.array_equal(query, key) or bool(np.any(np.asarray(key + cached) < self.least)):
            return node
        share = node.attributes.get("share", 1.0) * self.share
        return replace(node, attributes={**node.attributes, "share": share})
