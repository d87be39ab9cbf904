"""A model as a directed graph of typed operators on named tensors; ONNX's types and attribute names are used.

The same graph is what importers, built-in families and rewrites give, and what execution, memory planning and counting
read. What a type means stands in `simulator.workloads.graphs.kinds`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from simulator.errors import InputError
from simulator.workloads.graphs.tensor import Tensor
from simulator.workloads.operators import Size


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operator: it reads `inputs` (activations and weights, in the order of its type) and writes `outputs`.

    It runs `repeat` times in a row (0: skipped, by candidates that have fewer layers). `epilogue` are nodes that the
    same kernel does on the results while they are at hand; their tensors in between are never in memory.
    """

    name: str
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    repeat: Size = 1
    epilogue: tuple[Node, ...] = ()

    @property
    def parts(self) -> tuple[Node, ...]:
        """The node as it was before others joined it, and those that did."""
        return (replace(self, epilogue=()), *self.epilogue) if self.epilogue else (self,)

    @property
    def read(self) -> tuple[str, ...]:
        """Names of all tensors that the kernel reads from memory."""
        if not self.epilogue:
            return tuple(dict.fromkeys(name for name in self.inputs if name))
        inner = {name for part in self.parts for name in part.outputs}
        return tuple(dict.fromkeys(n for part in self.parts for n in part.inputs if n and n not in inner))

    @property
    def written(self) -> tuple[str, ...]:
        """Names of all tensors that the kernel leaves in memory."""
        return self.epilogue[-1].outputs if self.epilogue else self.outputs


@dataclass(frozen=True, eq=False)
class Graph:
    """`nodes` in an order in which they can run; `inputs` and `outputs` are names of `tensors`."""

    name: str
    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        self._check_order()

    @cached_property
    def weights(self) -> tuple[Tensor, ...]:
        """Weights that some node reads, each once."""
        names = dict.fromkeys(n for node in self.nodes for n in node.read if self.tensors[n].weight)
        return tuple(self.tensors[n] for n in names)

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """Nodes that read a tensor, by its name."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.read:
                found.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in found.items()}

    @cached_property
    def producer(self) -> Mapping[str, Node]:
        """The node that writes a tensor, by its name; inputs and weights have none."""
        return {name: node for node in self.nodes for name in node.written}

    def operands(self, node: Node) -> list[Tensor | None]:
        """What a node reads, None for optional inputs that are left out."""
        return [self.tensors[n] if n else None for n in node.inputs]

    def results(self, node: Node) -> list[Tensor]:
        return [self.tensors[n] for n in node.outputs]

    def with_nodes(self, nodes: Iterable[Node]) -> Graph:
        """The same tensors under other nodes."""
        return replace(self, nodes=tuple(nodes))

    def with_tensors(self, changed: Iterable[Tensor]) -> Graph:
        """The same nodes on tensors of which some changed."""
        return replace(self, tensors={**self.tensors, **{t.name: t for t in changed}})

    def _check_order(self) -> None:
        """Raise `InputError` where a node reads what no earlier one has written."""
        known = {*self.inputs, *(t.name for t in self.tensors.values() if t.weight)}
        for node in self.nodes:
            for name in node.read:
                if name not in known:
                    raise InputError(f"graph {self.name}: node {node.name} reads {name}, which nothing before it gives")
            known.update(name for part in node.parts for name in part.outputs)
        missing = [name for name in self.outputs if name not in known]
        if missing:
            raise InputError(f"graph {self.name}: nothing gives its output {missing[0]}")


@dataclass(frozen=True, slots=True)
class Part:
    """A graph that a model runs so many `times` for one answer: a denoising network in each of 25 steps, say."""

    graph: Graph
    times: float = 1.0


@dataclass(frozen=True, slots=True)
class Model:
    """A model as graphs that run one after the other; at the end of each part the share `exits` of inputs is done."""

    name: str
    parts: tuple[Part, ...]
    exits: tuple[float, ...] = ()
