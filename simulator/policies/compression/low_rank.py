"""PowerSGD: each gradient matrix as a product of two thin ones, each of which is reduced."""

from __future__ import annotations

from simulator.policies.compression.protocol import Gradient, Reduction
from simulator.policies.compression.streams import FP32, stream
from simulator.workloads.operators import AnyOperator, Collective, Gemm


class PowerSgd:
    """One step of subspace iteration at `rank` r (Vogels et al., arXiv:1905.13727, algorithm 1).

    P = M Q is reduced and made orthogonal, Q = M^T P is reduced, M' = P Q^T is what everybody applies; what it lost is
    added to the next gradient. A matrix of n by m costs r (n + m) numbers; thin ones are summed as they are, around a
    ring. Both reductions are linear, so that they are all-reduces.
    """

    name = "power-sgd"
    warm_up = 0.0
    state = 4.0

    def __init__(self, rank: int = 4) -> None:
        if rank < 1:
            raise ValueError(f"rank is 1 at least, not {rank}")
        self.rank = rank

    def reduction(self, gradient: Gradient, world: int, stride: int) -> Reduction:
        if world == 1:
            return Reduction((), (), ())
        r = float(self.rank)
        before: list[AnyOperator] = [stream(gradient.elements, gradient.bytes_each + 4.0, 4.0, 1.0)]
        after: list[AnyOperator] = []
        left = right = 0.0
        for rows, columns, count in gradient.matrices:
            before.append(Gemm(rows, r, columns, FP32, FP32, count))
            # Gram-Schmidt: each column against all before it
            before.append(stream(rows * r * count, 4.0 * (r + 1.0), 4.0, 2.0 * r))
            before.append(Gemm(columns, r, rows, FP32, FP32, count))
            after.append(Gemm(rows, columns, r, FP32, FP32, count))
            left, right = left + rows * r * count, right + columns * r * count
        after.append(stream(gradient.elements, 8.0, 4.0, 1.0))  # the error for the next step
        links = tuple(Collective("all_reduce", 4.0 * sent, world, stride) for sent in (left, right))
        return Reduction(tuple(before), links, tuple(after))
