"""Read PyTorch modules as operator graphs, through the program that `torch.export` traces.

Of an ExportedProgram (PyTorch documentation, torch.export) the nodes of its graph are read: their `op`, `target` and
`args`, and the fake tensors in `meta["val"]`, which state every shape. Numbers of weights are not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from simulator.errors import InputError
from simulator.workloads.dtypes import dtype
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.interchange.aten import GATED, LINEAR, RECURRENT, RULES, TRANSPOSED, VIEWS, Mapped
from simulator.workloads.graphs.interchange.formats import ELEMENTS
from simulator.workloads.graphs.tensor import Tensor

_WHOLE = {known.name: known for known in ELEMENTS.values()}
_PIECES = ("split", "split_with_sizes", "chunk", "unbind")


def read_module(module: Any, example: Sequence[Any], name: str = "module") -> Graph:
    """The graph of a PyTorch module for inputs like `example`. Raises `InputError` where torch is not installed."""
    try:
        import torch
    except ImportError:
        raise InputError("PyTorch modules need the package torch: pip install 'simulator[torch]'") from None
    return read_exported(torch.export.export(module.eval(), tuple(example)), name)


def read_exported(program: Any, name: str = "program") -> Graph:
    """The graph of an ExportedProgram. Dimensions of `dynamic_shapes` have the sizes of the example it was traced for.

    Raises `InputError` for sizes that depend on the data.
    """
    return _Reader(program).graph(name)


class _Reader:
    """Walks through the nodes of one program."""

    def __init__(self, program: Any) -> None:
        self.program = program
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self._called: dict[str, str] = {}
        self._shared: set[str] = set()
        self._views: dict[str, str] = {}

    def graph(self, name: str) -> Graph:
        signature = self.program.graph_signature
        held = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        traced = list(self.program.graph.nodes)
        products = _only_products(traced)
        self._shared = _read_often(traced)
        inputs = []
        for node in traced:
            if node.op == "placeholder" and (value := node.meta.get("val")) is not None:
                weight = node.name in held
                shape = _shape(node, value)
                self._add(node.name, shape[::-1] if node.name in products else shape, value, weight=weight)
                if not weight:
                    inputs.append(node.name)
            elif node.op == "call_function":
                self._call(node, products)
        outputs = [self._name(n) for n in _flat(traced[-1].args)]
        return Graph(name, self.tensors, tuple(self.nodes), tuple(inputs), tuple(n for n in outputs if n))

    def _call(self, node: Any, products: set[str]) -> None:
        called = _function(node.target)
        value = node.meta.get("val")
        if called == "getitem":
            self._piece(node)
        elif called in _PIECES or value is None or not _is_tensor(_first(value)):
            self._called[node.name] = called
        elif called == LINEAR:
            self._linear(node, products)
        elif called == GATED:
            self._gated(node)
        elif called in RECURRENT:
            self._recurrent(node, RECURRENT[called])
        else:
            rule = RULES.get(called)
            known = rule(node.args) if rule is not None else Mapped(f"aten.{called}", list(_flat(node.args)))
            self._emit(node, called, known)

    def _piece(self, node: Any) -> None:
        """One of several results: a view of what was split, or the result of that place."""
        source, place = node.args
        if self._called.get(source.name) in _PIECES:
            self._emit(node, "view", Mapped("Reshape", source.args[:1], shape="shape"))
        elif place == 0:
            self._views[node.name] = source.name
        else:
            self._add(node.name, _shape(node, node.meta["val"]), node.meta["val"], weight=True)

    def _linear(self, node: Any, products: set[str]) -> None:
        """A product with a matrix that is kept transposed, and a term."""
        weight, bias = node.args[1], node.args[2] if len(node.args) > 2 else None
        straight = weight.name in products
        known = Mapped("MatMul" if straight else "FusedMatMul", node.args[:2], {} if straight else {"transB": 1})
        if bias is None:
            self._emit(node, LINEAR, known)
            return
        product = f"{node.name}.product"
        self._add(product, _shape(node, node.meta["val"]), node.meta["val"])
        self._node(product, known, [self._name(n) for n in known.operands], [product], node)
        self._add(node.name, _shape(node, node.meta["val"]), node.meta["val"])
        self._node(node.name, Mapped("Add", ()), [product, self._name(bias)], [node.name], node)

    def _gated(self, node: Any) -> None:
        """One half times the sigmoid of the other."""
        value = node.meta["val"]
        half, gate = f"{node.name}.half", f"{node.name}.gate"
        for name in (half, gate, node.name):
            self._add(name, _shape(node, value), value)
        self._node(half, Mapped("Reshape", (), shape="shape"), [self._name(node.args[0])], [half], node)
        self._node(gate, Mapped("Sigmoid", ()), [half], [gate], node)
        self._node(node.name, Mapped("Mul", ()), [half, gate], [node.name], node)

    def _recurrent(self, node: Any, type: str) -> None:
        """Layers one after the other, each in one direction or both, whose results lie side by side."""
        x, _, weights, biased, layers, _, _, both, first = node.args
        ways = 2 if both else 1
        count = len(weights) // (layers * ways)
        result, kept = node.meta["val"][0], int(weights[1].meta["val"].shape[1])
        sizes = {"hidden_size": kept, "layout": int(first)}
        if count == (5 if biased else 3):  # a projection of the state, the last of the matrices
            sizes |= {"hidden_size": int(weights[count - 1].meta["val"].shape[1]), "projection_size": kept}
        shape = _shape(node, result)
        operand = self._name(x)
        for layer in range(layers):
            found = []
            for way in range(ways):
                at, label = (layer * ways + way) * count, f"{node.name}.{layer}.{way}"
                self._add(label, (*shape[:1], 1, shape[1], kept) if not first else (*shape[:2], 1, kept), result)
                known = Mapped(type, (), dict(sizes))
                self._node(label, known, [operand, *map(self._name, weights[at : at + count])], [label], node)
                found.append(label)
            operand = node.name if layer == layers - 1 else f"{node.name}.{layer}"
            self._add(operand, shape, result)
            join = Mapped("Concat", (), {"axis": -1}) if both else Mapped("Reshape", (), {}, shape="shape")
            self._node(operand, join, found, [operand], node)

    def _emit(self, node: Any, called: str, known: Mapped) -> None:
        operands = [self._name(n) for n in known.operands if hasattr(n, "op")]
        value = _first(node.meta["val"])
        held = bool(operands) and all(self.tensors[n].weight for n in operands) and called in (*VIEWS, *TRANSPOSED)
        # a view of what others read too is no weight of its own, so that its numbers count once
        fixed = held and self._shared.isdisjoint(operands)
        self._add(node.name, _shape(node, value), value, weight=fixed)
        if not fixed:
            self._node(node.name, known, operands, [node.name], node)

    def _node(self, label: str, known: Mapped, operands: list[str], results: list[str], node: Any) -> None:
        attributes = dict(known.attributes)
        if known.shape:
            attributes[known.shape] = list(self.tensors[results[0]].shape)
        self.nodes.append(Node(label, known.type, tuple(operands), tuple(results), attributes))

    def _name(self, node: Any) -> str:
        return self._views.get(node.name, str(node.name))

    def _add(self, name: str, shape: tuple[int, ...], value: Any, *, weight: bool = False) -> None:
        kind = str(value.dtype).removeprefix("torch.")
        self.tensors[name] = Tensor(name, shape, _WHOLE.get(kind) or dtype(kind), weight)


def _only_products(nodes: Sequence[Any]) -> set[str]:
    """Weights that only products read as their matrices, so that they can be kept the other way round."""
    used: dict[str, set[bool]] = {}
    for node in nodes:
        matrix = node.args[1] if node.op == "call_function" and _function(node.target) == LINEAR else None
        for operand in _flat(node.args):
            used.setdefault(operand.name, set()).add(operand is matrix)
    return {name for name, ways in used.items() if ways == {True}}


def _read_often(nodes: Sequence[Any]) -> set[str]:
    """What more than one node reads."""
    read: dict[str, int] = {}
    for node in nodes:
        for name in {operand.name for operand in _flat(node.args)}:
            read[name] = read.get(name, 0) + 1
    return {name for name, times in read.items() if times > 1}


def _function(target: Any) -> str:
    """The function's own name: "aten.conv2d.default" and in-place "aten.relu_.default" are conv2d and relu."""
    parts = str(target).split(".")
    name = parts[1] if len(parts) > 1 and parts[0] == "aten" else getattr(target, "__name__", parts[-1])
    return name if name.startswith("_") else name.rstrip("_")


def _flat(args: Any) -> list[Any]:
    """Nodes among arguments, lists of them included."""
    if isinstance(args, list | tuple):
        return [node for inner in args for node in _flat(inner)]
    return [args] if hasattr(args, "op") and hasattr(args, "meta") else []


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) and value else value


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _shape(node: Any, value: Any) -> tuple[int, ...]:
    try:
        return tuple(int(getattr(getattr(size, "node", None), "hint", size)) for size in value.shape)
    except Exception:
        raise InputError(
            f"node {node.name}: its shape {tuple(value.shape)} is open: export the module for inputs that settle it"
        ) from None
