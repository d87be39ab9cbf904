"""Spiking convolutional networks of leaky integrate-and-fire neurons, unrolled over time steps.

Rathi and Roy, arXiv:2008.03658 (direct input, VGG and ResNet); Zheng et al., arXiv:2011.05280 (ResNet-19).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.graph import Graph, Model, Part
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    layers: Sequence[int | str] = (),
    residual: Sequence[Sequence[int]] = (),
    steps: float = 4.0,
    order: Literal["steps", "layers"] = "steps",
    rate: float | None = None,
    hidden: Sequence[int] = (),
    resolution: int = 32,
    classes: int = 10,
) -> Model:
    """Filters of 3x3 convolutions and "pool", or `residual` stages [filters, blocks, stride], then dense layers.

    All layers run step by step, or each layer on all `steps` at once ("layers"), so that weights are read once. With a
    firing `rate` products add the weights of spikes alone, as event-driven devices do; without, they are dense.
    """
    together = steps if order == "layers" else 1.0
    net = _Network(Builder("spiking", format), rate, together)
    g = net.g
    x = g.input(batch * together, 3, resolution, resolution)
    if residual:
        x = net.fired(net.conv(x, residual[0][0], 3, dense=True))
        for filters, blocks, stride in residual:
            for number in range(blocks):
                x = net.block(x, filters, stride if number == 0 else 1)
    for number, layer in enumerate(layers):
        x = g.average_pool(x, 2, 2) if isinstance(layer, str) else net.fired(net.conv(x, layer, 3, dense=number == 0))
    x = g.global_pool(x)
    for units in hidden:
        x = net.fired(net.linear(x, units))
    graph: Graph = g.build(net.linear(x, classes))
    return Model("spiking", (Part(graph, 1.0 if order == "layers" else steps),))


class _Network:
    """Layers of one network, on spikes or dense."""

    def __init__(self, g: Builder, rate: float | None, steps: float) -> None:
        self.g = g
        self.rate = rate
        self.steps = steps

    def conv(self, x: str, filters: int, kernel: int, stride: int = 1, *, dense: bool = False) -> str:
        """Convolution and norm; the first layer's operands are numbers, not spikes."""
        g = self.g
        pads = [kernel // 2] * 4
        given: dict[str, Any] = {"strides": [stride] * 2, "pads": pads}
        weights = [(filters, g.channels(x), kernel, kernel)]
        if self.rate is None or dense:
            y = g.add_node("Conv", [x], weights=weights, **given)
        else:
            y = g.add_node("EventConv", [x], weights=weights, rate=self.rate, **given)
        return g.batch_norm(y)

    def linear(self, x: str, width: int) -> str:
        if self.rate is None:
            return self.g.linear(x, width)
        y = self.g.add_node("EventMatMul", [x], weights=[(self.g.shape(x)[-1], width)], rate=self.rate)
        return self.g.add_node("Add", [y], weights=[(width,)])

    def fired(self, current: str) -> str:
        """Spikes of neurons with a potential each, which is there once however many steps come at once."""
        batch, *rest = self.g.shape(current)
        potential = self.g.input(batch / self.steps, *rest, name=f"potential_{current}")
        return self.g.add_node("LIF", [current, potential])

    def block(self, x: str, filters: int, stride: int) -> str:
        y = self.conv(self.fired(self.conv(x, filters, 3, stride)), filters, 3)
        if stride > 1 or self.g.channels(x) != filters:
            x = self.conv(x, filters, 1, stride)
        return self.fired(self.g.add(y, x))
