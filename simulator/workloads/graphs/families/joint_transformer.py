"""Diffusion transformers that attend to image or video and text as one sequence, in blocks of two streams and of one.

Esser et al., arXiv:2403.03206 (Stable Diffusion 3); layers of the one-stream blocks as in the published weights of
FLUX.1; Tencent Hunyuan team, arXiv:2412.03603 (HunyuanVideo); Cai et al., arXiv:2505.22705 (HiDream-I1: experts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.workloads.dtypes import DType
from simulator.workloads.graphs.builder import Builder
from simulator.workloads.graphs.families.transformer import heads_of, joined_heads, mlp
from simulator.workloads.graphs.graph import Graph
from simulator.workloads.graphs.tensor import FP32
from simulator.workloads.operators import Size


@dataclass(frozen=True, slots=True)
class _Experts:
    """Gated products, each token's by the `active` ones of `count` experts and by a `shared` one."""

    count: int
    active: int
    hidden: int
    shared: int

    def fed(self, g: Builder, x: str) -> str:
        width = g.shape(x)[-1]
        scores = g.linear(x, self.count, bias=False)
        weights = [(self.count, width, 2 * self.hidden), (self.count, self.hidden, width)]
        own = g.add_node("MoE", [x, scores], weights=weights, k=self.active)
        return g.add(own, gated(g, x, self.shared))


@dataclass(frozen=True, slots=True)
class _Blocks:
    """What all blocks share: the builder, the vector that tells of time and prompt, the attention's heads, experts."""

    g: Builder
    told: str
    heads: int
    normed: bool
    experts: _Experts | None = None

    def vectors(self, count: int) -> list[str]:
        """Vectors to shift, scale and gate with, made of what is told."""
        g = self.g
        batch, width = g.shape(self.told)
        return g.split(g.reshape(g.linear(g.act(self.told, "Silu"), count * width), batch, count, width), count)

    def modulated(self, x: str, shift: str, scale: str) -> str:
        """A norm without weights of its own, scaled and shifted."""
        return self.g.add(self.g.mul(self.g.add_node("LayerNormalization", [x], axis=-1), scale), shift)

    def sides(self, packed: str) -> list[str]:
        """Queries, keys and values of (batch, tokens, 3 * width), by heads; the first two normed."""
        g = self.g
        sides = [heads_of(g, side, self.heads) for side in g.split(packed, 3, axis=-1)]
        return [*(g.rms_norm(s) for s in sides[:2]), sides[2]] if self.normed else sides

    def attended(self, sides: list[str]) -> str:
        return joined_heads(self.g, self.g.attention(*sides))

    def cut(self, x: str, start: Size, size: Size, axis: int) -> str:
        """Part of a sequence (axis 1) or of its numbers (axis 2)."""
        shape = list(self.g.shape(x))
        shape[axis] = size
        return self.g.add_node("Slice", [x], shape=shape, axes=[axis], starts=[start])

    def two_streams(self, x: str, text: str, *, last: bool = False) -> tuple[str, str]:
        """Weights of their own for text and image, attention in common; the `last` block leaves the text as it is."""
        g = self.g
        width, tokens, words = g.shape(x)[2], g.shape(x)[1], g.shape(text)[1]
        streams, vectors = [text, x], [self.vectors(2 if last else 6), self.vectors(6)]
        own = [
            self.sides(g.linear(self.modulated(s, v[0], v[1]), 3 * width))
            for s, v in zip(streams, vectors, strict=True)
        ]
        y = self.attended([g.concat(pair, axis=2) for pair in zip(*own, strict=True)])
        parts = [self.cut(y, 0, words, 1), self.cut(y, words, tokens, 1)]
        done = []
        for stream, part, v in zip(streams, parts, vectors, strict=True):
            if len(v) == 2:
                done.append(stream)
                continue
            done.append(self.behind(stream, part, v, expert=stream == x))
        return done[1], done[0]

    def behind(self, x: str, attended: str, v: list[str], *, expert: bool) -> str:
        """What follows attention: its product, then two products, or experts' if there are any."""
        g, width = self.g, self.g.shape(x)[2]
        z = g.add(x, g.mul(g.linear(attended, width), v[2]))
        y = self.modulated(z, v[3], v[4])
        if self.experts is None:
            return g.add(z, g.mul(mlp(g, y, 4 * width), v[5]))
        fed = self.experts.fed(g, y) if expert else gated(g, y, self.experts.hidden)
        return g.add(z, g.mul(fed, v[5]))

    def one_stream(self, x: str) -> str:
        """Attention and the products beside it read one product, and one brings them back; experts follow it."""
        g, width = self.g, self.g.shape(x)[2]
        if self.experts is not None:
            v = self.vectors(6)
            y = self.attended(self.sides(g.linear(self.modulated(x, v[0], v[1]), 3 * width)))
            return self.behind(x, y, v, expert=True)
        shift, scale, gate = self.vectors(3)
        y = g.linear(self.modulated(x, shift, scale), 7 * width)
        attended = self.attended(self.sides(self.cut(y, 0, 3 * width, 2)))
        y = g.concat([attended, g.act(self.cut(y, 3 * width, 4 * width, 2), "Gelu")], axis=2)
        return g.add(x, g.mul(g.linear(y, width), gate))


def build(
    batch: Size = 1,
    format: DType = FP32,
    *,
    width: int = 3072,
    heads: int = 24,
    double: int = 19,
    single: int = 38,
    frames: int = 1,
    height: int = 128,
    across: int = 128,
    patch: int = 2,
    latent_channels: int = 16,
    text_width: int = 4096,
    text_tokens: int = 512,
    pooled_width: int = 768,
    told_guidance: bool = True,
    refined: int = 0,
    normed: bool = True,
    experts: Mapping[str, int] | None = None,
) -> Graph:
    """One denoising step on latents of `frames` x `height` x `across`, in patches of `patch` x `patch`.

    `double` blocks of two streams come before `single` ones of one; without the latter the last block leaves the text
    alone. `told_guidance` adds the strength of guidance to what is told; `refined` layers work on the text before.
    `experts` {count, active, hidden, shared} take the place of products behind attention, of widths `hidden` and
    `shared` (HiDream-I1); the text's own are gated and `hidden` wide.
    """
    g = Builder("joint-transformer", format)
    tokens = frames * (height // patch) * (across // patch)
    x = g.input(batch, latent_channels, frames, height, across)
    filters = (width, latent_channels, 1, patch, patch)
    x = g.add_node("Conv", [x], weights=[filters, (width,)], strides=[1, patch, patch])
    x = g.transpose(g.reshape(x, batch, width, tokens), 0, 2, 1)
    words = g.input(batch, text_tokens, text_width, name="text")
    text = _refined(g, words, width, heads, refined) if refined else g.linear(words, width)
    told = _embedded(g, g.input(batch, 256, name="time"), width)
    if told_guidance:
        told = g.add(told, _embedded(g, g.input(batch, 256, name="guidance"), width))
    told = g.add(told, _embedded(g, g.input(batch, pooled_width, name="pooled"), width))
    blocks = _Blocks(g, told, heads, normed, _Experts(**experts) if experts else None)
    for number in range(double):
        x, text = blocks.two_streams(x, text, last=not single and number == double - 1)
    if single:
        x = g.concat([text, x])
        for _ in range(single):
            x = blocks.one_stream(x)
        x = blocks.cut(x, text_tokens, tokens, 1)
    shift, scale = blocks.vectors(2)
    return g.build(g.linear(blocks.modulated(x, shift, scale), patch * patch * latent_channels))


def gated(g: Builder, x: str, hidden: Size) -> str:
    """One half of a product times the other half's activation, and a product back (SwiGLU, arXiv:2002.05202)."""
    value, gate = g.split(g.linear(x, 2 * hidden, bias=False), 2, axis=-1)
    return g.linear(g.mul(value, g.act(gate, "Silu")), g.shape(x)[-1], bias=False)


def _embedded(g: Builder, x: str, width: int) -> str:
    return g.linear(g.act(g.linear(x, width), "Silu"), width)


def _refined(g: Builder, words: str, width: int, heads: int, depth: int) -> str:
    """Layers on the words alone, gated by the time and their mean (HunyuanVideo's token refiner)."""
    batch, _, text_width = g.shape(words)
    mean = g.reshape(g.add_node("ReduceMean", [words], axes=[1], keepdims=0), batch, text_width)
    told = g.add(_embedded(g, g.input(batch, 256, name="refiner_time"), width), _embedded(g, mean, width))
    blocks = _Blocks(g, told, heads, normed=False)
    x = g.linear(words, width)
    for _ in range(depth):
        gates = blocks.vectors(2)
        y = blocks.attended(blocks.sides(g.linear(g.layer_norm(x), 3 * width)))
        x = g.add(x, g.mul(g.linear(y, width), gates[0]))
        x = g.add(x, g.mul(mlp(g, g.layer_norm(x), 4 * width, "Silu"), gates[1]))
    return x
