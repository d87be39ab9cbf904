"""Options that differ from layer to layer: a value for all, and others for nodes by pattern of name or type."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TypeVar

from simulator.workloads.graphs.graph import Graph, Node
from simulator.workloads.graphs.rewrites.editing import chosen, weighted

T = TypeVar("T")


def by_layer(graph: Graph, usual: T | None, layers: Mapping[str, T] | None, *, ends: bool, what: str) -> dict[str, T]:
    """What each product with weights gets, by its node's name; nodes that get nothing are left out.

    The last pattern of `layers` that fits a node wins; `ends` says whether the first and the last product get the usual
    value too. Raises `InputError` for a pattern that fits no node.
    """
    products = [node for node in graph.nodes if weighted(graph, node) is not None]
    inner = products if ends else products[1:-1]
    found = {} if usual is None else {node.name: usual for node in inner}
    for pattern, value in (layers or {}).items():
        chosen(graph, [pattern], what)
        found |= {node.name: value for node in products if _fits(node, pattern)}
    return found


def _fits(node: Node, pattern: str) -> bool:
    return fnmatchcase(node.name, pattern) or fnmatchcase(node.type, pattern)
