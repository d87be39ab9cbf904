"""Recurrent layers: one large product for all inputs, then a small one in each time step, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, first
from simulator.workloads.graphs.tensor import Shape, Tensor
from simulator.workloads.operators import Elementwise, Gemm, Size


def _sizes(attributes: Attributes, operands: Operands) -> tuple[Size, Size, Size]:
    """Steps, batch and features; `layout` 1 has the batch first."""
    steps, batch, features = first(operands).shape
    return (batch, steps, features) if attributes.get("layout") else (steps, batch, features)


def _shapes(attributes: Attributes, operands: Operands) -> tuple[Shape, ...]:
    """Results (time, directions, batch, hidden), as ONNX lays them out, or (batch, time, directions, hidden)."""
    steps, batch, _ = _sizes(attributes, operands)
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    hidden = attributes.get("projection_size", attributes["hidden_size"])
    return ((batch, steps, directions, hidden),) if attributes.get("layout") else ((steps, directions, batch, hidden),)


def _work(gates: int, flops: float, attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """`gates` matrices of a cell side by side; `flops` for each number of its state.

    With `projection_size` a product makes the state that goes on out of the hidden one (LSTMP, arXiv:1402.1128).
    """
    x, weights = first(operands), operands[1]
    assert weights is not None
    steps, batch, features = _sizes(attributes, operands)
    hidden = attributes["hidden_size"]
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    cell = Elementwise(batch * hidden, gates + 1.0, 2.0, flops, x.dtype)
    kept = attributes.get("projection_size", hidden)
    work: Work = (
        (Gemm(steps * batch, gates * hidden, features, weights.dtype, x.dtype), directions),
        (Gemm(batch, gates * hidden, kept, weights.dtype, x.dtype), steps * directions),
        (cell, steps * directions),
    )
    if "projection_size" in attributes:
        work = (*work, (Gemm(batch, kept, hidden, weights.dtype, x.dtype), steps * directions))
    return work


def _kind(gates: int, flops: float) -> Kind:
    work: Callable[[Attributes, Operands, Sequence[Tensor]], Work] = partial(_work, gates, flops)
    return Kind(_shapes, work)


RECURRENT = {"LSTM": _kind(4, 60.0), "GRU": _kind(3, 45.0), "RNN": _kind(1, 13.0)}
