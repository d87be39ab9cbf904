"""Quantise products: weights, and inputs too, in formats by layer, with the conversions that the arithmetic needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from simulator.errors import InputError
from simulator.workloads.dtypes import DType, dtype
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.kinds import KINDS
from simulator.workloads.graphs.rewrites.by_layer import by_layer
from simulator.workloads.graphs.rewrites.editing import Edit
from simulator.workloads.graphs.rewrites.folding import Fold

Formats = tuple[DType, DType | None]


@dataclass(frozen=True, slots=True)
class Quantise:
    """Keep weights of products in `weights`, and give them inputs in `activations` (None: as they are).

    `layers` gives others by name or type, as {weights, activations}; the first and last products stay as they are
    unless `ends`. Scales are of the format (a tensor, a channel, a group; see `simulator.workloads.dtypes`). They are
    known beforehand, so that the kernel before writes the narrow numbers, or `dynamic`: a pass over the input finds its
    range first. Results are summed up in `accumulators` and come back to the format that they had. Pointwise readers of
    a narrow tensor rescale it as they read (Jacob et al., arXiv:1712.05877, 2.4; HAWQ-V3, arXiv:2011.10680, 3.2).
    """

    weights: str | None = None
    activations: str | None = None
    layers: Mapping[str, Mapping[str, str]] | None = None
    ends: bool = False
    dynamic: bool = False
    accumulators: str = "int32"

    def __call__(self, graph: Graph) -> Graph:
        usual = _formats({"weights": self.weights, "activations": self.activations}) if self.weights else None
        table = {pattern: _formats(row) for pattern, row in (self.layers or {}).items()}
        if usual is None and not table:
            raise InputError("quantise: give weights, layers or both")
        if any(narrow for _, narrow in (usual or (None, None), *table.values())):
            graph = Fold()(graph)
        wanted = by_layer(graph, usual, table, ends=self.ends, what="quantise.layers")
        return self._rewritten(graph, wanted)

    def _rewritten(self, graph: Graph, wanted: Mapping[str, Formats]) -> Graph:
        edit = Edit(graph)
        narrowed: dict[tuple[str, str], str] = {}
        readers: dict[str, dict[str, DType]] = {}
        for node in graph.nodes:
            if (formats := wanted.get(node.name)) and formats[1] is not None:
                readers.setdefault(node.inputs[0], {})[formats[1].name] = formats[1]
        for name in (n for n in graph.inputs if n in readers):
            self._narrow(edit, name, readers[name], narrowed)
        for node in graph.nodes:
            self._place(edit, node, wanted.get(node.name), narrowed)
            for name in (n for n in node.written if n in readers):
                self._narrow(edit, name, readers[name], narrowed)
        return edit.build()

    def _place(self, edit: Edit, node: Node, formats: Formats | None, narrowed: Mapping[tuple[str, str], str]) -> None:
        """A node of the old graph: a product in its formats, others on narrow tensors where these suit them."""
        if formats is None:
            edit.keep(node, inputs=tuple(_suited(edit, node, name, narrowed) for name in node.inputs))
            return
        stored, narrow = formats
        weight = node.inputs[1]
        edit.tensors[weight] = replace(edit.tensors[weight], dtype=stored)
        if narrow is None:
            edit.keep(node)
            return
        inputs = (narrowed[node.inputs[0], narrow.name], *node.inputs[1:])
        (out,) = node.outputs
        sums = edit.free(f"{out}.sums")
        edit.tensors[sums] = replace(edit.tensors[out], name=sums, dtype=dtype(self.accumulators))
        edit.keep(node, inputs=inputs, outputs=(sums,), epilogue=())
        edit.add(f"{node.name}.dequantise", "DequantizeLinear", [sums], result=out, repeat=node.repeat)
        for part in node.epilogue:
            edit.keep(part)

    def _narrow(
        self, edit: Edit, name: str, formats: Mapping[str, DType], narrowed: dict[tuple[str, str], str]
    ) -> None:
        """Conversions of a tensor, once for each format that some product asks for."""
        for format in formats.values():
            result = edit.free(f"{name}.{format.name}")
            edit.tensors[result] = replace(edit.tensors[name], name=result, dtype=format)
            operands = [name]
            if self.dynamic:
                operands.append(edit.add(f"{result}.range", "ReduceMax", [name], axes=[-1], keepdims=1))
            edit.add(f"{result}.quantise", "QuantizeLinear", operands, result=result)
            narrowed[name, format.name] = result


def _suited(edit: Edit, node: Node, name: str, narrowed: Mapping[tuple[str, str], str]) -> str:
    """The narrow form of an operand for nodes that work number by number, if there is just one."""
    kind = KINDS.get(node.type)
    forms = [narrow for (wide, _), narrow in narrowed.items() if wide == name]
    return forms[0] if kind is not None and kind.pointwise and len(forms) == 1 else name


def _formats(row: Mapping[str, str | None]) -> Formats:
    if unknown := set(row) - {"weights", "activations"}:
        raise InputError(f"quantise.layers: {min(unknown)} is not a field: give weights and activations")
    if row.get("weights") is None:
        raise InputError("quantise.layers: weights are missing: add their format")
    narrow = row.get("activations")
    return dtype(str(row["weights"])), None if narrow is None else dtype(narrow)
