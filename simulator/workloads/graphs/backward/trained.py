"""Which weights of a graph are trained, and how much of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np

from simulator.errors import InputError
from simulator.workloads.graphs.backward.segments import is_product
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.kinds.recurrent import RECURRENT

Scheme = Literal["all", "last", "biases", "sparse"]


@dataclass(frozen=True, slots=True)
class Trained:
    """Trains "all" weights, those of the "last" `layers` products and behind, or "biases" of these (None: of all).

    A bias is what is added: the term of a product, of a sum or of a norm (Cai et al., TinyTL, arXiv:2007.11622, section
    3.1). "sparse" trains besides the shares that `weights` gives of the input channels of nodes by the pattern of their
    names (Lin et al., arXiv:2206.15472, section 3.2). The last product, the classifier, is trained in any case.
    """

    scheme: Scheme = "all"
    layers: int | None = None
    weights: Mapping[str, float] = field(default_factory=dict)

    def __call__(self, graph: Graph) -> dict[str, float]:
        """The share of each weight that is trained, by its name. Raises `InputError` for patterns of nothing."""
        weighted = [n for n in graph.nodes if _weights(graph, n)]
        products = [at for at, n in enumerate(weighted) if is_product(n)]
        if not weighted or self.scheme == "all":
            return {name: 1.0 for node in weighted for name in _weights(graph, node)}
        count = 1 if self.layers is None and self.scheme == "last" else self.layers
        begin = products[-min(count, len(products))] if count and products else 0
        found: dict[str, float] = {}
        if self.scheme == "last":
            return {name: 1.0 for node in weighted[begin:] for name in _weights(graph, node)}
        for node in weighted[begin:]:
            found.update(dict.fromkeys(biases(graph, node), 1.0))
        if self.scheme == "sparse":
            found.update(self._shares(graph, weighted))
        head = weighted[products[-1] :] if products else ()
        return found | {name: 1.0 for node in head for name in _weights(graph, node)}

    def _shares(self, graph: Graph, weighted: Sequence[Node]) -> dict[str, float]:
        found: dict[str, float] = {}
        for pattern, share in self.weights.items():
            if not 0.0 < share <= 1.0:
                raise InputError(f"weights: {pattern} is a share of channels above 0 and at most 1, not {share}")
            nodes = [n for n in weighted if fnmatchcase(n.name, pattern)]
            if not nodes:
                shown = ", ".join(n.name for n in weighted[-3:])
                raise InputError(f"weights: no node with weights is named {pattern!r} (there are {shown}, for example)")
            for node in nodes:
                found.update(dict.fromkeys(_weights(graph, node), share))
                found.update(dict.fromkeys(biases(graph, node), 1.0))
        return found


def biases(graph: Graph, node: Node) -> list[str]:
    """Weights of a node that are added to what it computes."""
    own = _weights(graph, node)
    if node.type in ("Add", "Sum", "Sub"):
        return own
    if node.type in RECURRENT:
        return [name for name in own if name in node.inputs[3:4]]
    flat = [name for name in own if len(graph.tensors[name].shape) == 1]
    # a norm's factor comes before its term; a product's only vector is its term
    return flat if is_product(node) else flat[1:]


def trained_elements(graph: Graph, trained: Mapping[str, float]) -> float:
    """Numbers that are trained."""
    return float(sum(np.asarray(graph.tensors[name].elements) * share for name, share in trained.items()))


def _weights(graph: Graph, node: Node) -> list[str]:
    return [name for name in node.inputs if name and graph.tensors[name].weight]
