"""FastSpeech 2 (Ren et al., arXiv:2006.04558): from phonemes to mel bands in one pass, as long as is predicted."""

from __future__ import annotations

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.transformer import attention
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    width: int = 256,
    depth: int = 4,
    heads: int = 2,
    hidden: int = 1024,
    kernel: int = 9,
    predictors: int = 3,
    phonemes: int = 100,
    frames: int = 600,
    bands: int = 80,
    vocabulary: int = 76,
) -> Graph:
    """`depth` layers on `phonemes`, predictors of length, pitch and energy, as many layers on `frames` (appendix A)."""
    g = Builder("fast-speech", format)
    x = g.embedding(g.input(batch, phonemes, name="phonemes"), vocabulary, width)
    for _ in range(depth):
        x = _layer(g, x, heads, hidden, kernel)
    guesses = [_predicted(g, x, width) for _ in range(predictors)]
    for _ in range(predictors - 1):
        x = g.add(x, g.embedding(g.input(batch, phonemes, name=f"bins_{x}"), 256, width))
    x = g.add_node("Expand", [x], shape=[batch, frames, width])
    for _ in range(depth):
        x = _layer(g, x, heads, hidden, kernel)
    return g.build(g.linear(x, bands), *guesses)


def _layer(g: Builder, x: str, heads: int, hidden: int, kernel: int) -> str:
    """Attention, and a wide convolution over time before a narrow one."""
    width = g.shape(x)[-1]
    x = g.layer_norm(g.add(x, attention(g, x, heads)))
    y = g.act(g.conv(g.transpose(x, 0, 2, 1), hidden, kernel, bias=True))
    return g.layer_norm(g.add(x, g.transpose(g.conv(y, width, bias=True), 0, 2, 1)))


def _predicted(g: Builder, x: str, width: int) -> str:
    for _ in range(2):
        y = g.act(g.conv(g.transpose(x, 0, 2, 1), width, 3, bias=True))
        x = g.layer_norm(g.transpose(y, 0, 2, 1))
    return g.linear(x, 1)
