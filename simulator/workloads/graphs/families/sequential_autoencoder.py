"""Sequential autoencoders of spike counts: LFADS (Pandarinath et al., Nature Methods 2018, figure 1 and methods).

A bidirectional encoder reads a trial, its last states give the first state of a generator, and what that goes through
gives factors and rates at each time.
"""

from __future__ import annotations

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    steps: int = 73,
    channels: int = 70,
    encoder: int = 64,
    generator: int = 64,
    factors: int = 64,
) -> Graph:
    """One trial of `steps` bins of `channels` neurons, by its mean code (nothing is drawn)."""
    g = Builder("sequential-autoencoder", format)
    states = g.lstm(g.input(steps, batch, channels, name="spikes"), encoder, type="GRU", bidirectional=True)
    last = g.reshape(g.add_node("Slice", [states], shape=[1, batch, 2 * encoder], axes=[0]), batch, 2 * encoder)
    first = g.linear(last, generator)
    # the generator has no input but its first state
    inputs = g.add_node("Expand", [g.reshape(first, 1, batch, generator)], shape=[steps, batch, generator])
    states = g.lstm(inputs, generator, type="GRU")
    return g.build(g.act(g.linear(g.linear(states, factors, bias=False), channels), "Exp"))
