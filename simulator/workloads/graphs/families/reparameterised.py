"""Plain convolutions that were trained as several side by side: RepVGG and MobileOne.

Ding et al., arXiv:2101.03697; Vasu et al., arXiv:2206.04040. Branches are linear, so that they add up to one
convolution for inference.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.blocks import squeeze_excitation
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    widths: Sequence[int],
    depths: Sequence[int],
    stem: int = 64,
    separable: bool = False,
    branches: int = 1,
    deployed: bool = True,
    squeezed: Sequence[int] = (),
    groups: int = 1,
    resolution: int = 224,
    classes: int = 1000,
) -> Graph:
    """Stages of `depths` blocks, each of which halves the map; `separable` blocks are a depth-wise and a 1x1 one.

    Before they are `deployed`, blocks have `branches` convolutions, one of 1x1, and a norm alone where sizes agree. Of
    each stage the last `squeezed` blocks have squeeze-and-excitation. In RepVGG every other block has `groups`.
    """
    g = Builder("reparameterised", format)
    x = _block(g, g.input(batch, 3, resolution, resolution), stem, 3, 2, 1, 1, deployed=deployed)
    number = 1
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for block in range(depth):
            stride = 2 if block == 0 else 1
            se = bool(squeezed) and block >= depth - squeezed[stage]
            if separable:
                x = _block(g, x, g.channels(x), 3, stride, g.channels(x), branches, deployed=deployed, se=se)
                x = _block(g, x, width, 1, 1, 1, branches, deployed=deployed, se=se)
            else:
                among = groups if number % 2 == 0 else 1
                x = _block(g, x, width, 3, stride, among, branches, deployed=deployed, se=se)
            number += 1
    return g.build(g.linear(g.global_pool(x), classes))


def _block(
    g: Builder,
    x: str,
    filters: Size,
    kernel: int,
    stride: int,
    groups: Size,
    branches: int,
    *,
    deployed: bool,
    se: bool = False,
) -> str:
    if deployed:
        y = g.conv(x, filters, kernel, stride, groups, bias=True)
    else:
        sums = [g.batch_norm(g.conv(x, filters, kernel, stride, groups)) for _ in range(branches)]
        sums += [g.batch_norm(g.conv(x, filters, 1, stride, groups))] if kernel > 1 else []
        sums += [g.batch_norm(x)] if stride == 1 and g.channels(x) == filters else []
        y = g.add(*sums) if len(sums) > 1 else sums[0]
    y = squeeze_excitation(g, y, filters // 16) if se else y
    return g.act(y)
