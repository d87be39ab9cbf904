"""Low-rank decomposition: products and convolutions as chains of thinner ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.errors import InputError, unknown_name
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.rewrites.by_layer import by_layer
from simulator.workloads.graphs.rewrites.editing import Edit
from simulator.workloads.graphs.tensor import Tensor
from simulator.workloads.operators import Size

METHODS = ("svd", "spatial", "tucker", "cp")


@dataclass(frozen=True, slots=True)
class Factorise:
    """Replace matrices and filters by factors of a rank: `rank` in numbers, or `share` of the smaller side.

    Matrices become two. Filters of k x k windows become, by `method`: "svd" k x k to the rank, then 1 x 1 (TRP,
    arXiv:1910.02220, channel-wise); "spatial" k x 1 to the rank, then 1 x k; "tucker" 1 x 1, k x k and 1 x 1 between
    ranks (arXiv:1511.06530); "cp" 1 x 1, k x 1 and 1 x k on each channel alone, 1 x 1 (arXiv:1412.6553). `layers` gives
    other shares by name or type. Grouped convolutions stay.
    """

    rank: int | None = None
    share: float | None = None
    method: str = "svd"
    layers: Mapping[str, float] | None = None
    ends: bool = False

    def __call__(self, graph: Graph) -> Graph:
        if self.method not in METHODS:
            raise unknown_name("method of factorise", self.method, METHODS)
        if (self.rank is None) == (self.share is None) and not (self.layers and self.rank is None):
            raise InputError("factorise: give one of rank and share, or layers")
        usual = float(self.rank) if self.rank is not None else self.share
        found = by_layer(graph, usual, self.layers, ends=self.ends, what="factorise.layers")
        edit = Edit(graph)
        for node in graph.nodes:
            weight = found.get(node.name)
            if weight is None or node.epilogue or not self._factorise(edit, node, weight):
                edit.keep(node)
        return edit.build()

    def _rank(self, side: Size, wanted: float) -> Size:
        if self.rank is not None and wanted == self.rank:
            return np.minimum(self.rank, side) if isinstance(side, np.ndarray) else min(self.rank, int(side))
        rank = np.maximum(np.round(np.asarray(side) * wanted), 1)
        return rank if rank.ndim else int(rank)

    def _factorise(self, edit: Edit, node: Node, wanted: float) -> bool:
        weight = edit.tensors[node.inputs[1]]
        if node.type == "MatMul":
            rows, columns = weight.shape
            rank = self._rank(np.minimum(rows, columns), wanted)
            thin = edit.add(f"{node.name}.down", "MatMul", [node.inputs[0]], weights=[(rows, rank)], repeat=node.repeat)
            self._last(edit, node, "MatMul", thin, (rank, columns), {})
            return True
        if node.type != "Conv" or not np.array_equal(node.attributes.get("group", 1), 1) or len(weight.shape) != 4:
            return False
        self._convolution(edit, node, weight, wanted)
        return True

    def _convolution(self, edit: Edit, node: Node, weight: Tensor, wanted: float) -> None:
        filters, channels, high, wide = weight.shape
        rank = self._rank(np.minimum(filters, channels), wanted)
        given = node.attributes
        strides, dilations = given.get("strides") or [1, 1], given.get("dilations") or [1, 1]
        pads = given.get("pads") or [0] * 4

        def window(rows: Size, columns: Size, **more: Any) -> dict[str, Any]:
            """Attributes of a factor that takes over the window's rows, columns or both."""
            axes = [not np.array_equal(rows, 1) or rows is high, not np.array_equal(columns, 1) or columns is wide]
            return {
                "strides": [s if on else 1 for s, on in zip(strides, axes, strict=True)],
                "dilations": [d if on else 1 for d, on in zip(dilations, axes, strict=True)],
                "pads": [p if axes[i % 2] else 0 for i, p in enumerate(pads)],
                "group": 1,
                **more,
            }

        def factor(name: str, x: str, out: Size, into: Size, rows: Size, columns: Size, **more: Any) -> str:
            at = window(rows, columns, **more)
            return edit.add(
                f"{node.name}.{name}", "Conv", [x], weights=[(out, into, rows, columns)], repeat=node.repeat, **at
            )

        flat: dict[str, Any] = {"strides": [1, 1], "dilations": [1, 1], "pads": [0] * 4, "group": 1}
        x = node.inputs[0]
        if self.method == "svd":
            x = factor("window", x, rank, channels, high, wide)
            self._last(edit, node, "Conv", x, (filters, rank, 1, 1), flat)
        elif self.method == "spatial":
            x = factor("rows", x, rank, channels, high, 1)
            self._last(edit, node, "Conv", x, (filters, rank, 1, wide), window(1, wide))
        elif self.method == "tucker":
            inner, outer = self._rank(channels, wanted), self._rank(filters, wanted)
            x = edit.add(
                f"{node.name}.into", "Conv", [x], weights=[(inner, channels, 1, 1)], repeat=node.repeat, **flat
            )
            x = factor("core", x, outer, inner, high, wide)
            self._last(edit, node, "Conv", x, (filters, outer, 1, 1), flat)
        else:
            x = edit.add(f"{node.name}.into", "Conv", [x], weights=[(rank, channels, 1, 1)], repeat=node.repeat, **flat)
            x = factor("rows", x, rank, 1, high, 1, group=rank)
            x = factor("columns", x, rank, 1, 1, wide, group=rank)
            self._last(edit, node, "Conv", x, (filters, rank, 1, 1), flat)

    @staticmethod
    def _last(edit: Edit, node: Node, type: str, x: str, shape: tuple[Size, ...], attributes: dict[str, Any]) -> None:
        """The last factor, which keeps the node's name, its result and its term."""
        weight = edit.weight(edit.free(f"{node.name}.last"), shape, edit.tensors[node.inputs[1]].dtype)
        edit.keep(node, type=type, inputs=(x, weight, *node.inputs[2:]), attributes=attributes)
