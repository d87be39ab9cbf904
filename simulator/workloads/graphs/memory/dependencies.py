"""Which nodes wait for which, and what each leaves in memory, over sets of nodes as bits of a number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.lifetimes import buffer_names
from simulator.workloads.graphs.memory.sharing import InPlace, overwritable


@dataclass(frozen=True, slots=True)
class Dependencies:
    """Of each node: bits of the nodes that it waits for, buffers that it reads and writes, those it can write over.

    `readers` are bits of the nodes that read a buffer, `size` its bytes; buffers in `kept` stay to the end.
    """

    waits: tuple[int, ...]
    reads: tuple[tuple[str, ...], ...]
    writes: tuple[tuple[str, ...], ...]
    over: tuple[tuple[str, ...], ...]
    readers: dict[str, int]
    size: dict[str, float]
    kept: frozenset[str]
    alive_at_start: float

    @classmethod
    def of(cls, graph: Graph, in_place: InPlace) -> Dependencies:
        """Dependencies of all nodes of a graph."""
        buffer = buffer_names(graph)
        activation = {n: b for n, b in buffer.items() if not graph.tensors[b].weight}
        writer = {name: 1 << i for i, node in enumerate(graph.nodes) for name in node.written}
        readers: dict[str, int] = {}
        waits, reads, writes, over = [], [], [], []
        for number, node in enumerate(graph.nodes):
            read = tuple(dict.fromkeys(activation[n] for n in node.read if n in activation))
            for name in read:
                readers[name] = readers.get(name, 0) | 1 << number
            waits.append(_union(writer.get(n, 0) for n in node.read))
            reads.append(read)
            own = tuple(n for n in node.written if activation.get(n) == n)
            writes.append(own)
            may = [n for n in overwritable(graph, node, in_place) if n in activation]
            over.append(tuple(activation[n] for n in may) if len(own) == 1 else ())
        size = {b: float(graph.tensors[b].bytes) for b in activation.values()}
        kept = frozenset(buffer[n] for n in graph.outputs)
        start = sum(size.get(n, float(graph.tensors[n].bytes)) for n in graph.inputs)
        return cls(tuple(waits), tuple(reads), tuple(writes), tuple(over), readers, size, kept, start)

    @property
    def count(self) -> int:
        """Nodes."""
        return len(self.waits)

    def ready(self, done: int) -> Iterator[int]:
        """Nodes all of whose operands are there once the nodes in `done` ran."""
        for node, waits in enumerate(self.waits):
            if not done >> node & 1 and waits & done == waits:
                yield node

    def run(self, done: int, node: int, alive: float) -> tuple[float, float]:
        """Bytes while a node runs with `alive` bytes there before it, and after it."""
        then = done | 1 << node
        gone = {b for b in self.reads[node] if b not in self.kept and not self.readers[b] & ~then}
        made = sum(self.size[b] for b in self.writes[node])
        left = sum(self.size[b] for b in self.writes[node] if b in self.kept or self.readers.get(b, 0))
        taken = next((b for b in self.over[node] if b in gone and self.size[b] >= made), None)
        during = alive + (0.0 if taken is not None else made)
        return during, alive + left - sum(self.size[b] for b in gone)


def _union(bits: Iterator[int]) -> int:
    found = 0
    for each in bits:
        found |= each
    return found
