"""Walk through an ONNX graph node by node: what is fixed is folded, all else becomes a node of known shapes."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import InputError
from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.graph import Node
from simulator.workloads.graphs.interchange.control import CONTROL, read_control
from simulator.workloads.graphs.interchange.facts import MOST_NUMBERS, Fact, Scope, constant
from simulator.workloads.graphs.interchange.folding import evaluate, is_fixed, shape_value
from simulator.workloads.graphs.interchange.formats import FLOATS, UNDEFINED, element
from simulator.workloads.graphs.interchange.inference import Dims, by_kind, inferred, merged, stated
from simulator.workloads.graphs.interchange.loading import onnx_package, stored_array
from simulator.workloads.graphs.interchange.operands import attributes_of, lifted, stating, type_of
from simulator.workloads.graphs.kinds import KINDS
from simulator.workloads.graphs.tensor import Tensor
from simulator.workloads.operators import Size

UNSIZED = " of unknown size"


class Reader:
    """Collects the tensors and nodes of one file; `floats` is the format that its floating-point numbers get."""

    def __init__(self, opsets: dict[str, int], folder: Path, sizes: Mapping[str, int], floats: DType | None) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self._opsets, self._folder, self._sizes, self._floats = opsets, folder, sizes, floats
        self._labels: set[str] = set()
        self._repeat: Size = 1
        self._quantised = False

    def graph(self, proto: Any) -> list[Fact]:
        """Read the main graph; gives its outputs."""
        self._quantised = any(n.op_type in ("QuantizeLinear", "DynamicQuantizeLinear") for n in proto.node)
        stored = {w.name for w in proto.initializer}
        bound = {v.name: self._input(v) for v in proto.input if v.name not in stored}
        return self._read(proto, "", bound, {})

    def body(self, proto: Any, label: str, bound: Mapping[str, Fact], scope: Scope) -> list[Fact]:
        """Read a subgraph inside a node; `bound` are its inputs, `scope` what it sees of the graphs around it."""
        given = {name: fact if fact.constant else self._bound(f"{label}/{name}", fact) for name, fact in bound.items()}
        return self._read(proto, f"{label}/", given, scope)

    @contextmanager
    def repeated(self, times: int) -> Iterator[None]:
        """Nodes that are read meanwhile run so many times."""
        before, self._repeat = self._repeat, self._repeat * times
        yield
        self._repeat = before

    def renamed(self, type: str, label: str, facts: Sequence[Fact], shapes: Sequence[tuple[int, ...]]) -> list[Fact]:
        """Results of a node around a subgraph, made of the subgraph's own by one node each."""
        found = []
        for place, (fact, shape) in enumerate(zip(facts, shapes, strict=True)):
            result = self._add(replace(fact, name=f"{label}.{place}", shape=shape, constant=False, value=None))
            self._node(f"{label}.{place}", type, [fact], [result], {"shape": list(shape)} if type == "Expand" else {})
            found.append(result)
        return found

    def _bound(self, name: str, fact: Fact) -> Fact:
        """An input of a subgraph: the tensor around it, a slice of that, or a counter that the loop itself keeps."""
        if fact.name not in self.tensors:
            return self._add(replace(fact, name=name, constant=True))
        if self.tensors[fact.name].shape == fact.shape:
            return fact
        result = self._add(replace(fact, name=name))
        self._node(name, "Slice", [fact], [result], {"shape": list(fact.shape)})
        return result

    def _input(self, value: Any) -> Fact:
        shape, type = stated(value.type)
        if shape is None or None in shape:
            raise InputError(f"input {value.name} has no shape: export the model with shapes")
        return self._add(Fact(value.name, tuple(s or 0 for s in shape), type))

    def _read(self, proto: Any, prefix: str, bound: Mapping[str, Fact], around: Scope) -> list[Fact]:
        scope: ChainMap[str, Fact] = ChainMap(dict(bound), dict(around))
        for weight in proto.initializer:
            scope[weight.name] = self._weight(prefix, weight)
        for weight in proto.sparse_initializer:
            scope[weight.values.name] = self._sparse(prefix, weight)
        hints = {v.name: self._hint(v) for v in (*proto.value_info, *proto.output)}
        for at, node in enumerate(proto.node):
            self._step(node, at, prefix, scope, hints)
        missing = [v.name for v in proto.output if v.name not in scope]
        if missing:
            raise InputError(f"nothing gives the output {missing[0]}")
        return [scope[v.name] for v in proto.output]

    def _step(
        self, node: Any, at: int, prefix: str, scope: ChainMap[str, Fact], hints: Mapping[str, Dims | None]
    ) -> None:
        """Read one node into the scope."""
        label = self._label(prefix + (node.name or f"{node.op_type.lower()}_{at}"))
        absent = [name for name in node.input if name and name not in scope]
        if absent:
            raise InputError(f"node {label} ({node.op_type}) reads {absent[0]}, which nothing before it gives")
        operands = [scope[name] if name else None for name in node.input]
        if node.op_type in CONTROL and not node.domain:
            results = read_control(self, node, label, operands, scope)
        else:
            results = self._results(node, label, prefix, operands, hints)
        scope.update({name: fact for name, fact in zip(node.output, results, strict=False) if name})

    def _results(
        self, node: Any, label: str, prefix: str, operands: list[Fact | None], hints: Mapping[str, Dims | None]
    ) -> list[Fact]:
        given, type = attributes_of(node), type_of(node)
        names = [prefix + name if name else f"{label}.{place}" for place, name in enumerate(node.output)]
        lead = next((fact for fact in operands if fact is not None), None)
        fixed = shape_value(node, given, lead) if lead is not None else None
        if fixed is not None:
            return [self._add(constant(names[0], fixed))]
        if node.op_type == "Constant":
            return [self._add(self._constant(names[0], node))]
        attributes, kept = lifted(type, given, operands)
        shapes, types, sized = self._shapes(node, type, attributes, operands, kept, hints)
        if is_fixed(node, operands):
            return self._folded(node, names, operands, shapes, types)
        facts = [Fact(name, shape, kind) for name, shape, kind in zip(names, shapes, types, strict=False)]
        if all(fact.elements == 0 for fact in facts):
            return [self._add(constant(f.name, np.zeros(f.shape, dtype=np.int64))) for f in facts]
        results = [self._add(fact) for fact in facts]
        attributes, kept = stating(type, attributes, kept, shapes[0])
        self._node(label, type if sized or type not in KINDS else type + UNSIZED, kept, results, attributes)
        return results

    def _shapes(
        self, node: Any, type: str, attributes: dict[str, Any], operands: list[Fact | None], kept: list[Fact | None],
        hints: Mapping[str, Dims | None],
    ) -> tuple[list[tuple[int, ...]], list[int], bool]:  # fmt: skip
        """Shapes and types of all results, and whether all are known; those that are not are guessed."""
        found = inferred(node, operands, self._opsets, {})
        kinds = by_kind(type, attributes, kept) or []
        lead = next((fact for fact in operands if fact is not None), None)
        written = node.output[:1] if node.op_type == "Dropout" else node.output  # what it has dropped, no one asks for
        shapes, types, sized = [], [], True
        for place, name in enumerate(written):
            dims, kind = found.get(name, (None, UNDEFINED)) if name else (None, UNDEFINED)
            dims = merged(dims, kinds[place] if place < len(kinds) else None)
            dims = merged(dims, hints.get(name))
            if dims is None or None in dims:
                sized = sized and not name
                dims = merged(dims, lead.shape if lead is not None else ())
            assert dims is not None
            shape = tuple(1 if size is None else size for size in dims)
            if any(size < 0 for size in shape):
                raise InputError(f"node {node.name} ({node.op_type}) would give {shape}: its input is too small for it")
            shapes.append(shape)
            types.append(kind or (lead.type if lead is not None else 1))
        return shapes, types, sized

    def _folded(
        self, node: Any, names: list[str], operands: list[Fact | None], shapes: list[tuple[int, ...]], types: list[int]
    ) -> list[Fact]:
        """Results of a node that gives the same in each run: they are weights."""
        source = operands[0] if operands else None
        if node.op_type == "DequantizeLinear" and source is not None:
            stored = self._dequantised(source, operands[1])
            return [self._add(Fact(names[0], shapes[0], types[0], True, None, stored))]
        count = int(np.prod(shapes[0], dtype=np.int64))
        values = evaluate(node, operands, self._opsets, count)
        if values is not None:
            return [self._add(constant(name, value)) for name, value in zip(names, values, strict=True)]
        kept = source.stored if source is not None and source.elements == count else None
        return [self._add(Fact(n, s, t, True, None, kept)) for n, s, t in zip(names, shapes, types, strict=True)]

    def _dequantised(self, source: Fact, scale: Fact | None) -> DType:
        """How quantised weights are kept. With quantised activations they meet in integer units, else in floats."""
        assert scale is not None
        kind = element(source.type)
        group = max(source.elements // max(scale.elements, 1), 1)
        compute = kind.compute if self._quantised else element(scale.type).compute
        return replace(kind, compute=compute, scale_bits=element(scale.type).bits, group=group, source="ONNX file")

    def _constant(self, name: str, node: Any) -> Fact:
        (attribute,) = node.attribute
        if attribute.type == attribute.TENSOR:
            return replace(self._stored(name, attribute.t), name=name)
        if attribute.type == attribute.SPARSE_TENSOR:
            return Fact(name, tuple(attribute.sparse_tensor.dims), attribute.sparse_tensor.values.data_type, True)
        value = np.asarray(onnx_package().helper.get_attribute_value(attribute))
        kinds = {attribute.FLOAT: np.float32, attribute.FLOATS: np.float32}
        return constant(name, value.astype(kinds.get(attribute.type, np.int64)) if value.dtype.kind in "if" else value)

    def _weight(self, prefix: str, weight: Any) -> Fact:
        return self._add(self._stored(prefix + weight.name, weight))

    def _stored(self, name: str, tensor: Any) -> Fact:
        fact = Fact(name, tuple(tensor.dims), tensor.data_type, True)
        if fact.elements > MOST_NUMBERS:
            return fact
        return replace(fact, value=stored_array(tensor, self._folder))

    def _sparse(self, prefix: str, weight: Any) -> Fact:
        fact = Fact(prefix + weight.values.name, tuple(weight.dims), weight.values.data_type, True)
        share = int(np.prod(weight.values.dims)) / max(fact.elements, 1)
        self.tensors[fact.name] = replace(self._add_tensor(fact), density=share, pattern="unstructured")
        return fact

    def _hint(self, value: Any) -> Dims | None:
        """The shape that the file states, open dimensions by their sizes."""
        shape, _ = stated(value.type)
        if shape is None:
            return None
        named = [d.dim_param for d in value.type.tensor_type.shape.dim]
        return tuple(
            self._sizes.get(name) if size is None or size < 0 else size
            for size, name in zip(shape, named or [""] * len(shape), strict=True)
        )

    def _add(self, fact: Fact) -> Fact:
        self.tensors[fact.name] = self._add_tensor(fact)
        return fact

    def _add_tensor(self, fact: Fact) -> Tensor:
        tensor = fact.tensor()
        if self._floats is None or fact.type not in FLOATS or fact.stored is not None:
            return tensor
        return replace(tensor, dtype=self._floats)

    def _node(
        self,
        label: str,
        type: str,
        operands: Sequence[Fact | None],
        results: Sequence[Fact],
        attributes: Mapping[str, Any],
    ) -> None:
        names = tuple(fact.name if fact is not None else "" for fact in operands)
        self.nodes.append(Node(label, type, names, tuple(f.name for f in results), attributes, self._repeat))

    def _label(self, wanted: str) -> str:
        label, number = wanted, 1
        while label in self._labels:
            label, number = f"{wanted}_{number}", number + 1
        self._labels.add(label)
        return label
