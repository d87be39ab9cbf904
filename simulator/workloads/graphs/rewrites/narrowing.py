"""Channel pruning: filters of convolutions and rows of products go, and all that goes with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from simulator.errors import InputError
from simulator.workloads.graphs.backward.segments import require_forward
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.rewrites.channels import Channels, channel_axis
from simulator.workloads.graphs.rewrites.editing import Edit, chosen, weighted
from simulator.workloads.graphs.tensor import Shape
from simulator.workloads.operators import Size


@dataclass(frozen=True, slots=True)
class PruneChannels:
    """Keep the share `keep` of channels, rounded to multiples of `multiple` (at least one of them).

    `layers` gives other shares by pattern of the name or type of the products that make the channels; of several in a
    group that goes together the largest counts. Inputs and outputs of the graph keep theirs. Slimmable networks run
    such sub-networks of one set of weights (arXiv:1812.08928); AMC (arXiv:1802.03494) searches the shares.
    """

    keep: float | None = None
    layers: Mapping[str, float] | None = None
    multiple: int = 8

    def __call__(self, graph: Graph) -> Graph:
        if self.keep is None and not self.layers:
            raise InputError("prune-channels: give keep, layers or both")
        for share in (*(self.layers or {}).values(), *([self.keep] if self.keep is not None else [])):
            if not 0.0 < share <= 1.0:
                raise InputError(f"prune-channels: keep is {share}: give a share above 0 and at most 1")
        for pattern in self.layers or {}:
            chosen(graph, [pattern], "prune-channels.layers")
        require_forward(graph)
        channels = Channels(graph)
        sizes = dict(enumerate(channels.sizes))
        for group in channels.groups():
            sizes[group] = self._kept(channels.sizes[group], self._share(channels.made_by(group)))
        return _narrowed(graph, channels, sizes)

    def _share(self, makers: list[Node]) -> float:
        usual = 1.0 if self.keep is None else self.keep
        shares = [self._of(node, usual) for node in makers]
        return max(shares, default=1.0)

    def _of(self, node: Node, usual: float) -> float:
        for pattern, share in (self.layers or {}).items():
            if fnmatchcase(node.name, pattern) or fnmatchcase(node.type, pattern):
                usual = share
        return usual

    def _kept(self, size: Size, share: float) -> Size:
        rounded = np.maximum(np.round(np.asarray(size) * share / self.multiple), 1) * self.multiple
        kept = np.minimum(rounded, size)
        return int(kept) if kept.ndim == 0 else kept


def _narrowed(graph: Graph, channels: Channels, sizes: Mapping[int, Size]) -> Graph:
    """The graph with groups of these sizes: weights first, then all shapes that follow."""
    edit = Edit(graph)

    def width(name: str) -> Size:
        return sum(sizes[group] * copies for group, copies in channels.of(name))

    for node in graph.nodes:
        attributes = node.attributes
        for part in node.parts:
            inputs = [n for n in part.inputs if n and graph.tensors[n].weight]
            out = width(part.outputs[0]) if part.outputs else 1
            if weighted(graph, part) is not None:
                before = width(part.inputs[0])
                groups = part.attributes.get("group", 1)
                _resize(edit, inputs[0], _product_shape(graph, part, before, out))
                if part.type == "Conv" and not np.array_equal(groups, 1) and part.name == node.name:
                    whole = np.array_equal(groups, graph.tensors[part.inputs[0]].shape[1])
                    attributes = {**attributes, "group": out} if whole else attributes
                inputs = inputs[1:]
            was = graph.tensors[part.outputs[0]].shape
            for name in inputs:
                shape = graph.tensors[name].shape
                channels_are = was[channel_axis(was)] if len(was) > 1 else -1
                _resize(edit, name, tuple(out if np.array_equal(s, channels_are) else s for s in shape))
        edit.keep(node, attributes=attributes)
    return edit.build()


def _product_shape(graph: Graph, node: Node, before: Size, out: Size) -> Shape:
    """Filters (out, in / groups, ...) of a convolution, (in, out) of a matrix of vectors; others stay."""
    shape = graph.tensors[node.inputs[1]].shape
    if node.type == "Conv":
        alone = np.array_equal(node.attributes.get("group", 1), 1)
        return (out, before, *shape[2:]) if alone else (out, *shape[1:])
    if node.type in ("MatMul", "Gemm") and len(graph.tensors[node.inputs[0]].shape) <= 3:
        return shape if node.attributes.get("transB") else (before, out)
    return shape


def _resize(edit: Edit, name: str, shape: Shape) -> None:
    edit.tensors[name] = replace(edit.tensors[name], shape=shape)
