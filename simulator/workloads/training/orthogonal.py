"""Updates made orthogonal by Newton-Schulz iterations, as products for each matrix (Muon, Jordan et al., 2024)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from simulator.workloads.operators import AnyOperator, Call, Convolution, Gemm
from simulator.workloads.training.chunks import chunks_of
from simulator.workloads.training.job import Job


def orthogonal_updates(job: Job[Any], chunk: int) -> Iterator[Call]:
    """Products that orthogonalise the updates of a chunk's matrices on one device, in bf16.

    A tensor-parallel device does so for its own part of a matrix alone, without exchange. Embedding and head, whose
    updates stay as they are, are not among the layers.
    """
    for layer in chunks_of(job).layers(chunk):
        for block in layer.blocks:
            for op in block.weights:
                for product in _iteration(op):
                    yield Call("orthogonal update", product, job.optimizer.iterations * layer.count)


def _iteration(gradient: AnyOperator) -> tuple[AnyOperator, ...]:
    """One iteration on the matrix X of a weight gradient: A = X X^T, B = b A + c A A, then a X + B X.

    X is laid on its side so that A is as small as it can be; the sums ride on the products.
    """
    if isinstance(gradient, Gemm):
        rows, columns, count = gradient.m, gradient.n, gradient.batch
    elif isinstance(gradient, Convolution):
        _, rows, columns = gradient.product
        count = gradient.groups
    else:
        return ()
    small, long = float(np.minimum(rows, columns)), float(np.maximum(rows, columns))
    return (
        Gemm(small, small, long, batch=count),
        Gemm(small, small, small, batch=count),
        Gemm(small, long, small, batch=count),
    )
