"""What a rewrite is."""

from __future__ import annotations

from typing import Protocol

from simulator.workloads.graphs.graph import Graph


class Rewrite(Protocol):
    """Makes another graph of one: the same model in other formats, with fewer channels, in fewer kernels."""

    def __call__(self, graph: Graph) -> Graph: ...
