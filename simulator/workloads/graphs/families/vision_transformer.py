"""Vision transformers on patches of an image (Dosovitskiy et al., arXiv:2010.11929; DeiT, arXiv:2012.12877)."""

from __future__ import annotations

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.transformer import attention, encoder_layer
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    patch: int = 16,
    width: int = 768,
    depth: int = 12,
    heads: int = 12,
    mlp: float = 4.0,
    resolution: int = 224,
    classes: int = 1000,
    class_tokens: int = 1,
    experts: int = 0,
    visited: int = 4,
    expert_hidden: int | None = None,
) -> Graph:
    """`depth` layers on the patches and `class_tokens` learned ones, which are classified.

    Every other layer has `experts`, if any, in place of its two products; each token visits as many as are `visited`
    (V-MoE, Riquelme et al., arXiv:2106.05974, section 2).
    """
    g = Builder("vision-transformer", format)
    x = g.conv(g.input(batch, 3, resolution, resolution), width, patch, patch, pad=0, bias=True)
    side = resolution // patch
    x = g.transpose(g.reshape(x, batch, width, side * side), 0, 2, 1)
    tokens = side * side + class_tokens
    if class_tokens:
        x = g.add_node("Concat", [x], weights=[(1, class_tokens, width)], axis=1)
    x = g.add_node("Add", [x], weights=[(1, tokens, width)])
    for number in range(depth):
        if experts and number % 2:
            x = _expert_layer(g, x, heads, experts, visited, expert_hidden or int(width * mlp))
        else:
            x = encoder_layer(g, x, heads, int(width * mlp))
    x = g.layer_norm(x)
    if class_tokens:
        x = g.add_node("Slice", [x], shape=[batch, class_tokens, width], axes=[1])
        x = g.reshape(x, batch, class_tokens * width) if class_tokens == 1 else g.mean(x, 1)
    else:
        x = g.mean(x, 1)
    return g.build(g.linear(x, classes))


def _expert_layer(g: Builder, x: str, heads: int, experts: int, visited: int, hidden: int) -> str:
    """A layer whose tokens go to the experts that a router scores highest."""
    x = g.add(x, attention(g, g.layer_norm(x), heads))
    y = g.layer_norm(x)
    weights = [(experts, g.shape(x)[-1], hidden), (experts, hidden, g.shape(x)[-1])]
    scores = g.softmax(g.linear(y, experts, bias=False))
    return g.add(x, g.add_node("MoE", [y, scores], weights=weights, k=visited))
