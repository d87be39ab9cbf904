"""Mixtures of experts as one operator (onnxruntime, docs/ContribOperators.md, MoE).

Operands are x (..., width), the router's scores (..., experts), and the experts' weights up (experts, width, inner, or
twice as much where gated) and down (experts, inner, width); each token goes to the `k` experts of its highest scores.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.graphs.kinds.kind import Attributes, Kind, Operands, Work, first, same_shape
from simulator.workloads.graphs.tensor import Tensor
from simulator.workloads.operators import Experts


def _work(attributes: Attributes, operands: Operands, results: Sequence[Tensor]) -> Work:
    """Experts that no token visits are not read."""
    x, up, down = first(operands), operands[2], operands[3]
    assert up is not None
    assert down is not None
    experts, inner, width = down.shape
    gated = bool(up.shape[-1] > inner)
    tokens = x.elements / width
    return ((Experts(tokens, width, inner, attributes["k"], experts, 1.0, gated, up.dtype, x.dtype), 1),)


EXPERTS = {"MoE": Kind(same_shape, _work)}
