"""Channels in blocks of one vector: the layout in which processors convolve, and the copies into it and back.

Rules are those of ONNX Runtime's NCHWc transformer (onnxruntime/core/optimizer/nchwc_transformer.cc).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.tensor import Tensor, product

ALIGNED = 4  # channels that copies into the layout need a multiple of
POOLS = ("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool")
# Types that take the layout as it comes, where all their operands have it.
FOLLOWING = (
    "Add", "Sum", "Mul", "Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "Clip", "HardSwish", "Silu",
    "QuickGelu", "BatchNormalization",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class BlockChannels:
    """Convolve and pool images with channels in blocks of `vector` numbers, and copy where the layout changes."""

    vector: int = 16

    def __call__(self, graph: Graph) -> Graph:
        if any(node.type.startswith("Reorder") for node in graph.nodes):
            return graph  # its layouts are chosen
        done = _Layouts(graph)
        for node in graph.nodes:
            if self._unblocks(done, node):
                done.nodes.append(replace(node, type="ReorderOutput", attributes={"channels_last": 1}))
                continue
            wanted = self._wanted(graph, done, node)
            names = {name: done.named(name, blocked=blocked) for name, blocked in wanted.items()}
            done.nodes.append(_renamed(node, names))
            if self._gives(graph, node, wanted):
                done.blocked.update(node.written)
        outputs = tuple(done.named(name, blocked=False) for name in graph.outputs)
        return replace(graph.with_tensors(done.copies), nodes=tuple(done.nodes), outputs=outputs)

    def _unblocks(self, done: _Layouts, node: Node) -> bool:
        """Whether a transposition puts the channels of blocks last, which the copy out of them can do at once."""
        last = node.type == "Transpose" and list(node.attributes.get("perm", ())) == [0, 2, 3, 1]
        return last and node.inputs[0] in done.blocked and not node.epilogue

    def _gives(self, graph: Graph, node: Node, wanted: dict[str, bool]) -> bool:
        return any(wanted.values()) or (node.type == "Conv" and self._convolved(graph, node) is not None)

    def _wanted(self, graph: Graph, done: _Layouts, node: Node) -> dict[str, bool]:
        """Whether each activation that a node reads has to be in blocks."""
        read = {name: graph.tensors[name] for name in node.read if not graph.tensors[name].weight}
        plain = dict.fromkeys(read, False)
        if node.type == "Conv":
            reads_blocks = self._convolved(graph, node)
            if reads_blocks is None:
                return plain
            return dict.fromkeys(read, True) | {node.inputs[0]: reads_blocks}
        blocks = all(_image(t) and t.shape[1] % self.vector == 0 for t in read.values())
        follows = bool(read) and all(name in done.blocked for name in read)
        if node.type in POOLS:
            return dict.fromkeys(read, blocks)
        if node.type == "Concat":
            return dict.fromkeys(read, follows and blocks and node.attributes.get("axis") == 1)
        if node.type in ("Resize", "Upsample"):
            return dict.fromkeys(read, follows and node.attributes.get("mode", "nearest") == "nearest")
        alike = len({t.shape for t in read.values()}) == 1
        return dict.fromkeys(read, node.type in FOLLOWING and follows and alike)

    def _convolved(self, graph: Graph, node: Node) -> bool | None:
        """Whether a convolution into the layout reads it too; None where it keeps to the plain one."""
        image, filters = graph.tensors[node.inputs[0]], graph.tensors[node.inputs[1]]
        if not filters.weight or not _image(image):
            return None
        groups, each, count = node.attributes.get("group", 1), filters.shape[1], filters.shape[0]
        if groups == 1:
            if each < self.vector:
                return False
            return None if each % ALIGNED else True
        alone = each == 1 and count == groups
        if count % ALIGNED or not (alone or (each % self.vector == 0 and (count // groups) % self.vector == 0)):
            return None
        return True


@dataclass
class _Layouts:
    """Tensors that are in blocks, and the copies made so far in the other layout."""

    graph: Graph
    blocked: set[str] = field(default_factory=set)
    copied: dict[str, str] = field(default_factory=dict)
    copies: list[Tensor] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)

    def named(self, name: str, *, blocked: bool) -> str:
        """The tensor in the layout that is asked for, copied once where it is in the other."""
        if (name in self.blocked) == blocked:
            return name
        if name not in self.copied:
            type, ending = ("ReorderInput", "blocked") if blocked else ("ReorderOutput", "plain")
            copy = replace(self.graph.tensors[name], name=f"{name}.{ending}")
            self.copies.append(copy)
            self.copied[name] = copy.name
            self.nodes.append(Node(copy.name, type, (name,), (copy.name,)))
        return self.copied[name]


def _image(tensor: Tensor) -> bool:
    return len(tensor.shape) == 4 and bool(product(tensor.shape))


def _renamed(node: Node, names: dict[str, str]) -> Node:
    def one(part: Node) -> Node:
        return replace(part, inputs=tuple(names.get(n, n) for n in part.inputs), epilogue=())

    return replace(one(node), epilogue=tuple(one(part) for part in node.epilogue))
