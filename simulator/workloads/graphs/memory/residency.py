"""What of each kernel's operands the last cache still holds, from the kernels that wrote or read them before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.workloads.graphs.graph import Graph


def held_bytes(graph: Graph, cache: float) -> NDArray[np.float64]:
    """Bytes that each node reads from a cache of `cache` bytes; one number a node, in the graph's order.

    A tensor's distance is what was read and written since the first byte of it was last touched, itself included. Of
    one that is as far as the cache is large all is held, of one that is twice as far nothing: replacement is not exact
    (`simulator.hardware.kernels.machine` treats warm caches so, too).
    """
    passed = 0.0
    touched: dict[str, float] = {}
    held = np.zeros(len(graph.nodes))
    for number, node in enumerate(graph.nodes):
        begin = passed
        for name in node.read:
            size = _bytes(graph, name)
            if name in touched and cache:
                held[number] += size * min(max(2.0 - (begin - touched[name]) / cache, 0.0), 1.0)
            passed += size
        for name in node.written:
            passed += _bytes(graph, name)
        touched.update(dict.fromkeys((*node.read, *node.written), begin))
    return held


def _bytes(graph: Graph, name: str) -> float:
    return float(np.asarray(graph.tensors[name].bytes))
