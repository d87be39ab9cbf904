"""Legendre memory units on sequences: a linear memory of fixed matrices between products that are learned.

Voelker et al., NeurIPS 2019, section 2 (the unit); Chilkuri and Eliasmith, arXiv:2102.11417 (input and memory without
feedback, so that all steps can run at once); LMUFormer, arXiv:2402.04882, section 3 (convolutions before, a mixer of
channels behind).
"""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.transformer import mlp
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    channels: int = 128,
    steps: int = 128,
    stem: Sequence[int] = (64, 128, 256),
    order: int = 256,
    depth: int = 1,
    expand: int = 4,
    classes: int = 35,
) -> Graph:
    """`steps` columns of `channels` numbers through a stem of convolutions and `depth` blocks, to classes.

    Each block has one memory of `order` Legendre polynomials, run step by step: its matrix is no parameter, but is
    multiplied with at each step.
    """
    g = Builder("legendre-memory", format)
    x = g.input(batch, channels, steps)
    for width in stem:
        x = g.act(g.batch_norm(g.conv(x, width, 3)))
    x = g.transpose(x, 0, 2, 1)
    for number in range(depth):
        x = _unit(g, x, order, number)
        x = g.add(x, mlp(g, g.layer_norm(x), expand * stem[-1]))
    return g.build(g.linear(g.mean(x, 1), classes))


def _unit(g: Builder, x: str, order: int, number: int) -> str:
    """One number goes into the memory at each step; what comes out is of the memory and of the operand."""
    batch, steps, width = g.shape(x)
    entered = g.act(g.linear(x, 1), "Relu")
    fixed = g.input(order, order, name=f"memory_{number}")
    before = g.input(batch, steps, order, name=f"state_{number}")
    spread = g.matmul(entered, g.input(1, order, name=f"entry_{number}"))
    state = g.add(g.matmul(before, fixed), spread)
    return g.act(g.linear(g.concat([state, x], axis=-1), width), "Relu")
