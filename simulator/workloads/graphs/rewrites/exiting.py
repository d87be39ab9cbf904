"""Early exits: classifiers on the way, at which a share of inputs leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from simulator.errors import InputError
from simulator.workloads.graphs.graph import Graph, Model, Part
from simulator.workloads.graphs.pieces import cut
from simulator.workloads.graphs.rewrites.editing import Edit, chosen


@dataclass(frozen=True, slots=True)
class EarlyExit:
    """A classifier of `classes` behind each of `exits`, {after, share}: a node's name, and the share of all inputs
    that leaves there; the others go on to the next one or to the end (BranchyNet, arXiv:1709.01686).

    Each piece between exits is a part of the model that runs as often as inputs reach it.
    """

    exits: Sequence[Mapping[str, Any]] = ()
    classes: int = 1000

    def over(self, model: Model) -> Model:
        if len(model.parts) != 1 or model.exits:
            raise InputError(f"early-exit: {model.name} is of several parts: give a model of one graph")
        graph = model.parts[0].graph
        rows = sorted((self._place(graph, row), float(row["share"])) for row in self.exits)
        if not rows or sum(share for _, share in rows) > 1.0 or any(share < 0.0 for _, share in rows):
            raise InputError("early-exit: give exits with shares of at least 0 that are at most 1 together")
        pieces = cut(graph, [place + 1 for place, _ in rows])
        reach, parts, leave = 1.0, [], []
        for piece, (place, share) in zip(pieces, rows, strict=False):
            headed = self._headed(piece, graph.nodes[place].outputs[0], graph.outputs)
            parts.append(Part(headed, reach * model.parts[0].times))
            leave.append(share)
            reach -= share
        reach = max(reach, 0.0)
        return replace(model, parts=(*parts, Part(pieces[-1], reach * model.parts[0].times)), exits=(*leave, reach))

    def _place(self, graph: Graph, row: Mapping[str, Any]) -> int:
        if set(row) != {"after", "share"}:
            raise InputError("early-exit: each of exits has the fields after and share")
        if not isinstance(row["share"], int | float):
            raise InputError(f"early-exit: share is {row['share']!r}: give a number")
        (node, *_) = chosen(graph, [str(row["after"])], "early-exit.exits")
        return graph.nodes.index(node)

    def _headed(self, piece: Graph, name: str, outputs: Sequence[str]) -> Graph:
        """A piece with a mean over all places and a product with the classes at its end."""
        edit = Edit(piece)
        for node in piece.nodes:
            edit.keep(node)
        shape = piece.tensors[name].shape
        if len(shape) > 2:
            axes = list(range(2, len(shape))) if len(shape) > 3 else [1]
            name = edit.add(f"{name}.mean", "ReduceMean", [name], axes=axes, keepdims=0)
        width = edit.tensors[name].shape[-1]
        answer = edit.add(f"{name}.exit", "MatMul", [name], weights=[(width, self.classes)])
        return edit.build(outputs=(*piece.outputs, answer))
