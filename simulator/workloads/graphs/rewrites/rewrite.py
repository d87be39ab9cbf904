"""What a rewrite is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from simulator.workloads.graphs.graph import Graph, Model


class Rewrite(Protocol):
    """Makes another graph of one: the same model in other formats, with fewer channels, in fewer kernels."""

    def __call__(self, graph: Graph) -> Graph: ...


@runtime_checkable
class ModelRewrite(Protocol):
    """Makes another model of one: other graphs, or how often each runs."""

    def over(self, model: Model) -> Model: ...
