"""A training step as an operator graph: the forward pass, the loss, gradients in reverse order, and updates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from simulator.errors import InputError
from simulator.workloads.dtypes import DTYPES, DType
from simulator.workloads.graphs.backward.keeping import SWITCHES, Kept, kept_for
from simulator.workloads.graphs.backward.segments import segments
from simulator.workloads.graphs.backward.trained import biases
from simulator.workloads.graphs.backward.work import input_work, weight_work
from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.kinds import KINDS
from simulator.workloads.graphs.tensor import Shape, Tensor
from simulator.workloads.operators import Elementwise

BIT = DType("bit", 1, "fp32", source="whether a number is above zero")
FP32 = DTYPES["fp32"]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a step trains: `states` numbers in fp32 of the optimiser for each trained one, updates as soon as a gradient
    is there (`early`) or behind the backward pass, bits in place of the results of rectifiers (`masks`), norms with the
    statistics of the batch, and what segments keep computed again from their inputs (`recompute`).
    """

    states: int = 0
    early: bool = True
    masks: bool = True
    batch_statistics: bool = False
    recompute: bool = False


def training_step(graph: Graph, trained: Mapping[str, float], manner: Manner) -> Graph:
    """One step on the graph's batch that trains these shares of weights.

    Raises `InputError` where nothing is trained, and for graphs some nodes of which are fused.
    """
    if not trained:
        raise InputError(f"graph {graph.name}: no weight is trained")
    fused = next((n for n in graph.nodes if n.epilogue), None)
    if fused is not None:
        raise InputError(f"graph {graph.name}: node {fused.name} is fused: train before other kernels join it")
    return _Tape(graph, trained, manner).graph_of_step()


@dataclass
class _Tape:
    """What is gathered on the way back through a graph."""

    graph: Graph
    trained: Mapping[str, float]
    manner: Manner
    tensors: dict[str, Tensor] = field(default_factory=dict)
    forward: list[Node] = field(default_factory=list)
    backward: list[Node] = field(default_factory=list)
    updates: list[Node] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    gradient: dict[str, str] = field(default_factory=dict)
    needed: set[str] = field(default_factory=set)
    stands_for: dict[str, str] = field(default_factory=dict)

    def graph_of_step(self) -> Graph:
        self.tensors = dict(self.graph.tensors)
        self._find_needed()
        self._forward()
        self._loss()
        for segment in reversed(list(segments(self.graph))):
            self._again(segment)
            for node in reversed(segment):
                if self.needed.intersection(node.outputs):
                    self._back(node)
            self.stands_for = {} if self.manner.recompute else self.stands_for
        return Graph(
            f"{self.graph.name}-training",
            self.tensors,
            (*self.forward, *self.backward, *self.updates),
            (*self.graph.inputs, *self.states),
            (*self.graph.outputs, *self.states),
        )

    def _find_needed(self) -> None:
        """Results on the way from trained weights to the loss have gradients."""
        for node in self.graph.nodes:
            if any(name in self.needed or name in self.trained for name in node.inputs):
                self.needed.update(node.outputs)

    def _kept(self, node: Node) -> Kept:
        """What the gradients of a node that are computed at all read."""
        kept = kept_for(self.graph, node, batch_statistics=self.manner.batch_statistics)
        inputs = kept.for_inputs if self.needed.intersection(node.inputs) else ()
        own = [n for n in node.inputs if n in self.trained]
        multiplied = any(not self._is_bias(node, n) for n in own)
        return Kept(inputs, kept.for_weights if multiplied else ())

    def _forward(self) -> None:
        full: set[str] = set()
        for node in self.graph.nodes:
            if self.needed.intersection(node.outputs) and not (self.manner.masks and node.type in SWITCHES):
                kept = self._kept(node)
                full.update(kept.names if self._share(node) == 1.0 else kept.for_inputs)
        for node in self.graph.nodes:
            self.forward += [node, *self._beside(node, full)]

    def _beside(self, node: Node, full: set[str]) -> Iterable[Node]:
        """Bits of a rectifier's result, and the trained channels of an operand, where nothing keeps them whole."""
        if self.manner.recompute or not self.needed.intersection(node.outputs):
            return
        kept = self._kept(node)
        if self.manner.masks and node.type in SWITCHES and kept.for_inputs and not full.intersection(node.outputs):
            (result,) = node.outputs
            yield self._add("Mask", f"mask:{node.name}", (result,), [self.graph.tensors[result].shape], BIT)
            self.stands_for[result] = f"mask:{node.name}"
        share = self._share(node)
        for name in kept.for_weights:
            if share < 1.0 and name not in full:
                known = self.graph.tensors[name]
                part = f"part:{node.name}"
                yield self._add("Slice", part, (name,), [_part(known.shape, share)], known.dtype)
                self.stands_for[f"{node.name}<{name}"] = part

    def _loss(self) -> None:
        for name in self.graph.outputs:
            if name in self.needed:
                shape, dtype = self.graph.tensors[name].shape, self.graph.tensors[name].dtype
                self.backward.append(self._add("Loss", f"gradient:{name}", (name,), [shape], dtype, flops=4.0))
                self.gradient[name] = f"gradient:{name}"

    def _again(self, segment: Sequence[Node]) -> None:
        """Run a segment again from its inputs, and keep what this gives in place of what the forward pass gave."""
        if not self.manner.recompute or not any(self.needed.intersection(n.outputs) for n in segment):
            return
        inside = {name for node in segment for name in node.outputs}
        wanted = {n for node in segment if self.needed.intersection(node.outputs) for n in self._kept(node).names}
        names: dict[str, str] = {}
        for node in segment:
            if not wanted & inside:
                break
            names.update({name: f"again:{name}" for name in node.outputs})
            self.tensors.update({names[n]: replace(self.graph.tensors[n], name=names[n]) for n in node.outputs})
            self.backward.append(
                replace(
                    node,
                    name=f"again:{node.name}",
                    inputs=tuple(names.get(n, n) for n in node.inputs),
                    outputs=tuple(names[n] for n in node.outputs),
                )
            )
            wanted -= set(node.outputs)
        self.stands_for = names

    def _back(self, node: Node) -> None:
        """Gradients of a node's trained weights, then of its operands."""
        given = tuple(dict.fromkeys(self.gradient[n] for n in node.outputs if n in self.gradient))
        if not given:
            return
        for name in node.inputs:
            if name in self.trained:
                self._weight_gradient(node, name, given)
        wanted = list(dict.fromkeys(n for n in node.inputs if n in self.needed))
        if wanted:
            self._input_gradients(node, wanted, given)

    def _weight_gradient(self, node: Node, name: str, given: tuple[str, ...]) -> None:
        share, known = self.trained[name], self.graph.tensors[name]
        bias = self._is_bias(node, name)
        kept = () if bias else tuple(self._stand_in(n, node) for n in self._kept(node).for_weights)
        made = f"gradient:{node.name}:{name}"
        work = {} if bias else weight_work(self.graph, node, name, share)
        shape = (np.ceil(np.asarray(known.elements) * share).item(),)
        dtype = self.graph.tensors[node.outputs[0]].dtype
        self.backward.append(self._add("WeightGradient", made, (*given, *kept), [shape], dtype, **work))
        states = [self._state(f"state:{number}:{name}", shape) for number in range(self.manner.states)]
        attributes = {"shapes": (), "work": self._update(shape, dtype)}
        update = Node(f"update:{name}", "Update", (made, name, *states), (), attributes)
        (self.backward if self.manner.early else self.updates).append(update)

    def _update(self, shape: Shape, dtype: DType) -> object:
        """Read the gradient, read and write the weights and the optimiser's numbers."""
        states = self.manner.states * FP32.bytes / dtype.bytes
        return ((Elementwise(shape[0], 2.0 + states, 1.0 + states, 2.0 + 4.0 * self.manner.states, dtype), 1),)

    def _state(self, name: str, shape: Shape) -> str:
        if name not in self.tensors:
            self.tensors[name] = Tensor(name, shape, FP32)
            self.states.append(name)
        return name

    def _input_gradients(self, node: Node, wanted: list[str], given: tuple[str, ...]) -> None:
        kind = KINDS.get(node.type)
        sizes = {n: self.graph.tensors[n] for n in (*wanted, *node.outputs)}
        same = all(np.array_equal(sizes[n].elements, sizes[node.outputs[0]].elements) for n in wanted)
        if node.type in ("Add", "Sum", "Identity") and same and len(given) == 1:
            for name in wanted:
                self._contribute(name, given[0])
            return
        view = kind is not None and kind.view
        pointwise = kind is not None and kind.pointwise and same and len(wanted) == 1
        type = "Reshape" if view else "PointwiseGradient" if pointwise else "InputGradient"
        kept = () if view else tuple(self._stand_in(n, None) for n in self._kept(node).for_inputs)
        made = [f"gradient:{node.name}>{name}" for name in wanted]
        for name, result in zip(wanted, made, strict=True):
            self.tensors[result] = Tensor(result, sizes[name].shape, sizes[name].dtype)
        shapes = [sizes[name].shape for name in wanted]
        attributes = {"shapes": shapes, "shape": shapes[0], **({} if view else input_work(self.graph, node, wanted))}
        self.backward.append(Node(f"back:{node.name}", type, (*given, *kept), tuple(made), attributes))
        for name, result in zip(wanted, made, strict=True):
            self._contribute(name, result)

    def _contribute(self, name: str, made: str) -> None:
        """Add to the gradient of a tensor, as soon as a further part of it is there."""
        before = self.gradient.get(name)
        if before is None:
            self.gradient[name] = made
            return
        known, total = self.graph.tensors[name], f"sum:{made}"
        self.tensors[total] = Tensor(total, known.shape, known.dtype)
        self.backward.append(Node(total, "Add", (before, made), (total,)))
        self.gradient[name] = total

    def _add(
        self, type: str, name: str, inputs: tuple[str, ...], shapes: list[Shape], dtype: DType, **more: object
    ) -> Node:
        """A node with one result of its own name."""
        self.tensors[name] = Tensor(name, shapes[0], dtype)
        return Node(name, type, inputs, (name,), {"shapes": shapes, "shape": shapes[0], **more})

    def _share(self, node: Node) -> float:
        return max(
            (self.trained[n] for n in node.inputs if n in self.trained and not self._is_bias(node, n)), default=1.0
        )

    def _stand_in(self, name: str, node: Node | None) -> str:
        """What is kept of a tensor: itself, its bits, the channels that a node trains, or what was computed again."""
        part = None if node is None else self.stands_for.get(f"{node.name}<{name}")
        return part or self.stands_for.get(name, name)

    def _is_bias(self, node: Node, name: str) -> bool:
        return name in biases(self.graph, node)


def _part(shape: Shape, share: float) -> Shape:
    """So many of the channels, the second dimension of an image and the last of a sequence."""
    axis = 1 if len(shape) == 4 else len(shape) - 1
    return tuple(np.ceil(np.asarray(s) * share).item() if i == axis else s for i, s in enumerate(shape))
