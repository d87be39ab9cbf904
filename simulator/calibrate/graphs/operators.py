"""Kernels of many graphs side by side: those that one curve times as one operator of arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.lowering import kernels
from simulator.workloads.operators import AnyOperator, Convolution, Fused, Gemm

Floats = NDArray[np.float64]
Key = tuple[str, str]  # a curve: its family and its format or kernel name


@dataclass(frozen=True, slots=True)
class Bundle:
    """Kernels of one kind: `op` holds arrays over them; `rows` says whose graph each is of, `counts` how often."""

    key: Key
    op: AnyOperator
    rows: NDArray[np.int64]
    counts: Floats


def bundles(graphs: Iterable[Graph]) -> list[Bundle]:
    """All kernels of the graphs, in as few operators as can be."""
    found: dict[Any, list[tuple[AnyOperator, int, float]]] = {}
    for row, graph in enumerate(graphs):
        for kernel in kernels(graph):
            count = float(np.asarray(kernel.count))
            found.setdefault(_alike(kernel.op), []).append((kernel.op, row, count))
    return [
        Bundle(key_of(given[0][0]), _stacked([op for op, _, _ in given]), *_columns(given)) for given in found.values()
    ]


def key_of(op: AnyOperator) -> Key:
    """The curve that times an operator."""
    if isinstance(op, Fused):
        return key_of(op.main)
    if isinstance(op, Gemm | Convolution):
        return op.kind, op.weight.name
    return "streaming", getattr(op, "kernel", "elementwise")


def _columns(given: Sequence[tuple[AnyOperator, int, float]]) -> tuple[NDArray[np.int64], Floats]:
    return np.array([row for _, row, _ in given], dtype=np.int64), np.array([count for _, _, count in given])


def _alike(op: AnyOperator) -> Any:
    """What operators have to share to be stacked: their type, and all that is no number."""
    values = [getattr(op, f.name) for f in fields(op)]
    return type(op), tuple(_alike(v) if isinstance(v, Gemm | Convolution) else _fixed(v) for v in values)


def _fixed(value: Any) -> Any:
    return None if _number(value) else repr(value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float | np.number | np.ndarray) and not isinstance(value, bool)


def _stacked(ops: Sequence[Any]) -> Any:
    """One operator whose numbers are arrays over the operators."""
    columns: dict[str, Any] = {}
    for f in fields(ops[0]):
        values = [getattr(op, f.name) for op in ops]
        if _number(values[0]):
            columns[f.name] = np.array([float(np.asarray(v)) for v in values])
        else:
            nested = hasattr(values[0], "flops")
            columns[f.name] = _stacked(values) if nested else values[0]
    return type(ops[0])(**columns)
